package cache_test

import (
	"errors"
	"testing"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

func TestStandsInForAStoreThatCannotAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		staleFor time.Duration
		age      time.Duration
		fail     error
		want     error // nil means the link
	}{
		{"unavailable", time.Hour, time.Minute, store.ErrUnavailable, nil},
		{"just before its end", time.Hour, time.Hour - 1, store.ErrUnavailable, nil},
		{"at its end", time.Hour, time.Hour, store.ErrUnavailable, store.ErrUnavailable},
		{"never", 0, time.Minute, store.ErrUnavailable, store.ErrUnavailable},
		{"not found is an answer", time.Hour, time.Minute, store.ErrNotFound, store.ErrNotFound},
		{"another failure", time.Hour, time.Minute, errors.ErrUnsupported, errors.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var clock fakeClock
			m := newMemory(link("abc", 1))
			c := newCache(t, cache.Options{Store: m, StaleFor: tt.staleFor, Now: clock.now})
			mustResolve(t, c, "abc")
			clock.advance(tt.age)
			m.failWith(tt.fail)
			l, err := c.Resolve(t.Context(), "abc")
			if !errors.Is(err, tt.want) || tt.want == nil && l.Version != 1 {
				t.Errorf("Resolve = version %d, %v, want %v", l.Version, err, tt.want)
			}
		})
	}
}

func TestStandInAsksTheStoreOnceASecond(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	m := newMemory(link("abc", 1))
	c := newCache(t, cache.Options{Store: m, StaleFor: time.Hour, Now: clock.now})
	mustResolve(t, c, "abc")
	clock.advance(time.Minute)
	m.failWith(store.ErrUnavailable)
	for range 100 { // 10 s
		mustResolve(t, c, "abc")
		clock.advance(100 * time.Millisecond)
	}
	if got := m.reads.Load(); got != 1+10 {
		t.Errorf("reads = %d, want 1 at once and then 1 a second", got)
	}

	m.failWith(nil)
	m.links["abc"] = link("abc", 2) // by another process
	if got := mustResolve(t, c, "abc").Version; got != 2 {
		t.Errorf("version after the outage = %d, want 2", got)
	}
}

func TestNotFoundNeverStandsIn(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	m := newMemory()
	c := newCache(t, cache.Options{Store: m, StaleFor: time.Hour, Now: clock.now})
	_, _ = c.Resolve(t.Context(), "none")
	clock.advance(3 * time.Second)
	m.failWith(store.ErrUnavailable)
	if _, err := c.Resolve(t.Context(), "none"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Resolve = %v, want ErrUnavailable", err)
	}
}

func TestTakedownsOutliveAnOutage(t *testing.T) {
	t.Parallel()
	now := time.UnixMicro(1_800_000_000_000_000).UTC()
	for _, tt := range []struct {
		name string
		take func(c *cache.Cache) error
		want store.State
	}{
		{"delete", func(c *cache.Cache) error {
			_, err := c.Delete(t.Context(), "abc", 0, now)
			return err
		}, store.Deleted},
		{"disable", func(c *cache.Cache) error {
			l := link("abc", 1)
			l.DisabledAt = now
			_, err := c.Update(t.Context(), l)
			return err
		}, store.Disabled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var clock fakeClock
			m := newMemory(link("abc", 1))
			c := newCache(t, cache.Options{Store: m, StaleFor: time.Hour, Now: clock.now})
			mustResolve(t, c, "abc")
			if err := tt.take(c); err != nil {
				t.Fatal(err)
			}
			m.failWith(store.ErrUnavailable)
			for _, age := range []time.Duration{0, time.Minute} {
				clock.advance(age)
				l := mustResolve(t, c, "abc")
				if got := l.State(now); got != tt.want {
					t.Errorf("state after %v = %v, want %v", age, got, tt.want)
				}
			}
		})
	}
}

func TestLinkThatIsGoneDoesNotStandIn(t *testing.T) {
	t.Parallel()
	m := newMemory(link("abc", 1))
	c := newCache(t, cache.Options{Store: m, StaleFor: time.Hour})
	mustResolve(t, c, "abc")
	tombstone := link("abc", 1)
	m.links["abc"] = tombstone.Tombstone(time.Now()) // by another process
	if _, err := c.Update(t.Context(), link("abc", 1)); !errors.Is(err, store.ErrGone) {
		t.Fatalf("Update = %v, want ErrGone", err)
	}
	m.failWith(store.ErrUnavailable)
	if _, err := c.Resolve(t.Context(), "abc"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Resolve = %v, want ErrUnavailable", err)
	}
}
