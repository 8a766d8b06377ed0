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

// anyNode stands for a node id that is leased, not given.
const anyNode = -1

// codes mints codes: ids that no other node has, made unguessable.
type codes struct {
	minter   *idgen.Minter
	cipher   *idgen.Cipher
	together func(code string, bucket int) bool // whether one shard keeps both
	accepts  func(code string) bool             // whether the shard of a code accepts writes; nil: it always does
}

// nearAttempts is how many codes are minted at most for one that is kept together with
// a bucket. With 16 shards of the same size 2 of 100 searches find none.
const nearAttempts = 64

// mintTries is how many codes are minted to find one on a shard that accepts writes. With
// one of two shards slow, one create in 256 finds none.
const mintTries = 8

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

// codeKey returns the key that an embedded database's codes are made from. On first
// start it is the given one or a fresh one; later a given one must be the same,
// since another would mint codes that exist.
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
		return nil, settingsError{fmt.Errorf("%sCODE_KEY: differs from the key that this database was started with", envPrefix)}
	}
	return kept, nil
}

// NextCode mints a code, on a shard that accepts writes if it finds one. It is an
// api.CodeMinter.
func (c *codes) NextCode() (code string, err error) {
	for range mintTries {
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

// NextCodeNear mints codes until one shard keeps one together with a bucket. It returns
// the last code when there is none, since that costs no more than a second transaction.
func (c *codes) NextCodeNear(bucket int) (code string, err error) {
	for range nearAttempts {
		if code, err = c.mint(); err != nil || c.together(code, bucket) {
			break
		}
	}
	return code, err
}
