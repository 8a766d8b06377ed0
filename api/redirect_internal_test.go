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
