package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

// newListener returns a cache over m that receives announcements through d.
func newListener(t *testing.T, m *memory, d *diary, edited func(code string, version int64)) *cache.Cache {
	t.Helper()
	d.Store = m
	c := newCache(t, cache.Options{Store: d, Remote: d, Edited: edited, StaleFor: time.Hour})
	c.Listen(t.Context())
	return c
}

// TestMissedEditsAreAskedFor checks that L1 answers nothing loaded before announcements may
// have been lost.
func TestMissedEditsAreAskedFor(t *testing.T) {
	t.Parallel()
	m, d := newMemory(link("abc", 1)), &diary{}
	c := newListener(t, m, d, nil)
	mustResolve(t, c, "abc")
	m.links["abc"] = link("abc", 2) // by another process
	if got := mustResolve(t, c, "abc").Version; got != 1 {
		t.Fatalf("version before missed = %d, want 1, from L1", got)
	}
	d.missed()
	if got := mustResolve(t, c, "abc").Version; got != 2 {
		t.Errorf("version after missed = %d, want 2", got)
	}
}

// TestEditedIsCalledFirst checks that Edited is called before L1 shows an edit, and so before a
// load could ask Edited's owner about it.
func TestEditedIsCalledFirst(t *testing.T) {
	t.Parallel()
	m, d := newMemory(link("abc", 1)), &diary{}
	var c *cache.Cache
	var edited []int64
	c = newListener(t, m, d, func(code string, version int64) {
		if got := mustResolve(t, c, code).Version; got != version-1 {
			t.Errorf("version while Edited is called with %d = %d, want %d", version, got, version-1)
		}
		edited = append(edited, version)
	})
	mustResolve(t, c, "abc")
	d.heard(link("abc", 2))
	if got := mustResolve(t, c, "abc").Version; got != 2 || len(edited) != 1 {
		t.Errorf("version after the announcement = %d, calls of Edited = %v, want 2 and one call", got, edited)
	}
}

// TestLostVersions checks that a version lost in a failover is not shown after another version
// with the same number was announced, in any order of events.
func TestLostVersions(t *testing.T) {
	t.Parallel()
	lost, kept := link("abc", 3), link("abc", 3)
	lost.URL, lost.MaxClicks, lost.UsedClicks = "https://example.com/lost", 9, 5
	for _, tt := range []struct {
		name string
		knew store.Link // the cache's link before the announcement
		edit func(t *testing.T, c *cache.Cache, m *memory, d *diary)
	}{
		{"heard of", lost, func(_ *testing.T, _ *cache.Cache, _ *memory, d *diary) { d.heard(kept) }},
		{"heard of late", kept, func(_ *testing.T, _ *cache.Cache, _ *memory, d *diary) { d.heard(lost) }},
		{"edited here", lost, func(t *testing.T, c *cache.Cache, m *memory, _ *diary) {
			m.links["abc"] = link("abc", 2)
			if _, err := c.Update(t.Context(), kept); err != nil {
				t.Fatal(err)
			}
		}},
		{"loaded", lost, func(_ *testing.T, _ *cache.Cache, _ *memory, d *diary) { d.missed() }},
		{"heard of while it is loaded", lost, func(t *testing.T, c *cache.Cache, m *memory, d *diary) {
			d.missed()
			m.links["abc"] = lost // the load reads this link
			m.afterRead = func(context.Context) error {
				m.afterRead = nil
				m.links["abc"] = kept
				d.heard(kept)
				return nil
			}
			mustResolve(t, c, "abc")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, d := newMemory(tt.knew), &diary{}
			c := newListener(t, m, d, nil)
			mustResolve(t, c, "abc")
			m.links["abc"] = kept
			tt.edit(t, c, m, d)
			if got := mustResolve(t, c, "abc"); got.URL != kept.URL || got.Version != 3 {
				t.Errorf("Resolve = version %d of %s, want version 3 of %s", got.Version, got.URL, kept.URL)
			}
		})
	}
}

// TestUsesContradictNothing checks that L1 keeps its entry after an announcement of the same
// version with fewer uses.
func TestUsesContradictNothing(t *testing.T) {
	t.Parallel()
	used, fresh := link("abc", 3), link("abc", 3)
	used.MaxClicks, used.UsedClicks, fresh.MaxClicks = 9, 5, 9
	m, d := newMemory(used), &diary{}
	c := newListener(t, m, d, nil)
	mustResolve(t, c, "abc")
	d.heard(fresh)
	if got := mustResolve(t, c, "abc").UsedClicks; got != 5 || m.reads.Load() != 1 {
		t.Errorf("uses = %d, reads = %d, want 5 and 1", got, m.reads.Load())
	}
}
