package cache_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := cache.New(cache.Options{MaxBytes: -1, TTL: -1, NegativeTTL: time.Minute, LoadTimeout: -1, StaleFor: -2})
	if err == nil {
		t.Fatal("New = nil, want an error")
	}
	for _, field := range []string{"Store", "Registerer", "Logger", "MaxBytes", "TTL", "NegativeTTL", "LoadTimeout", "StaleFor"} {
		if !strings.Contains(err.Error(), "cache: Options."+field+" ") {
			t.Errorf("New = %v, want it to name %s", err, field)
		}
	}
}

func TestResolveReturnsTheWholeLink(t *testing.T) {
	t.Parallel()
	at := func(n int64) time.Time { return time.UnixMicro(1_790_000_000_123_456 + n).UTC() }
	full := store.Link{
		Code: "full", URL: "https://example.com/?a=1", Title: "ein Titel ✓", Tags: []string{"", "a", "bc"}, Owner: "key_1",
		Status: 308, ForwardQuery: store.ForwardOverride, StartsAt: at(1), ExpiresAt: at(2), MaxClicks: 7,
		PasswordHash: "$2a$", DisabledAt: at(3), DisabledReason: "phishing", DeletedAt: at(4), CreatedAt: at(5),
		UpdatedAt: at(6), Version: 9, RequestID: "r1", UsedClicks: 3, Confirm: true, NoVisitors: true, ForwardPath: true, Rules: `[{"to":"https://example.com/"}]`,
	}
	for _, want := range []store.Link{full, {Code: "bare", URL: "https://example.com", Status: 302, Version: 1}} {
		t.Run(want.Code, func(t *testing.T) {
			t.Parallel()
			c := newCache(t, cache.Options{Store: newMemory(want)})
			for range 2 { // the load, then L1
				if got := mustResolve(t, c, want.Code); !reflect.DeepEqual(got, want) {
					t.Errorf("Resolve(%q) =\n%+v, want\n%+v", want.Code, got, want)
				}
			}
		})
	}
}

func TestResolvedTagsBelongToTheCaller(t *testing.T) {
	t.Parallel()
	under := link("tagged", 1)
	under.Tags = []string{"a", "b"}
	c := newCache(t, cache.Options{Store: newMemory(under)})
	for range 3 {
		got := mustResolve(t, c, "tagged")
		if want := []string{"a", "b"}; !reflect.DeepEqual(got.Tags, want) {
			t.Fatalf("Tags = %q, want %q", got.Tags, want)
		}
		got.Tags[0] = "changed by a caller"
	}
}

func TestHitsDoNotExtendTheTTL(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	m := newMemory(link("abc", 1))
	c := newCache(t, cache.Options{Store: m, TTL: 10 * time.Second, Now: clock.now})
	mustResolve(t, c, "abc")
	for range 8 { // to 8.8 s, before the earliest expiry
		clock.advance(1100 * time.Millisecond)
		mustResolve(t, c, "abc")
	}
	if got := m.reads.Load(); got != 1 {
		t.Fatalf("reads within the TTL = %d, want 1", got)
	}
	clock.advance(2300 * time.Millisecond) // to 11.1 s, after the latest expiry
	mustResolve(t, c, "abc")
	if got := m.reads.Load(); got != 2 {
		t.Errorf("reads after the TTL = %d, want 2", got)
	}
}

func TestTTLIsJittered(t *testing.T) {
	t.Parallel()
	const keys = 200
	var clock fakeClock
	m := newMemory()
	for i := range keys {
		l := link(fmt.Sprint("k", i), 1)
		m.links[l.Code] = l
	}
	c := newCache(t, cache.Options{Store: m, TTL: 10 * time.Second, Now: clock.now})
	resolveAll := func() int64 {
		before := m.reads.Load()
		for code := range m.links {
			mustResolve(t, c, code)
		}
		return m.reads.Load() - before
	}
	resolveAll()
	clock.advance(10 * time.Second)
	if got := resolveAll(); got < keys/4 || got > keys*3/4 {
		t.Errorf("%d of %d links had expired after exactly one TTL, want about half", got, keys)
	}
}

func TestNotFoundIsRememberedBriefly(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	m := newMemory()
	c := newCache(t, cache.Options{Store: m, Now: clock.now})
	for _, step := range []struct {
		advance time.Duration
		reads   int64
	}{{0, 1}, {0, 1}, {1700 * time.Millisecond, 1}, {300 * time.Millisecond, 2}} {
		clock.advance(step.advance)
		if _, err := c.Resolve(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("Resolve = %v, want ErrNotFound", err)
		}
		if got := m.reads.Load(); got != step.reads {
			t.Errorf("reads after %v = %d, want %d", step.advance, got, step.reads)
		}
	}
}

func TestOneLoadForAllWhoWait(t *testing.T) {
	t.Parallel()
	const waiters = 500
	release := make(chan struct{})
	m := newMemory(link("hot", 1))
	m.afterRead = func(context.Context) error { <-release; return nil }
	reg := prometheus.NewRegistry()
	c := newCache(t, cache.Options{Store: m, Registerer: reg})

	var wg sync.WaitGroup
	for range waiters {
		wg.Go(func() {
			if l, err := c.Resolve(t.Context(), "hot"); err != nil || l.Version != 1 {
				t.Errorf("Resolve = version %d, %v, want 1, nil", l.Version, err)
			}
		})
	}
	testenv.Await(t, "a read", func() bool { return m.reads.Load() > 0 })
	close(release)
	wg.Wait()
	if got := m.reads.Load(); got != 1 {
		t.Errorf("reads = %d, want 1", got)
	}
}

func TestWaiterLeavesWhileTheLoadGoesOn(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	m := newMemory(link("slow", 1))
	m.afterRead = func(ctx context.Context) error { <-release; return ctx.Err() }
	c := newCache(t, cache.Options{Store: m})

	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { _, err := c.Resolve(ctx, "slow"); left <- err }()
	testenv.Await(t, "the first read", func() bool { return m.reads.Load() == 1 })
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("Resolve of a caller that left = %v, want context.Canceled", err)
	}
	close(release)
	mustResolve(t, c, "slow")
	if got := m.reads.Load(); got != 1 {
		t.Errorf("reads = %d, want 1: the first load must continue", got)
	}
}

func TestLoadHasADeadline(t *testing.T) {
	t.Parallel()
	m := newMemory(link("stuck", 1))
	m.afterRead = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	c := newCache(t, cache.Options{Store: m, LoadTimeout: time.Millisecond})
	_, err := c.Resolve(t.Context(), "stuck")
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Resolve = %v, want ErrUnavailable, not the error of the caller's ctx", err)
	}
}

func TestFailedLoadIsNotRemembered(t *testing.T) {
	t.Parallel()
	m := newMemory(link("abc", 1))
	c := newCache(t, cache.Options{Store: m, StaleFor: time.Hour})
	m.failWith(store.ErrUnavailable)
	for want := int64(1); want <= 2; want++ {
		if _, err := c.Resolve(t.Context(), "abc"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Resolve = %v, want ErrUnavailable", err)
		}
		if got := m.reads.Load(); got != want {
			t.Errorf("reads = %d, want %d", got, want)
		}
	}
	m.failWith(nil)
	mustResolve(t, c, "abc")
}

func TestEndedContext(t *testing.T) {
	t.Parallel()
	m := newMemory(link("held", 1), link("new", 1))
	c := newCache(t, cache.Options{Store: m})
	mustResolve(t, c, "held")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, code := range []string{"held", "new"} {
		if _, err := c.Resolve(ctx, code); !errors.Is(err, context.Canceled) {
			t.Errorf("Resolve(%q) = %v, want context.Canceled", code, err)
		}
	}
	if got := m.reads.Load(); got != 1 {
		t.Errorf("reads = %d, want 1: no load must start", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const maxBytes = 256 << 10
	m := newMemory()
	reg := prometheus.NewRegistry()
	c := newCache(t, cache.Options{Store: m, MaxBytes: maxBytes, Registerer: reg})
	for i := range 5000 {
		l := link(fmt.Sprint("key", i), 1)
		m.links[l.Code] = l
		mustResolve(t, c, l.Code)
	}
	testenv.Await(t, "the cache to shrink", func() bool { return gauge(t, reg, "terse_cache_bytes") <= maxBytes })
	if got := gauge(t, reg, "terse_cache_bytes"); got < maxBytes/2 {
		t.Errorf("bytes = %v, want nearly %d", got, maxBytes)
	}
	if got := gauge(t, reg, "terse_cache_evictions_total"); got < 4000 {
		t.Errorf("evictions = %v, want at least 4000", got)
	}
}

func TestSizeIsHonest(t *testing.T) { // not parallel, because it measures the heap
	const links = 20_000
	m := newMemory()
	reg := prometheus.NewRegistry()
	for i := range links {
		l := link(fmt.Sprintf("code%05d", i), 1)
		l.URL = "https://example.com/" + strings.Repeat("p", 80)
		l.Owner = "key_0123456789ab"
		m.links[l.Code] = l
	}
	before := heap()
	c := newCache(t, cache.Options{Store: m, MaxBytes: 100 << 20, Registerer: reg})
	for code := range m.links {
		mustResolve(t, c, code)
	}
	took := float64(heap() - before)
	counted := gauge(t, reg, "terse_cache_bytes")
	t.Logf("a link takes %.0f bytes and is counted as %.0f", took/links, counted/links)
	if took > counted*1.1 || took < counted*0.8 {
		t.Errorf("the heap grew by %.0f bytes, but size counts %.0f", took, counted)
	}
	if took/links > 450 {
		t.Errorf("a link takes %.0f bytes, want at most 450", took/links)
	}
	runtime.KeepAlive(m)
	runtime.KeepAlive(c)
}

func TestHitDoesNotAllocate(t *testing.T) { // not parallel, because it counts allocations
	m := newMemory(link("abc", 1))
	c := newCache(t, cache.Options{Store: m, TTL: time.Hour})
	mustResolve(t, c, "abc")
	_, _ = c.Resolve(t.Context(), "none")
	ctx := t.Context()
	for _, code := range []string{"abc", "none"} {
		if got := testing.AllocsPerRun(1000, func() { _, _ = c.Resolve(ctx, code) }); got != 0 {
			t.Errorf("allocations of a hit on %q = %v, want 0", code, got)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	m := newMemory(link("abc", 1))
	reg := prometheus.NewRegistry()
	c := newCache(t, cache.Options{Store: m, Registerer: reg, StaleFor: time.Hour, Now: clock.now})
	mustResolve(t, c, "abc")              // miss
	mustResolve(t, c, "abc")              // hit
	_, _ = c.Resolve(t.Context(), "none") // miss
	_, _ = c.Resolve(t.Context(), "none") // negative
	clock.advance(time.Minute)
	m.failWith(store.ErrUnavailable)
	mustResolve(t, c, "abc") // stale, after a failed load
	mustResolve(t, c, "abc") // stale, from L1
	want := `
# HELP terse_cache_requests_total Resolved codes by tier and result: hit (an answer), miss (no answer), stale (an old link, because the store could not answer), negative (a cached "no such link") or error (the tier could not be asked).
# TYPE terse_cache_requests_total counter
terse_cache_requests_total{result="error",tier="redis"} 0
terse_cache_requests_total{result="error",tier="store"} 1
terse_cache_requests_total{result="hit",tier="l1"} 1
terse_cache_requests_total{result="hit",tier="redis"} 0
terse_cache_requests_total{result="hit",tier="store"} 1
terse_cache_requests_total{result="miss",tier="l1"} 2
terse_cache_requests_total{result="miss",tier="redis"} 0
terse_cache_requests_total{result="miss",tier="store"} 1
terse_cache_requests_total{result="negative",tier="l1"} 1
terse_cache_requests_total{result="stale",tier="l1"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "terse_cache_requests_total"); err != nil {
		t.Error(err)
	}
}

func BenchmarkResolveHit(b *testing.B) {
	m := newMemory(link("abc", 1))
	c := newCache(b, cache.Options{Store: m, TTL: time.Hour})
	mustResolve(b, c, "abc")
	ctx := b.Context()
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Resolve(ctx, "abc")
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = c.Resolve(ctx, "abc")
			}
		})
	})
}

// gauge returns the value of a metric without labels.
func gauge(tb testing.TB, reg *prometheus.Registry, name string) float64 {
	tb.Helper()
	families, err := reg.Gather()
	if err != nil {
		tb.Fatalf("Gather = %v", err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	tb.Fatalf("no metric %s", name)
	return 0
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkResolveMiss(b *testing.B) {
	c := newCache(b, cache.Options{Store: newMemory(link("abc", 1)), TTL: time.Nanosecond})
	b.ReportAllocs()
	for b.Loop() {
		mustResolve(b, c, "abc")
	}
}
