package idgen_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/terse/terse/idgen"
)

func TestCheckKey(t *testing.T) {
	t.Parallel()
	counting := make([]byte, idgen.KeySize)
	for i := range counting {
		counting[i] = byte(200 + 3*i)
	}
	few := make([]byte, idgen.KeySize)
	for i := range few {
		few[i] = "\x00\x03\x11\xfe\x80\x7f\x31\x99\xc4\xd0\x55\x0a\xee\x1b\x61\xa7"[i*i%16]
	}
	for name, key := range map[string][]byte{
		"zeros": make([]byte, idgen.KeySize), "one byte": bytes.Repeat([]byte{0xa7}, idgen.KeySize),
		"four bytes": bytes.Repeat([]byte{1, 200, 3, 77}, idgen.KeySize/4), "counting": counting, "few different bytes": few,
		"text": []byte("correct horse battery staple! #1"), "hexadecimal": []byte("0123456789abcdef8391a7e50c2d4b6f"),
	} {
		if len(key) != idgen.KeySize {
			t.Fatalf("%s has %d bytes, want %d", name, len(key), idgen.KeySize)
		}
		if idgen.CheckKey(key) == nil {
			t.Errorf("CheckKey of %s = nil, want an error", name)
		}
	}
	for range 100_000 {
		key := make([]byte, idgen.KeySize)
		_, _ = rand.Read(key)
		if err := idgen.CheckKey(key); err != nil {
			t.Fatalf("idgen.CheckKey(%x) = %v, want nil for a random key", key, err)
		}
	}
}

// secrets are Secrets in memory.
type secrets map[string][]byte

func (s secrets) Secret(_ context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	if kept := s[name]; kept != nil {
		return kept, nil
	}
	made, err := make()
	s[name] = made
	return made, err
}

// TestStoredKey checks that the first key stays, whether it was given or random.
func TestStoredKey(t *testing.T) {
	t.Parallel()
	given, other := bytes.Repeat([]byte{1}, idgen.KeySize), bytes.Repeat([]byte{2}, idgen.KeySize)
	for name, first := range map[string][]byte{"given": given, "random": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := secrets{}
			key, err := idgen.StoredKey(t.Context(), s, first)
			if err != nil || len(key) != idgen.KeySize || first != nil && !bytes.Equal(key, first) {
				t.Fatalf("StoredKey() = %x, %v, want a key", key, err)
			}
			if first == nil && idgen.CheckKey(key) != nil {
				t.Errorf("StoredKey() = %x, want a random key", key)
			}
			for _, again := range [][]byte{nil, key} {
				if got, err := idgen.StoredKey(t.Context(), s, again); err != nil || !bytes.Equal(got, key) {
					t.Errorf("StoredKey(%x) = %x, %v, want the first key", again, got, err)
				}
			}
			if _, err := idgen.StoredKey(t.Context(), s, other); !errors.Is(err, idgen.ErrOtherKey) {
				t.Errorf("StoredKey() with another key = %v, want ErrOtherKey", err)
			}
		})
	}
}
