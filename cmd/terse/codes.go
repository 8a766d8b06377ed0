package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/idgen"
	"github.com/terse/terse/store/sqlite"
)

// codeKeyLen is the length of TERSE_CODE_KEY in bytes.
const codeKeyLen = 32

// codeKeySecret is the name of the code key in the embedded database.
const codeKeySecret = "code_key"

// anyNode means that the process leases a free node id.
const anyNode = -1

// codes mints codes. A code is an encrypted id that no other node mints.
type codes struct {
	minter   *idgen.Minter
	cipher   *idgen.Cipher
	together func(code string, bucket int) bool // whether both are on one shard
	accepts  func(code string) bool             // whether the shard of a code accepts writes; nil: always
}

// nearAttempts is the most codes that NextCodeNear mints. With 16 shards of the same size, 2
// of 100 searches fail.
const nearAttempts = 64

// mintAttempts is the most codes that NextCode mints. With one of two shards slow, 1 of 256
// searches fails.
const mintAttempts = 8

// openCodes leases a node id from a database and mints codes from its key.
func openCodes(ctx context.Context, d *database, logger *slog.Logger, reg prometheus.Registerer) (*codes, error) {
	cipher, err := idgen.NewCipher(d.codeKey)
	if err != nil {
		return nil, err
	}
	minter, err := idgen.NewMinter(ctx, idgen.Options{Leaser: d.leaser, Logger: logger, Registerer: reg})
	if err != nil {
		return nil, fmt.Errorf("lease a node id: %w", err)
	}
	return &codes{minter, cipher, d.together, d.accepts}, nil
}

// codeKey returns the code key of an embedded database. The first start stores the given
// key, or a random key when given is nil. Later a different given key is an error, because
// it would mint codes that exist.
func codeKey(ctx context.Context, given []byte, database *sqlite.Store) ([]byte, error) {
	kept, err := database.Secret(ctx, codeKeySecret, func() ([]byte, error) {
		if given != nil {
			return given, nil
		}
		fresh := make([]byte, codeKeyLen)
		_, err := rand.Read(fresh)
		return fresh, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the code key: %w", err)
	}
	if given != nil && !bytes.Equal(given, kept) {
		return nil, settingsError{fmt.Errorf("%sCODE_KEY: differs from the key of this database. Use the first key, or remove this setting", envPrefix)}
	}
	return kept, nil
}

// NextCode mints a code. It prefers a code whose shard accepts writes, and returns the last
// one of mintAttempts codes otherwise. It implements links.Minter.
func (c *codes) NextCode() (code string, err error) {
	for range mintAttempts {
		if code, err = c.mint(); err != nil || c.accepts == nil || c.accepts(code) {
			break
		}
	}
	return code, err
}

// mint mints a code on any shard.
func (c *codes) mint() (string, error) {
	id, err := c.minter.Next()
	if err != nil {
		return "", err
	}
	return c.cipher.Code(id)
}

// NextCodeNear mints a code on the shard of a bucket. After nearAttempts it returns a code on
// another shard, which costs the create a second transaction.
func (c *codes) NextCodeNear(bucket int) (code string, err error) {
	for range nearAttempts {
		if code, err = c.mint(); err != nil || c.together(code, bucket) {
			break
		}
	}
	return code, err
}
