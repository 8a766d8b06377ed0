package idgen

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
)

// Secrets keeps secrets by name. The embedded database implements it.
type Secrets interface {
	// Secret returns the secret with the given name. The first call stores the result of
	// make. Concurrent callers get the same secret.
	Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error)
}

// keySecret is the name of the key in Secrets.
const keySecret = "code_key"

// ErrOtherKey reports a key that differs from the stored key. It would mint codes that exist.
var ErrOtherKey = errors.New("differs from the key of this database")

// StoredKey returns the key of a Cipher from secrets. The first call stores the given key, or a
// random key when given is nil. Later, another given key is ErrOtherKey.
func StoredKey(ctx context.Context, secrets Secrets, given []byte) ([]byte, error) {
	key, err := secrets.Secret(ctx, keySecret, func() ([]byte, error) {
		if given != nil {
			return given, nil
		}
		fresh := make([]byte, KeySize)
		_, err := rand.Read(fresh)
		return fresh, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the code key: %w", err)
	}
	if given != nil && !bytes.Equal(given, key) {
		return nil, ErrOtherKey
	}
	return key, nil
}

// minDistinct is the smallest number of different bytes in a valid key. Fewer than one in
// 10^9 random keys of 32 bytes is below it.
const minDistinct = 20

// CheckKey rejects a key that a person probably wrote: a key that repeats, counts, has few
// different bytes, or is text. Its error completes a sentence that begins "must be random,
// but".
func CheckKey(key []byte) error {
	distinct, steps, text := map[byte]bool{}, map[byte]bool{}, true
	var before byte
	for _, b := range key {
		distinct[b] = true
		steps[b-before] = true
		before = b
		text = text && b >= ' ' && b <= '~'
	}
	switch {
	case len(steps) < minDistinct/2:
		return errors.New("its bytes follow a pattern")
	case len(distinct) < minDistinct:
		return errors.New("it has too few different bytes")
	case text:
		return errors.New("it is readable text")
	}
	return nil
}
