//go:build unix

package cache_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
	"github.com/terse/terse/store/cache/remote"
)

// newShared returns an empty cache, as another process has.
func newShared(t *testing.T, shared *testenv.Redis, m *memory) *cache.Cache {
	t.Helper()
	return newCache(t, cache.Options{Store: m, Remote: newRemote(t, shared)})
}

func newRemote(t *testing.T, shared *testenv.Redis) *remote.Cache {
	t.Helper()
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
	return r
}

// TestWritesAreShared checks that the first redirect after a create, edit, delete or restore is a
// hit in Redis in every process, and that the absence of a link is not shared.
func TestWritesAreShared(t *testing.T) {
	t.Parallel()
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	m := newMemory()
	open := func() *cache.Cache { return newShared(t, shared, m) }
	one := open()
	for _, step := range []struct {
		name  string
		write func() (store.Link, error)
	}{
		{"create", func() (store.Link, error) { return one.Create(t.Context(), link("abc", 0)) }},
		{"update", func() (store.Link, error) { return one.Update(t.Context(), link("abc", 0)) }},
		{"delete", func() (store.Link, error) { return one.Delete(t.Context(), "abc", 0, time.Now()) }},
		{"restore", func() (store.Link, error) { return one.Restore(t.Context(), link("abc", 0)) }},
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
		t.Errorf("the store was asked %d times, want 0", n)
	}
	for range 2 {
		if _, err := open().Resolve(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Resolve = %v, want ErrNotFound", err)
		}
	}
	if n := m.reads.Load(); n != 2 {
		t.Errorf("the store was asked %d times for a missing link, want once by each process", n)
	}
}

// TestCreateEndsAbsence checks that a process with a cached "no such link" finds the link once
// another process has created it. Before that, the process asks its store only once.
func TestCreateEndsAbsence(t *testing.T) {
	t.Parallel()
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	m := newMemory()
	one, other := newShared(t, shared, m), newShared(t, shared, m)
	for range 3 {
		if _, err := other.Resolve(t.Context(), "abc"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("Resolve of an unknown code = %v, want ErrNotFound", err)
		}
	}
	if n := m.reads.Load(); n != 1 {
		t.Errorf("the store was asked %d times for an unknown code, want once", n)
	}
	if _, err := one.Create(t.Context(), link("abc", 0)); err != nil {
		t.Fatal(err)
	}
	if got := mustResolve(t, other, "abc"); got.Version != 1 {
		t.Errorf("Resolve after another process has created the link = version %d, want 1", got.Version)
	}
}

// TestLateCreateEndsAbsence checks the same for a create that is too late for Redis to
// store the link. The other process receives its announcement.
func TestLateCreateEndsAbsence(t *testing.T) {
	t.Parallel()
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	m := newMemory()
	one := newCache(t, cache.Options{Store: slowCreates{m}, Remote: newRemote(t, shared)})
	heard := newRemote(t, shared)
	other := newCache(t, cache.Options{Store: m, Remote: heard, Now: new(fakeClock).now})
	ctx, stop := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() { other.Listen(ctx) })
	defer listening.Wait()
	defer stop()
	testenv.Await(t, "the channel", heard.Hears)
	if _, err := other.Resolve(t.Context(), "abc"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Resolve of an unknown code = %v, want ErrNotFound", err)
	}
	if _, err := one.Create(t.Context(), link("abc", 0)); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "the announced link (the clock stands still, so the absence does not expire)", func() bool {
		_, err := other.Resolve(t.Context(), "abc")
		return err == nil
	})
}

// TestRestoreReplacesTombstones checks that a tombstone in memory and in Redis does not hide the
// link that another process restores. The clock stands still, so the tombstone does not expire.
func TestRestoreReplacesTombstones(t *testing.T) {
	t.Parallel()
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	m := newMemory()
	one, heard := newShared(t, shared, m), newRemote(t, shared)
	other := newCache(t, cache.Options{Store: m, Remote: heard, Now: new(fakeClock).now})
	ctx, stop := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() { other.Listen(ctx) })
	defer listening.Wait()
	defer stop()
	testenv.Await(t, "the channel", heard.Hears)
	if _, err := one.Create(t.Context(), link("abc", 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Delete(t.Context(), "abc", 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*cache.Cache{one, other} {
		testenv.Await(t, "the tombstone", func() bool { return !mustResolve(t, c, "abc").DeletedAt.IsZero() })
	}
	want, err := one.Restore(t.Context(), link("abc", 0))
	if err != nil {
		t.Fatal(err)
	}
	if got := mustResolve(t, one, "abc"); got.Version != want.Version {
		t.Errorf("Resolve by the process that restored = version %d, want %d", got.Version, want.Version)
	}
	testenv.Await(t, "the restored link in the other process", func() bool {
		got := mustResolve(t, other, "abc")
		return got.Version == want.Version && got.DeletedAt.IsZero()
	})
}

// slowCreates is a memory with creates that are too slow for Redis to store the link.
type slowCreates struct{ *memory }

func (s slowCreates) Create(ctx context.Context, l store.Link) (store.Link, error) {
	time.Sleep(1100 * time.Millisecond)
	return s.memory.Create(ctx, l)
}

// TestAbsenceWithoutRedis checks that "no such link" is cached while Redis is unreachable.
func TestAbsenceWithoutRedis(t *testing.T) {
	t.Parallel()
	m := newMemory()
	d := &diary{Store: m, fail: errors.ErrUnsupported}
	c := newCache(t, cache.Options{Store: m, Remote: d, Admit: d.admit, Now: new(fakeClock).now})
	for range 3 {
		if _, err := c.Resolve(t.Context(), "abc"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("Resolve of an unknown code = %v, want ErrNotFound", err)
		}
	}
	if n := m.reads.Load(); n != 1 {
		t.Errorf("the store was asked %d times for an unknown code, want once", n)
	}
}
