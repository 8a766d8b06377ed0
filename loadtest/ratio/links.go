//go:build unix

package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/terse/terse/idgen"
	"github.com/terse/terse/store"
)

const (
	// targetLen is the length of every target in bytes.
	targetLen = 100

	// owners is how many owners there are. Links belong to them in turn.
	owners = 1000
)

// links makes the links of a shard. The number of a link determines all its columns. The
// codes have the form of minted codes.
type links struct{ cipher *idgen.Cipher }

// codeKeyText is the code key of the measured nodes, in the form of the setting. It is
// random because Terse refuses keys that are not.
const codeKeyText = "GpcJOAKRlLLRo3s5i/oVB0iNtJSycKg3/z2kKijqSeA="

func newLinks() (links, error) {
	key, err := base64.StdEncoding.DecodeString(codeKeyText)
	if err != nil {
		return links{}, err
	}
	c, err := idgen.NewCipher(key)
	return links{c}, err
}

// code returns the code of link i. Ids that start at zero lie in the past, so that no
// node mints them again.
func (l links) code(i int) (string, error) { return l.cipher.Code(idgen.ID(i)) }

// columns are the columns of table links that row sets, in the same order.
func (links) columns() []string {
	return []string{"created_at", "version", "bucket", "code", "target", "owner"}
}

// row returns link i as a row of table links. Each link was created a millisecond after
// the link before it.
func (l links) row(i int) ([]any, error) {
	code, err := l.code(i)
	if err != nil {
		return nil, err
	}
	return []any{
		time.UnixMilli(1_767_225_600_000 + int64(i)).UTC(),
		int32(1),
		int16(store.BucketOf(code)), //nolint:gosec // below store.Buckets
		code,
		target(code),
		fmt.Sprintf("k%015d", i%owners),
	}, nil
}

// target returns a target that contains name. A unique name makes the target unique.
func target(name string) string {
	const start = "https://example.com/catalogue/spring?page="
	return start + name + strings.Repeat("x", targetLen-len(start)-len(name))
}

// isTarget reports whether a Location is the target of the link with this code.
func isTarget(location []byte, code string) bool {
	return bytes.Equal(location, []byte(target(code)))
}

// shuffled returns the numbers below n in an order that is the same in every run.
func shuffled(n int) []int {
	return rand.New(rand.NewPCG(1, 2)).Perm(n) //nolint:gosec // nobody has to guess it
}
