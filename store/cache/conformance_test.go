package cache_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts cache.Options
	}{
		{"as it is by default", cache.Options{StaleFor: cache.DefaultStaleFor}},
		{"with answers that age at once", cache.Options{TTL: time.Nanosecond, NegativeTTL: time.Nanosecond}},
		{"with no room", cache.Options{MaxBytes: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Options{Open: func(tb testing.TB) store.Store {
				opts := tt.opts
				opts.Store = openSQLite(tb)
				return newCache(tb, opts)
			}})
		})
	}
}

func openSQLite(tb testing.TB) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(tb.Context(), sqlite.Options{
		Dir: tb.TempDir(), Serve: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatalf("Open() = %v, want nil", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close() = %v, want nil", err)
		}
	})
	return s
}
