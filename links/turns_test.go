package links_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// failsFirst is a store that cannot create or import links with firstTarget while it is on.
type failsFirst struct {
	store.Store
	store.Archive
	on atomic.Bool
}

const firstTarget = "https://example.com/first"

func (f *failsFirst) fails(l *store.Link) error {
	if f.on.Load() && l.URL == firstTarget {
		return fmt.Errorf("shard s1: %w", store.ErrUnavailable)
	}
	return nil
}

func (f *failsFirst) Create(ctx context.Context, l store.Link) (store.Link, error) {
	if err := f.fails(&l); err != nil {
		return store.Link{}, err
	}
	return f.Store.Create(ctx, l)
}

func (f *failsFirst) CreateOnce(ctx context.Context, l store.Link, r store.Reservation) (store.Link, store.Reservation, error) {
	if err := f.fails(&l); err != nil {
		return store.Link{}, store.Reservation{}, err
	}
	return f.Store.CreateOnce(ctx, l, r)
}

func (f *failsFirst) Import(ctx context.Context, l store.Link) (store.Link, error) {
	if err := f.fails(&l); err != nil {
		return store.Link{}, err
	}
	return f.Archive.Import(ctx, l)
}

// TestLaterItemDoesNotTakeACode sends batches with several links of one code. The first of
// them cannot be stored. No later link takes the code before the caller has sent the first
// link again.
func TestLaterItemDoesNotTakeACode(t *testing.T) {
	t.Parallel()
	var failing *failsFirst
	b := newBench(t, func(o *links.Options) {
		failing = &failsFirst{Store: o.Store, Archive: o.Archive}
		o.Store, o.Archive = failing, failing
	})
	targets := [...]string{firstTarget, "https://example.com/second", "https://example.com/third"}
	create := func(alias string, keys bool) func() ([]links.Result, error) {
		return func() ([]links.Result, error) {
			var batch links.Batch
			for i, target := range targets {
				d := links.Draft{URL: target, Alias: &alias}
				if keys {
					d.Key, d.Request = fmt.Sprint("key-", i), []byte(target)
				}
				batch.Drafts = append(batch.Drafts, d)
			}
			return b.Create(t.Context(), owner, batch)
		}
	}
	for name, send := range map[string]func() ([]links.Result, error){
		"create":           create("plain", false),
		"create with keys": create("keyed", true),
		"import": func() ([]links.Result, error) {
			var all []links.Archived
			for _, target := range targets {
				all = append(all, links.Archived{Link: store.Link{Code: "archived", URL: target}})
			}
			return b.Import(t.Context(), admin, all, false)
		},
	} {
		for _, round := range []struct {
			fails bool
			want  [3]error
		}{
			{true, [3]error{store.ErrUnavailable, store.ErrUnavailable, store.ErrUnavailable}},
			{false, [3]error{nil, store.ErrExists, store.ErrExists}},
		} {
			failing.on.Store(round.fails)
			results, err := send()
			must(t, err)
			for i, r := range results {
				if !errors.Is(r.Err, round.want[i]) {
					t.Errorf("%s, first link fails: %t: result %d = %v, want %v", name, round.fails, i, r.Err, round.want[i])
				}
			}
		}
	}
}

// TestFirstItemOfACodeWins imports requests with many links of each code. Only the first link
// of each code is stored.
func TestFirstItemOfACodeWins(t *testing.T) {
	t.Parallel()
	const codes, times = 50, 10
	b := newBench(t)
	var all []links.Archived
	for n := range times {
		for i := range codes {
			all = append(all, links.Archived{Link: store.Link{Code: fmt.Sprint("code-", i), URL: fmt.Sprint("https://example.com/", n)}})
		}
	}
	results, err := b.Import(t.Context(), admin, all, false)
	must(t, err)
	for i, r := range results {
		var want error
		if i >= codes {
			want = store.ErrExists
		}
		if !errors.Is(r.Err, want) {
			t.Errorf("result %d = %v, want %v", i, r.Err, want)
		}
	}
}
