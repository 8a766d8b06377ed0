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
	minter *idgen.Minter
	cipher *idgen.Cipher
}

// openCodes leases a node id and mints codes from the key.
func openCodes(ctx context.Context, key []byte, leaser idgen.Leaser, logger *slog.Logger, reg prometheus.Registerer) (*codes, error) {
	cipher, err := idgen.NewCipher(key)
	if err != nil {
		return nil, err
	}
	minter, err := idgen.NewMinter(ctx, idgen.Options{Leaser: leaser, Logger: logger, Registerer: reg})
	if err != nil {
		return nil, fmt.Errorf("lease a node id: %w", err)
	}
	return &codes{minter, cipher}, nil
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
