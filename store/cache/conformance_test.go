//go:build unix

package cache_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
	"github.com/terse/terse/store/cache/remote"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
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
		{"with Redis", cache.Options{StaleFor: cache.DefaultStaleFor, Remote: openRedis(t, "")}},
		{"with Redis alone", cache.Options{MaxBytes: 1, Remote: openRedis(t, "")}},
		{"with Redis down", cache.Options{Remote: openRedis(t, "redis://127.0.0.1:1")}},
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

// openRedis returns an L2 in the Redis at url, or in a new Redis if url is empty. Its timeout is
// long, because the promises hold for a Redis that answers.
func openRedis(tb testing.TB, url string) *remote.Cache {
	tb.Helper()
	if url == "" {
		url = testenv.NewRedis(tb, testenv.RedisOptions{}).URL()
	}
	r, err := remote.New(remote.Options{URL: url, Timeout: 20 * time.Second, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatalf("New() = %v, want nil", err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Errorf("Close() = %v, want nil", err)
		}
	})
	return r
}

func openSQLite(tb testing.TB) *sqlite.Store {
	tb.Helper()
	s := sqlitetest.Open(tb, func(o *sqlite.Options) { o.Serve = true })
	return s
}
