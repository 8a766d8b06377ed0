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

// diary is an L2 that may know all the store does, a store and whoever admits misses, which
// note when they are asked.
type diary struct {
	cache.Remote
	store.Store
	knows        bool  // L2 does
	refuse, fail error // of admission, and of L2
	asked        []string
}

func (d *diary) admit(known bool) (func(found bool, err error), error) {
	if d.refuse != nil {
		return nil, d.refuse
	}
	d.asked = append(d.asked, fmt.Sprintf("admission, known: %v", known))
	return func(found bool, err error) {
		d.asked = append(d.asked, fmt.Sprintf("found: %v, failed: %v", found, err != nil))
	}, nil
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

// TestMissesAreAdmitted holds that a miss is taken on before anything is asked, and no
// longer than until L2 has answered; and that of one that is refused nothing is asked,
// while a link that was known stands in.
func TestMissesAreAdmitted(t *testing.T) {
	t.Parallel()
	full := errors.Join(errors.New("no room"), store.ErrUnavailable)
	for _, tt := range []struct {
		name         string
		knows        bool
		refuse, fail error
		want         []string // after the admission, if there is one
	}{
		{"admitted", false, nil, nil, []string{"L2", "found: false, failed: false", "store"}},
		{"in L2", true, nil, nil, []string{"L2", "found: true, failed: false"}},
		{"with an L2 that fails", true, nil, errors.ErrUnsupported, []string{"L2", "found: false, failed: true", "store"}},
		{"refused", false, full, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var clock fakeClock
			want := func(known bool) []string {
				if tt.refuse != nil {
					return nil
				}
				return append([]string{fmt.Sprintf("admission, known: %v", known)}, tt.want...)
			}
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
			mustResolve(t, c, "abc") // the link or what stands in for it
			if !slices.Equal(d.asked, want(true)) {
				t.Errorf("a miss of what was known asks %q, want %q", d.asked, want(true))
			}
			d.asked = nil
			if _, err := c.Resolve(t.Context(), "other"); !errors.Is(err, tt.refuse) || !slices.Equal(d.asked, want(false)) {
				t.Errorf("a miss = %v and asks %q, want %v and %q", err, d.asked, tt.refuse, want(false))
			}
			d.refuse = nil
			mustResolve(t, c, "other")
		})
	}
}
