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
}

// nearAttempts is how many codes are minted at most for one that is kept together with
// a bucket. With 16 shards of the same size 2 of 100 searches find none.
const nearAttempts = 64

// openCodes leases a node id and mints codes from the key. together reports whether one
// shard keeps a code and a bucket.
func openCodes(ctx context.Context, key []byte, leaser idgen.Leaser, together func(code string, bucket int) bool, logger *slog.Logger, reg prometheus.Registerer) (*codes, error) {
	cipher, err := idgen.NewCipher(key)
	if err != nil {
		return nil, err
	}
	minter, err := idgen.NewMinter(ctx, idgen.Options{Leaser: leaser, Logger: logger, Registerer: reg})
	if err != nil {
		return nil, fmt.Errorf("lease a node id: %w", err)
	}
	return &codes{minter, cipher, together}, nil
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

// NextCode mints a code. It is an api.CodeMinter.
func (c *codes) NextCode() (string, error) {
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
		if code, err = c.NextCode(); err != nil || c.together(code, bucket) {
			break
		}
	}
	return code, err
}
