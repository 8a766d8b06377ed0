package ratelimit_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/terse/terse/api/ratelimit"
)

// The Redis client retries an unreachable server every second, also once after it was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// fakeClock is a clock that moves only by advance.
type fakeClock struct{ nanos atomic.Int64 }

func (c *fakeClock) now() time.Time          { return time.Unix(1_800_000_000, c.nanos.Load()) }
func (c *fakeClock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func newLocal(maxKeys int) (*ratelimit.Local, *fakeClock) {
	clock := new(fakeClock)
	return ratelimit.NewLocal(ratelimit.LocalOptions{MaxKeys: maxKeys, Now: clock.now}), clock
}

func mustTake(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, l *ratelimit.Local, key string, limit ratelimit.Limit, n int,
) ratelimit.Result {
	t.Helper()
	r, err := l.Take(context.Background(), key, limit, n)
	if err != nil {
		t.Fatalf("Take(%q, %v, %d) = %v", key, limit, n, err)
	}
	return r
}

var perMinute = ratelimit.Limit{Count: 60, Window: time.Minute}

func TestTake(t *testing.T) {
	t.Parallel()
	l, clock := newLocal(0)
	for _, step := range []struct {
		name    string
		advance time.Duration
		n       int
		want    ratelimit.Result
	}{
		{"look", 0, 0, ratelimit.Result{Remaining: 60}},
		{"one", 0, 1, ratelimit.Result{Allowed: 1, Remaining: 59, ResetAfter: time.Second}},
		{"burst", 0, 58, ratelimit.Result{Allowed: 58, Remaining: 1, ResetAfter: 59 * time.Second}},
		{"more than there are", 0, 5, ratelimit.Result{Allowed: 1, RetryAfter: time.Second, ResetAfter: time.Minute}},
		{"none left", 0, 1, ratelimit.Result{RetryAfter: time.Second, ResetAfter: time.Minute}},
		{"just too soon", time.Second - 1, 1, ratelimit.Result{RetryAfter: time.Second, ResetAfter: time.Minute}},
		{"grown back", 1, 1, ratelimit.Result{Allowed: 1, ResetAfter: time.Minute}},
		{"half", 30 * time.Second, 40, ratelimit.Result{Allowed: 30, RetryAfter: time.Second, ResetAfter: time.Minute}},
		{"all", time.Hour, 1000, ratelimit.Result{Allowed: 60, RetryAfter: time.Second, ResetAfter: time.Minute}},
	} {
		clock.advance(step.advance)
		if got := mustTake(t, l, "k", perMinute, step.n); got != step.want {
			t.Errorf("%s: Take(%d) = %+v, want %+v", step.name, step.n, got, step.want)
		}
	}
	if got := mustTake(t, l, "other", perMinute, 1).Allowed; got != 1 {
		t.Errorf("Take of another key = %d, want 1", got)
	}
}

func TestTakeWithoutLimit(t *testing.T) {
	t.Parallel()
	l, _ := newLocal(0)
	if got, want := mustTake(t, l, "k", ratelimit.Limit{}, 7), (ratelimit.Result{Allowed: 7}); got != want {
		t.Errorf("Take = %+v, want %+v", got, want)
	}
	if got := l.Len(); got != 0 {
		t.Errorf("Len = %d, want 0", got)
	}
}

// TestSmallerLimitOfAKey checks what is left of a key under a limit that is smaller than
// the one under which its permits were taken.
func TestSmallerLimitOfAKey(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	l := ratelimit.NewLocal(ratelimit.LocalOptions{Now: clock.now})
	for _, step := range []struct {
		limit ratelimit.Limit
		n     int
		want  ratelimit.Result
	}{
		{ratelimit.Limit{Count: 60, Window: time.Minute}, 60, ratelimit.Result{Allowed: 60, ResetAfter: time.Minute}},
		{ratelimit.Limit{Count: 10, Window: 10 * time.Second}, 1, ratelimit.Result{RetryAfter: 51 * time.Second, ResetAfter: time.Minute}},
	} {
		if got, err := l.Take(t.Context(), "k", step.limit, step.n); err != nil || got != step.want {
			t.Errorf("Take(%v, %d) = %+v, %v, want %+v", step.limit, step.n, got, err, step.want)
		}
	}
}

func TestTakeRefuses(t *testing.T) {
	t.Parallel()
	l, _ := newLocal(0)
	for _, tt := range []struct {
		limit ratelimit.Limit
		n     int
	}{
		{ratelimit.Limit{Count: 1}, 1},
		{ratelimit.Limit{Window: time.Minute}, 1},
		{ratelimit.Limit{Count: -1, Window: time.Minute}, 1},
		{perMinute, -1},
	} {
		if r, err := l.Take(t.Context(), "k", tt.limit, tt.n); err == nil {
			t.Errorf("Take(%+v, %d) = %+v, want an error", tt.limit, tt.n, r)
		}
	}
}

// bucket is the reference implementation: a token bucket with continuous growth. Its
// numbers are nanoseconds of growth.
type bucket struct {
	each, size, level int64
	at                time.Time
}

func newBucket(limit ratelimit.Limit, now time.Time) *bucket {
	each := int64(limit.Window) / int64(limit.Count)
	return &bucket{each: each, size: each * int64(limit.Count), level: each * int64(limit.Count), at: now}
}

func (b *bucket) take(now time.Time, n int) int {
	b.level = min(b.size, b.level+int64(now.Sub(b.at)))
	b.at = now
	taken := min(int64(n), b.level/b.each)
	b.level -= taken * b.each
	return int(taken)
}

func TestTakeIsATokenBucket(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := ratelimit.Limit{
			Count:  rapid.IntRange(1, 200).Draw(t, "count"),
			Window: time.Duration(rapid.IntRange(1, 700).Draw(t, "seconds")) * time.Second,
		}
		l, clock := newLocal(0)
		began, total := clock.now(), 0
		oracle := newBucket(limit, began)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			clock.advance(time.Duration(rapid.Int64Range(0, int64(limit.Window)*2/int64(limit.Count)).Draw(t, "advance")))
			n := rapid.IntRange(0, limit.Count+2).Draw(t, "n")
			want := oracle.take(clock.now(), n)
			got := mustTake(t, l, "k", limit, n)
			total += got.Allowed
			if got.Allowed != want || got.Remaining != int(oracle.level/oracle.each) {
				t.Fatalf("Take(%d) = %+v, want %d with %d left", n, got, want, oracle.level/oracle.each)
			}
			if reset := time.Duration(oracle.size - oracle.level); got.ResetAfter-reset < 0 || got.ResetAfter-reset >= time.Second {
				t.Fatalf("ResetAfter = %v, want %v rounded up", got.ResetAfter, reset)
			}
			if refused := got.Allowed < n || n == 0 && got.Remaining == 0; (got.RetryAfter > 0) != refused {
				t.Fatalf("Take(%d) = %+v, want RetryAfter if fewer permits were allowed, or with n = 0 none is left", n, got)
			}
		}
		each := limit.Window / time.Duration(limit.Count)
		if most := limit.Count + int(clock.now().Sub(began)/each); total > most {
			t.Fatalf("allowed %d in %v, want at most %d", total, clock.now().Sub(began), most)
		}
	})
}

func TestRetryAfterIsRightToTheSecond(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := ratelimit.Limit{
			Count:  rapid.IntRange(1, 50).Draw(t, "count"),
			Window: time.Duration(rapid.IntRange(1, 7000).Draw(t, "seconds")) * time.Second,
		}
		l, clock := newLocal(0)
		mustTake(t, l, "k", limit, limit.Count)
		clock.advance(time.Duration(rapid.Int64Range(0, int64(limit.Window)/int64(limit.Count)-1).Draw(t, "advance")))
		wait := mustTake(t, l, "k", limit, 1).RetryAfter
		if wait <= 0 || wait%time.Second != 0 {
			t.Fatalf("RetryAfter = %v, want whole seconds", wait)
		}
		clock.advance(wait - time.Second)
		if got := mustTake(t, l, "k", limit, 0).Remaining; got != 0 {
			t.Fatalf("permits a second before RetryAfter %v = %d, want 0", wait, got)
		}
		clock.advance(time.Second)
		if got := mustTake(t, l, "k", limit, 1).Allowed; got != 1 {
			t.Fatalf("permits after RetryAfter %v = %d, want 1", wait, got)
		}
	})
}

func TestSustainedRate(t *testing.T) {
	t.Parallel()
	l, clock := newLocal(0)
	allowed := 0
	for range 10 * 60 * 10 { // ten requests a second for ten minutes; the limit is one a second
		allowed += mustTake(t, l, "k", perMinute, 1).Allowed
		clock.advance(100 * time.Millisecond)
	}
	if want := 60 + 10*60 - 1; allowed != want { // the burst, and one for each full second
		t.Errorf("allowed = %d, want %d", allowed, want)
	}
}

func TestFloodIsBoundedAndResetsNobody(t *testing.T) {
	t.Parallel()
	const maxKeys = 100
	l, clock := newLocal(maxKeys)
	mustTake(t, l, "attacker", perMinute, 60)
	for i := range 50 * maxKeys {
		mustTake(t, l, fmt.Sprint("flood", i), perMinute, 1)
		clock.advance(time.Millisecond)
		if got := l.Len(); got > maxKeys {
			t.Fatalf("Len = %d, want at most %d", got, maxKeys)
		}
	}
	// 5 permits have grown back in the 5 s of the flood.
	if got := mustTake(t, l, "attacker", perMinute, 60).Allowed; got != 5 {
		t.Errorf("permits of an exhausted key after a flood = %d, want 5", got)
	}
}

// TestFloodOfAnotherLimitResetsNobody checks that keys of a limit with a long window do not
// displace exhausted keys of a limit with a short one.
func TestFloodOfAnotherLimitResetsNobody(t *testing.T) {
	t.Parallel()
	const maxKeys = 100
	l, _ := newLocal(maxKeys)
	short, long := ratelimit.Limit{Count: 40, Window: 20 * time.Second}, ratelimit.Limit{Count: 5, Window: 10 * time.Minute}
	mustTake(t, l, "unknown:2001:db8::/64", short, 40)
	for i := range 10 * maxKeys {
		mustTake(t, l, fmt.Sprint("report:192.0.2.", i), long, 1)
	}
	if got := mustTake(t, l, "unknown:2001:db8::/64", short, 40).Allowed; got != 0 {
		t.Errorf("permits of an exhausted key after a flood of another limit = %d, want 0", got)
	}
	if got := l.Len(); got != maxKeys+1 {
		t.Errorf("Len = %d, want %d", got, maxKeys+1)
	}
}

func TestNewKeysAreLimitedWhenFull(t *testing.T) {
	t.Parallel()
	const maxKeys = 10
	l, _ := newLocal(maxKeys)
	for i := range maxKeys {
		mustTake(t, l, fmt.Sprint("old", i), perMinute, 60)
	}
	allowed := 0
	for range 100 {
		allowed += mustTake(t, l, "new", perMinute, 1).Allowed
	}
	if allowed != 60 {
		t.Errorf("permits of a new key = %d, want 60", allowed)
	}
}

func TestIdleKeysAreForgotten(t *testing.T) {
	t.Parallel()
	l, clock := newLocal(0)
	for i := range 1000 {
		mustTake(t, l, fmt.Sprint(i), perMinute, 1)
	}
	clock.advance(time.Hour)
	if got := mustTake(t, l, "500", perMinute, 1000).Allowed; got != 60 {
		t.Errorf("permits of an idle key that is still in memory = %d, want 60", got)
	}
	clock.advance(time.Hour)
	for range 500 {
		mustTake(t, l, "k", perMinute, 0)
	}
	if got := l.Len(); got != 0 {
		t.Errorf("Len = %d, want 0", got)
	}
}

func TestTakeConcurrently(t *testing.T) {
	t.Parallel()
	l, _ := newLocal(16)
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				allowed.Add(int64(mustTake(t, l, "shared", perMinute, 1).Allowed))
				mustTake(t, l, fmt.Sprint(g, i), perMinute, 1)
			}
		})
	}
	wg.Wait()
	if got := allowed.Load(); got != 60 {
		t.Errorf("allowed = %d, want 60", got)
	}
}

func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 10_000, 200_000} {
		names := make([]string, keys)
		for i := range names {
			names[i] = fmt.Sprint("198.51.100.", i)
		}
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			l := ratelimit.NewLocal(ratelimit.LocalOptions{})
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				_, _ = l.Take(b.Context(), names[i%keys], perMinute, 1)
				i++
			}
		})
	}
}
