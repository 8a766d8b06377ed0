package sqlite_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/idgen"
	"github.com/terse/terse/idgen/leasetest"
	"github.com/terse/terse/store/sqlite"
)

// TestLeaser runs the conformance tests of idgen.Leaser.
func TestLeaser(t *testing.T) {
	t.Parallel()
	leasetest.TestLeaser(t, func(t testing.TB) (a, b idgen.Leaser, advance func(time.Duration)) {
		t.Helper()
		var ahead atomic.Int64
		start := time.Now()
		database, err := sqlite.Open(context.Background(), sqlite.Options{
			Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return start.Add(time.Duration(ahead.Load())) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := database.Close(); err != nil {
				t.Error(err)
			}
		})
		return database.Leases(), database.Leases(), func(d time.Duration) { ahead.Add(int64(d)) }
	})
}
