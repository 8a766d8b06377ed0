package api

import (
	"testing"

	"github.com/terse/terse/store"
)

// TestVisitsEndBeforeTheSecondPurge checks that a visit takes less time than the second
// purge after an edit. An answer from before the edit then cannot reach the CDN after that
// purge.
func TestVisitsEndBeforeTheSecondPurge(t *testing.T) {
	t.Parallel()
	if visitTimeout >= store.AgainAfter {
		t.Errorf("a visit may take %v, want less than %v", visitTimeout, store.AgainAfter)
	}
}

func TestLinkTags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ key, surrogateKey, cacheTag string }{
		{"spring", "link-spring", "link-spring"},
		{"jT0xYqRm4/spring", "link-jT0xYqRm4/spring domain-jT0xYqRm4", "link-jT0xYqRm4/spring,domain-jT0xYqRm4"},
	} {
		if surrogateKey, cacheTag := linkTags(tt.key); surrogateKey != tt.surrogateKey || cacheTag != tt.cacheTag {
			t.Errorf("linkTags(%q) = %q, %q, want %q, %q", tt.key, surrogateKey, cacheTag, tt.surrogateKey, tt.cacheTag)
		}
	}
}
