package main

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
)

func TestCheckRandom(t *testing.T) {
	t.Parallel()
	counting := make([]byte, codeKeyLen)
	for i := range counting {
		counting[i] = byte(200 + 3*i)
	}
	few := make([]byte, codeKeyLen)
	for i := range few {
		few[i] = "\x00\x03\x11\xfe\x80\x7f\x31\x99\xc4\xd0\x55\x0a\xee\x1b\x61\xa7"[i*i%16]
	}
	for name, key := range map[string][]byte{
		"zeros": make([]byte, codeKeyLen), "one byte": bytes.Repeat([]byte{0xa7}, codeKeyLen),
		"four bytes": bytes.Repeat([]byte{1, 200, 3, 77}, codeKeyLen/4), "counting": counting, "few different bytes": few,
		"text": []byte("correct horse battery staple! #1"), "hexadecimal": []byte("0123456789abcdef8391a7e50c2d4b6f"),
	} {
		if len(key) != codeKeyLen {
			t.Fatalf("%s has %d bytes, want %d", name, len(key), codeKeyLen)
		}
		if checkRandom(key) == nil {
			t.Errorf("checkRandom of %s = nil, want an error", name)
		}
	}
	for range 100_000 {
		key := make([]byte, codeKeyLen)
		_, _ = rand.Read(key)
		if err := checkRandom(key); err != nil {
			t.Fatalf("checkRandom(%x) = %v, want nil for a random key", key, err)
		}
	}
}

func TestCheckSecret(t *testing.T) {
	t.Parallel()
	for _, weak := range []string{"secret", "Secret!", "CHANGE-ME", "change_me", "<token>", "your-token", "hunter2", "foobared", "xxxxxxxxxxxxxxxx", "sh0rt", "12345678", "abcabcabc", "k3yk3yk3yk", "abcdefghij", "87654321"} {
		if err := checkSecret(weak); err == nil || strings.Contains(err.Error(), weak) {
			t.Errorf("checkSecret(%q) = %v, want an error without the secret", weak, err)
		}
	}
	for _, good := range []string{"9f86d081884c7d659a2feaa0", "a secret that is long", "tr0ub4dor", "abcabcabd", ""} {
		if err := checkSecret(good); err != nil {
			t.Errorf("checkSecret(%q) = %v, want nil", good, err)
		}
	}
}
