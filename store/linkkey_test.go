package store_test

import (
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

func TestLinkKey(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("x", store.MaxCodeLen)
	for _, tt := range []struct{ id, code, want string }{
		{"", "spring", "spring"},
		{"", longest, longest},
		{"jT0xYqRm4", "spring", "jT0xYqRm4/spring"},
		{"jT0xYqRm45", longest, "jT0xYqRm45/" + longest},
		{"jT0xYqRm4", "jT0xYqRm4", "jT0xYqRm4/jT0xYqRm4"},
		{"000000000", "-_", "000000000/-_"},
	} {
		key := store.LinkKey(tt.id, tt.code)
		if key != tt.want || !store.ValidKey(key) || len(key) > store.MaxKeyLen {
			t.Errorf("LinkKey(%q, %q) = %q, valid %v, want %q, a valid key of at most %d bytes", tt.id, tt.code, key, store.ValidKey(key), tt.want, store.MaxKeyLen)
		}
		if id, code := store.SplitKey(key); id != tt.id || code != tt.code {
			t.Errorf("SplitKey(%q) = %q, %q, want %q, %q", key, id, code, tt.id, tt.code)
		}
		l := store.Link{Code: key}
		if l.DomainID() != tt.id || l.BareCode() != tt.code {
			t.Errorf("link %q has the domain %q and the code %q, want %q and %q", key, l.DomainID(), l.BareCode(), tt.id, tt.code)
		}
		if tt.id != "" && store.ValidCode(key) {
			t.Errorf("ValidCode(%q) = true, want false for a key of another domain", key)
		}
	}
}

func TestValidKeyRefuses(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"", "/", "/spring", "jT0xYqRm4/", "jT0xYqRm/spring", "jT0xYqRm456/spring", "jT0xYqR-4/spring", "jT0xYqR_4/spring",
		"jT0xYqRm4//spring", "jT0xYqRm4/a/b", "jT0xYqRm4/spring/", "jT0xYqRm4\\spring", "jT0xYqRm4/a.b", "jT0xYqRm4/é", "jT0xYqRé/a",
		"jT0xYqRm4 /a", "jT0xYqRm4/a\x00", "\x00jT0xYqRm4/a", "go.example.com/spring", "jT0xYqRm4%2Fspring",
		"jT0xYqRm4/" + strings.Repeat("x", store.MaxCodeLen+1), strings.Repeat("x", store.MaxCodeLen+1),
	} {
		if store.ValidKey(key) {
			t.Errorf("ValidKey(%q) = true, want false", key)
		}
	}
}

// FuzzLinkKey checks that valid keys and pairs of a domain and a code are one to one.
func FuzzLinkKey(f *testing.F) {
	f.Add("jT0xYqRm4/spring")
	f.Add("spring")
	f.Add("/")
	f.Fuzz(func(t *testing.T, key string) {
		id, code := store.SplitKey(key)
		valid := store.ValidCode(code) && (id == "" && !strings.HasPrefix(key, "/") || store.ValidDomainID(id))
		if got := store.ValidKey(key); got != valid {
			t.Errorf("ValidKey(%q) = %v, want %v", key, got, valid)
		}
		if valid && store.LinkKey(id, code) != key {
			t.Errorf("LinkKey(SplitKey(%q)) = %q, want the same key", key, store.LinkKey(id, code))
		}
	})
}
