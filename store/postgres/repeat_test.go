package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
)

// TestRepeatPlan checks that Repeat costs as much as the latest edits, however long the
// history is.
func TestRepeatPlan(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	conn := c.connect(t, c.database(t))
	fill(t, conn)
	for _, mode := range []string{"custom", "generic"} {
		got := explain(t, conn, mode, "", postgres.RepeatLatest, []any{store.Caches, time.Minute})
		if !strings.Contains(got.text, `"link_history_by_age"`) || strings.Contains(got.text, `"Seq Scan"`) && !strings.Contains(got.text, `"outbox"`) || got.blocks > 60 {
			t.Errorf("%s plan looks at %d blocks, want at most 60 by link_history_by_age:\n%s", mode, got.blocks, got.text)
		}
	}
}
