package cache_test

import (
	"testing"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

// untilFirst resolves a link every second and returns how long it took until version 1 showed.
func untilFirst(t *testing.T, c *cache.Cache, clock *fakeClock) time.Duration {
	const most = time.Hour
	t.Helper()
	for passed := time.Duration(0); passed <= most; passed += time.Second {
		if l := mustResolve(t, c, "abc"); l.Version == 1 {
			return passed
		}
		clock.advance(time.Second)
	}
	return most + time.Second
}

// edited returns a cache with version 2 of a link, and its store, which has lost that version.
func edited(t *testing.T, clock *fakeClock) (*cache.Cache, *memory) {
	t.Helper()
	m := newMemory(link("abc", 1))
	c := newCache(t, cache.Options{Store: m, StaleFor: time.Hour, Now: clock.now})
	if _, err := c.Update(t.Context(), link("abc", 1)); err != nil {
		t.Fatalf("Update() = %v, want nil", err)
	}
	m.set(&m.links, link("abc", 1))
	return c, m
}

// TestLostVersionGivesWay checks that a version that the primary does not have is shown for a
// while, even after further loads, and is then replaced.
func TestLostVersionGivesWay(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	c, _ := edited(t, &clock)
	if took := untilFirst(t, c, &clock); took < 15*time.Second || took > 30*time.Second {
		t.Errorf("the primary's version was shown after %v, want 15 to 30 s: two loads", took)
	}
	clock.advance(time.Minute)
	if l := mustResolve(t, c, "abc"); l.Version != 1 {
		t.Errorf("Resolve() a minute later = version %d, want 1", l.Version)
	}
}

// TestLostVersionGivesWayBesideWrites checks the same during continuous writes of the link.
func TestLostVersionGivesWayBesideWrites(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	m := newMemory(link("abc", 1))
	c := newCache(t, cache.Options{Store: m, StaleFor: time.Hour, Now: clock.now})
	hold, entered := make(chan struct{}), make(chan struct{})
	m.beforeConsume = func() { close(entered); <-hold }
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.Consume(t.Context(), "abc", clock.now())
	}()
	<-entered
	m.set(&m.links, link("abc", 1))
	if _, err := c.Update(t.Context(), link("abc", 1)); err != nil {
		t.Fatalf("Update() = %v, want nil", err)
	}
	m.set(&m.links, link("abc", 1))
	if took := untilFirst(t, c, &clock); took > 30*time.Second {
		t.Errorf("the primary's version was shown after %v, want at most 30 s", took)
	}
	close(hold)
	<-done
}

// TestLaggingReplicaEndsNoVersion checks that only the primary can replace a version. A
// lagging replica cannot, also while the primary is unreachable.
func TestLaggingReplicaEndsNoVersion(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	c, m := edited(t, &clock)
	m.set(&m.links, link("abc", 2))
	m.set(&m.stale, link("abc", 1))
	if took := untilFirst(t, c, &clock); took < time.Hour {
		t.Errorf("a lagging replica restored an old version after %v", took)
	}
	m.set(&m.links, link("abc", 1))
	away := store.ErrUnavailable
	m.getFails.Store(&away)
	if took := untilFirst(t, c, &clock); took < time.Hour {
		t.Errorf("a replica restored an old version after %v while the primary was unreachable", took)
	}
	m.getFails.Store(nil)
	if took := untilFirst(t, c, &clock); took > 30*time.Second {
		t.Errorf("the primary's version was shown after %v, want at most 30 s", took)
	}
}

// TestContestedVersionRecovers checks that a contradiction that has ended no longer counts.
func TestContestedVersionRecovers(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	c, m := edited(t, &clock)
	clock.advance(12 * time.Second)
	mustResolve(t, c, "abc") // contradicted
	m.set(&m.links, link("abc", 2))
	clock.advance(12 * time.Second)
	mustResolve(t, c, "abc")
	m.set(&m.links, link("abc", 1))
	clock.advance(12 * time.Second)
	if l := mustResolve(t, c, "abc"); l.Version != 2 {
		t.Errorf("Resolve() = version %d, want 2: this is the first contradiction again", l.Version)
	}
}
