package api

import (
	"testing"

	"github.com/terse/terse/store"
)

// TestVisitsEndBeforeTheSecondPurge holds that no answer from before an edit is under
// way to a CDN any more when that is told of the edit again.
func TestVisitsEndBeforeTheSecondPurge(t *testing.T) {
	t.Parallel()
	if visitTimeout >= store.AgainAfter {
		t.Errorf("a visit may take %v, want less than %v", visitTimeout, store.AgainAfter)
	}
}
