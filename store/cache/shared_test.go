//go:build unix

package cache_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
	"github.com/terse/terse/store/cache/remote"
	"github.com/terse/terse/store/storetest/servers"
)

// TestWritesAreShared holds that the first redirect after a create, edit or delete
// is a hit in Redis, whichever process answers it, and that the absence of a link
// is not shared.
func TestWritesAreShared(t *testing.T) {
	t.Parallel()
	shared := servers.NewRedis(t, servers.RedisOptions{})
	m := newMemory()
	open := func() *cache.Cache { // as another process does, which keeps nothing yet
		r, err := remote.New(remote.Options{
			URL: shared.URL(), Timeout: 10 * time.Second, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
		return newCache(t, cache.Options{Store: m, Remote: r})
	}
	one := open()
	for _, step := range []struct {
		name  string
		write func() (store.Link, error)
	}{
		{"create", func() (store.Link, error) { return one.Create(t.Context(), link("abc", 0)) }},
		{"update", func() (store.Link, error) { return one.Update(t.Context(), link("abc", 0)) }},
		{"delete", func() (store.Link, error) { return one.Delete(t.Context(), "abc", 0, time.Now()) }},
	} {
		want, err := step.write()
		if err != nil {
			t.Fatalf("%s = %v, want nil", step.name, err)
		}
		got := mustResolve(t, open(), "abc")
		if got.Version != want.Version || got.DeletedAt.IsZero() != want.DeletedAt.IsZero() {
			t.Errorf("Resolve after %s = %+v, want %+v", step.name, got, want)
		}
	}
	if n := m.reads.Load(); n != 0 {
		t.Errorf("the store was asked %d times, want never", n)
	}
	for range 2 {
		if _, err := open().Resolve(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Resolve = %v, want ErrNotFound", err)
		}
	}
	if n := m.reads.Load(); n != 2 {
		t.Errorf("the store was asked %d times for a link that is not there, want once by each process", n)
	}
}
