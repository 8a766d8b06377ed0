package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

// diary is an L2, a store and an admission that record each question in asked.
type diary struct {
	cache.Remote
	store.Store
	knows        bool // L2 has every link of the store
	deaf         bool // L2 receives no announcements
	heard        func(store.Link)
	missed       func()
	full         bool  // the admission refuses at once
	refuse, fail error // errors of the admission and of L2
	asked        []string
}

func (d *diary) admit(context.Context) (done func(), err error) {
	if d.refuse != nil {
		return nil, d.refuse
	}
	d.asked = append(d.asked, "admission")
	return func() { d.asked = append(d.asked, "done") }, nil
}

func (d *diary) Lookup(ctx context.Context, code string) (l store.Link, found bool, lease uint64, err error) {
	d.asked = append(d.asked, "L2")
	if d.fail != nil || !d.knows {
		return l, false, 0, d.fail
	}
	l, err = d.Store.Resolve(ctx, code)
	return l, true, 0, err
}

func (d *diary) Resolve(ctx context.Context, code string) (store.Link, error) {
	d.asked = append(d.asked, "store")
	return d.Store.Resolve(ctx, code)
}

func (d *diary) Hears() bool { return !d.deaf }

// Listen keeps the callbacks of the cache.
func (d *diary) Listen(_ context.Context, heard func(store.Link), missed func()) {
	d.heard, d.missed = heard, missed
}

// Announce sends the edit back to the cache, as a real channel does.
func (d *diary) Announce(_ context.Context, l store.Link) error {
	d.heard(l)
	return nil
}

// TestMissesAreAdmitted checks that a miss is admitted once, before L2 and the store are
// asked, and that done is called after the answer. A rejected miss asks neither, and gets a
// stale link if there is one.
func TestMissesAreAdmitted(t *testing.T) {
	t.Parallel()
	full := fmt.Errorf("no room: %w", store.ErrShed)
	for _, tt := range []struct {
		name         string
		knows        bool
		refuse, fail error
		want         []string
	}{
		{"admitted", false, nil, nil, []string{"admission", "L2", "store", "done"}},
		{"in L2", true, nil, nil, []string{"admission", "L2", "done"}},
		{"with an L2 that fails", true, nil, errors.ErrUnsupported, []string{"admission", "L2", "store", "done"}},
		{"refused", false, full, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var clock fakeClock
			d := &diary{Store: newMemory(link("abc", 1), link("other", 1)), knows: tt.knows, fail: tt.fail}
			c := newCache(t, cache.Options{Store: d, Remote: d, Admit: d.admit, StaleFor: time.Hour, Now: clock.now})
			mustResolve(t, c, "abc")
			asked := len(d.asked)
			mustResolve(t, c, "abc")
			if len(d.asked) != asked {
				t.Errorf("a miss and a hit ask %q, want nothing for the hit", d.asked)
			}
			clock.advance(time.Minute)
			d.refuse, d.asked = tt.refuse, nil
			mustResolve(t, c, "abc") // the link, fresh or stale
			if !slices.Equal(d.asked, tt.want) {
				t.Errorf("a miss of a cached link asks %q, want %q", d.asked, tt.want)
			}
			d.asked = nil
			if _, err := c.Resolve(t.Context(), "other"); !errors.Is(err, tt.refuse) || !slices.Equal(d.asked, tt.want) {
				t.Errorf("a miss = %v and asks %q, want %v and %q", err, d.asked, tt.refuse, tt.want)
			}
			d.refuse = nil
			mustResolve(t, c, "other")
		})
	}
}

// TestFullMissesStartNoLoad checks that a miss is refused without a load while the admission
// refuses at once, and gets a stale link if there is one.
func TestFullMissesStartNoLoad(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	d := &diary{Store: newMemory(link("abc", 1), link("other", 1))}
	c := newCache(t, cache.Options{
		Store: d, Remote: d, Admit: d.admit, Full: func() bool { return d.full }, StaleFor: time.Hour, Now: clock.now,
	})
	mustResolve(t, c, "abc")
	clock.advance(time.Minute)
	d.full, d.asked = true, nil
	mustResolve(t, c, "abc")
	if _, err := c.Resolve(t.Context(), "other"); !errors.Is(err, store.ErrShed) || len(d.asked) > 0 {
		t.Errorf("a miss without room = %v and asks %q, want %v and nothing", err, d.asked, store.ErrShed)
	}
	d.full = false
	mustResolve(t, c, "other")
}

// TestUsesAreAdmitted checks that a use of a limited link is admitted before the store counts
// it, and that a rejected use is not counted.
func TestUsesAreAdmitted(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	m := newMemory(link("abc", 1))
	d := &diary{Store: m, refuse: store.ErrShed}
	c := newCache(t, cache.Options{Store: m, Admit: d.admit, Now: clock.now})
	if _, err := c.Consume(t.Context(), "abc", time.Now()); !errors.Is(err, store.ErrShed) {
		t.Errorf("Consume without admission = %v, want %v", err, store.ErrShed)
	}
	d.refuse = nil
	if l, err := c.Consume(t.Context(), "abc", time.Now()); err != nil || l.UsedClicks != 1 || !slices.Equal(d.asked, []string{"admission", "done"}) {
		t.Errorf("Consume = %d uses, %v, and asks %q, want 1 use and one admission", l.UsedClicks, err, d.asked)
	}
}

// TestShedMissesShowNothingOutdated checks when a link is served although the store was not
// asked: all edits since its load would have been received, or the link is within its TTL,
// or the store would not have answered.
func TestShedMissesShowNothingOutdated(t *testing.T) {
	t.Parallel()
	nothing := func(*cache.Cache, *diary, *memory, *fakeClock) {}
	deaf := func(_ *cache.Cache, d *diary, _ *memory, _ *fakeClock) { d.deaf = true }
	for _, tt := range []struct {
		name   string
		before func(c *cache.Cache, d *diary, m *memory, clock *fakeClock) // after the link was loaded
		age    time.Duration
		alone  bool // there is no L2
		want   error
	}{
		{"edits are received", nothing, time.Minute, false, nil},
		{"older than StaleFor", nothing, time.Hour, false, store.ErrShed},
		{"edits are not received", deaf, time.Minute, false, store.ErrShed},
		{"no L2", nothing, time.Minute, true, store.ErrShed},
		{"edits are not received, within the TTL", deaf, 11*time.Second - 1, false, nil},
		{"edits are not received, just after the TTL", deaf, 11 * time.Second, false, store.ErrShed},
		{"edits were missed", func(_ *cache.Cache, d *diary, _ *memory, clock *fakeClock) {
			clock.advance(time.Second)
			d.missed()
		}, 0, false, store.ErrShed},
		{"an edit with an unknown outcome", func(c *cache.Cache, _ *diary, m *memory, _ *fakeClock) {
			m.lostWrite = true
			_, _ = c.Update(t.Context(), link("abc", 1))
		}, time.Minute, false, store.ErrShed},
		{"the store answers no request", func(c *cache.Cache, d *diary, m *memory, clock *fakeClock) {
			d.deaf = true
			m.failWith(store.ErrUnavailable)
			_, _ = c.Resolve(t.Context(), "other")
			clock.advance(time.Second)
		}, time.Minute, false, nil},
		{"the store has answered no request for less than a second", func(c *cache.Cache, d *diary, m *memory, clock *fakeClock) {
			d.deaf = true
			clock.advance(time.Minute)
			m.failWith(store.ErrUnavailable)
			_, _ = c.Resolve(t.Context(), "other")
			clock.advance(time.Second - time.Millisecond)
		}, 0, false, store.ErrShed},
		{"the store answers other requests", func(c *cache.Cache, d *diary, m *memory, clock *fakeClock) {
			d.deaf = true
			m.failWith(store.ErrUnavailable)
			_, _ = c.Resolve(t.Context(), "other")
			clock.advance(time.Second)
			m.failWith(nil)
			_, _ = c.Resolve(t.Context(), "other")
		}, time.Minute, false, store.ErrShed},
	} {
		for by, shed := range map[string]func(d *diary, m *memory){
			"admission": func(d *diary, _ *memory) { d.refuse = store.ErrShed },
			"the store": func(_ *diary, m *memory) { m.failWith(store.ErrShed) },
		} {
			t.Run(tt.name+", shed by "+by, func(t *testing.T) {
				t.Parallel()
				var clock fakeClock
				m := newMemory(link("abc", 1))
				d := &diary{Store: m}
				opts := cache.Options{Store: d, Remote: d, Admit: d.admit, StaleFor: time.Hour, Now: clock.now}
				if tt.alone {
					opts.Remote = nil
				}
				c := newCache(t, opts)
				c.Listen(t.Context())
				mustResolve(t, c, "abc")
				tt.before(c, d, m, &clock)
				clock.advance(tt.age)
				shed(d, m)
				for range 2 {
					if l, err := c.Resolve(t.Context(), "abc"); !errors.Is(err, tt.want) || err == nil && l.Version != 1 {
						t.Errorf("Resolve = version %d, %v, want %v", l.Version, err, tt.want)
					}
				}
			})
		}
	}
}

// TestHolds checks that Holds is true for a link that may still be served stale, and false for
// a cached "no such link".
func TestHolds(t *testing.T) {
	t.Parallel()
	var clock fakeClock
	c := newCache(t, cache.Options{Store: newMemory(link("abc", 1)), StaleFor: time.Hour, Now: clock.now})
	if c.Holds("abc") {
		t.Error("Holds of a link that was never requested = true, want false")
	}
	mustResolve(t, c, "abc")
	if _, err := c.Resolve(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	clock.advance(time.Minute)
	if _, known, _ := c.Peek("abc"); known {
		t.Error("Peek returns a link that is a minute old")
	}
	if !c.Holds("abc") || c.Holds("none") {
		t.Errorf("Holds of a link that is a minute old = %v, of a missing link = %v, want true and false", c.Holds("abc"), c.Holds("none"))
	}
}
