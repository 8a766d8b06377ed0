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
	// targetLen is the length of every target.
	targetLen = 100

	// owners is how many own the links, by turns.
	owners = 1000
)

// links makes the links of a shard: the number of a link tells everything about
// it. The codes are those that a node mints.
type links struct{ cipher *idgen.Cipher }

// codeKeyText is the code key of the measured nodes, as settings have it. Terse
// refuses one that is not random.
const codeKeyText = "GpcJOAKRlLLRo3s5i/oVB0iNtJSycKg3/z2kKijqSeA="

func newLinks() (links, error) {
	key, err := base64.StdEncoding.DecodeString(codeKeyText)
	if err != nil {
		return links{}, err
	}
	c, err := idgen.NewCipher(key)
	return links{c}, err
}

// code returns the code of link i. Ids from zero on are of the past, so that no
// node mints one again.
func (l links) code(i int) (string, error) { return l.cipher.Code(idgen.ID(i)) }

// columns are those of table links that are set, in the order of row.
func (links) columns() []string {
	return []string{"created_at", "version", "bucket", "code", "target", "owner"}
}

// row returns link i as table links has it. Each was created a millisecond after
// the one before.
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

// target returns the target of a link, which names its code or whatever makes it
// one of a kind.
func target(name string) string {
	const start = "https://example.com/catalogue/spring?page="
	return start + name + strings.Repeat("x", targetLen-len(start)-len(name))
}

// isTarget reports whether a Location is the target of a link.
func isTarget(location []byte, code string) bool {
	return bytes.Equal(location, []byte(target(code)))
}

// shuffled returns the numbers below n in an order that is the same in each run.
func shuffled(n int) []int {
	return rand.New(rand.NewPCG(1, 2)).Perm(n) //nolint:gosec // nobody has to guess it
}
