package cache_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

// diary is an L2 that knows nothing, a store and whoever admits misses, which note when
// they are asked.
type diary struct {
	cache.Remote
	store.Store
	refuse, fail error // of admission, and of L2
	asked        []string
}

func (d *diary) admit() (func(telling bool), error) {
	if d.refuse != nil {
		return nil, d.refuse
	}
	d.asked = append(d.asked, "admission")
	return func(telling bool) {
		d.asked = append(d.asked, map[bool]string{true: "done", false: "done, telling nothing"}[telling])
	}, nil
}

func (d *diary) Lookup(context.Context, string) (l store.Link, found bool, lease uint64, err error) {
	d.asked = append(d.asked, "L2")
	return l, false, 0, d.fail
}

func (d *diary) Resolve(ctx context.Context, code string) (store.Link, error) {
	d.asked = append(d.asked, "store")
	return d.Store.Resolve(ctx, code)
}

// TestMissesAreAdmitted holds that a miss is taken on before anything is asked, and no
// longer than until L2 has answered; and that of one that is refused nothing is asked,
// while a link that was known stands in.
func TestMissesAreAdmitted(t *testing.T) {
	t.Parallel()
	full := errors.Join(errors.New("no room"), store.ErrUnavailable)
	for _, tt := range []struct {
		name         string
		refuse, fail error
		want         []string
	}{
		{"admitted", nil, nil, []string{"admission", "L2", "done", "store"}},
		{"with an L2 that fails", nil, errors.ErrUnsupported, []string{"admission", "L2", "done, telling nothing", "store"}},
		{"refused", full, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var clock fakeClock
			d := &diary{Store: newMemory(link("abc", 1), link("other", 1)), fail: tt.fail}
			c := newCache(t, cache.Options{Store: d, Remote: d, Admit: d.admit, StaleFor: time.Hour, Now: clock.now})
			mustResolve(t, c, "abc")
			mustResolve(t, c, "abc") // a hit asks nobody
			if n := len(d.asked); n != 4 {
				t.Errorf("a miss and a hit ask %q", d.asked)
			}
			clock.advance(time.Minute)
			d.refuse, d.asked = tt.refuse, nil
			mustResolve(t, c, "abc") // the link or what stands in for it
			if !slices.Equal(d.asked, tt.want) {
				t.Errorf("a miss of what was known asks %q, want %q", d.asked, tt.want)
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
