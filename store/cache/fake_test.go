package cache_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

// The Redis client retries an unreachable server every second, also once after it was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// memory is a store in memory. Tests can pause its reads, make them fail and count them.
type memory struct {
	store.Store // nil: tests do not call List and Reserve

	mu    sync.Mutex
	links map[string]store.Link
	stale map[string]store.Link // links on a lagging replica, for Resolve

	fail          atomic.Pointer[error]
	getFails      atomic.Pointer[error]
	reads         atomic.Int64
	afterRead     func(ctx context.Context) error // runs between the read and its answer
	beforeConsume func()
	lostWrite     bool // writes are done, but return ErrUnavailable
}

func newMemory(links ...store.Link) *memory {
	m := &memory{links: map[string]store.Link{}}
	for _, l := range links {
		m.links[l.Code] = l
	}
	return m
}

func (m *memory) failWith(err error) {
	if err == nil {
		m.fail.Store(nil)
		return
	}
	m.fail.Store(&err)
}

func (m *memory) Resolve(ctx context.Context, code string) (store.Link, error) {
	m.reads.Add(1)
	if err := m.fail.Load(); err != nil {
		return store.Link{}, *err
	}
	m.mu.Lock()
	l, ok := m.stale[code]
	if !ok {
		l, ok = m.links[code]
	}
	m.mu.Unlock()
	if m.afterRead != nil {
		if err := m.afterRead(ctx); err != nil {
			return store.Link{}, err
		}
	}
	if !ok {
		return store.Link{}, fmt.Errorf("memory %q: %w", code, store.ErrNotFound)
	}
	return l, nil
}

// Get reads from the primary.
func (m *memory) Get(_ context.Context, code string) (store.Link, error) {
	if err := m.getFails.Load(); err != nil {
		return store.Link{}, *err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.links[code]
	if !ok {
		return store.Link{}, store.ErrNotFound
	}
	return l, nil
}

// set changes a link on the primary or on the lagging replica.
func (m *memory) set(at *map[string]store.Link, l store.Link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if *at == nil {
		*at = map[string]store.Link{}
	}
	(*at)[l.Code] = l
}

func (m *memory) edit(code string, change func(l *store.Link) error) (store.Link, error) {
	if err := m.fail.Load(); err != nil {
		return store.Link{}, *err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.links[code]
	if !ok {
		return store.Link{}, store.ErrNotFound
	}
	if !l.DeletedAt.IsZero() {
		return store.Link{}, store.ErrGone
	}
	err := change(&l)
	m.links[code] = l
	if m.lostWrite {
		return store.Link{}, store.ErrUnavailable
	}
	return l, err
}

func (m *memory) Create(_ context.Context, l store.Link) (store.Link, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.links[l.Code]; ok {
		return store.Link{}, store.ErrExists
	}
	l.Version = 1
	m.links[l.Code] = l
	return l, nil
}

func (m *memory) Update(_ context.Context, l store.Link) (store.Link, error) {
	return m.edit(l.Code, func(old *store.Link) error {
		l.Version = old.Version + 1
		*old = l
		return nil
	})
}

func (m *memory) Delete(_ context.Context, code string, _ int64, at time.Time) (store.Link, error) {
	return m.edit(code, func(l *store.Link) error {
		*l = l.Tombstone(at)
		return nil
	})
}

func (m *memory) Restore(_ context.Context, l store.Link) (store.Link, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.links[l.Code].DeletedAt.IsZero() {
		return store.Link{}, store.ErrExists
	}
	l.Version = m.links[l.Code].Version + 1
	m.links[l.Code] = l
	return l, nil
}

func (m *memory) Consume(_ context.Context, code string, now time.Time) (store.Link, error) {
	if m.beforeConsume != nil {
		m.beforeConsume()
	}
	return m.edit(code, func(l *store.Link) error {
		if l.State(now) != store.Live {
			return store.ErrNotLive
		}
		l.UsedClicks++
		return nil
	})
}

// fakeClock is a clock that only a test moves.
type fakeClock struct{ nanos atomic.Int64 }

func (c *fakeClock) now() time.Time          { return time.Unix(1_800_000_000, c.nanos.Load()) }
func (c *fakeClock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func newCache(tb testing.TB, opts cache.Options) *cache.Cache {
	tb.Helper()
	if opts.Registerer == nil {
		opts.Registerer = prometheus.NewRegistry()
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	c, err := cache.New(opts)
	if err != nil {
		tb.Fatalf("New = %v", err)
	}
	return c
}

func mustResolve(tb testing.TB, c *cache.Cache, code string) store.Link {
	tb.Helper()
	l, err := c.Resolve(tb.Context(), code)
	if err != nil {
		tb.Fatalf("Resolve(%q) = %v, want a link", code, err)
	}
	return l
}

func link(code string, version int64) store.Link {
	return store.Link{
		Code: code, URL: fmt.Sprintf("https://example.com/%s/%d", code, version),
		Status: 302, Version: version,
		CreatedAt: time.UnixMicro(1_790_000_000_000_001).UTC(),
		UpdatedAt: time.UnixMicro(1_790_000_000_000_001 + version).UTC(),
	}
}
