package store_test

import (
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

func TestValidCode(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"a", "Z", "0", "-", "_", "abc-DEF_019", strings.Repeat("x", store.MaxCodeLen)} {
		if !store.ValidCode(code) {
			t.Errorf("ValidCode(%q) = false, want true", code)
		}
	}
	for _, code := range []string{
		"", " ", ".", "..", "a.b", "a/b", "a+", "%00", "%C0", "a\x00", "\xC0", "abc\xC0", "é", "ａ", "a\n", strings.Repeat("x", store.MaxCodeLen+1),
	} {
		if store.ValidCode(code) {
			t.Errorf("ValidCode(%q) = true, want false", code)
		}
	}
}

// TestValidCodeBytes tries every byte.
func TestValidCodeBytes(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		b := byte(c)
		want := b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b == '-' || b == '_'
		if got := store.ValidCode(string([]byte{'a', b})); got != want {
			t.Errorf("ValidCode with byte %#x = %v, want %v", b, got, want)
		}
	}
}

func TestTrimCode(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"": "", "abc": "abc", "abc/": "abc", "abc).\u200b ": "abc", "a.b": "a.b", "abc_": "abc", "abc-": "abc-", "...": "", "abc+": "abc+", "abc\xff": "abc\xff",
	} {
		if got := store.TrimCode(path); got != want {
			t.Errorf("TrimCode(%q) = %q, want %q", path, got, want)
		}
	}
}
