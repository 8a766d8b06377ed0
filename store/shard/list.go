package shard

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/terse/terse/store"
)

// List implements store.Store. All shards are asked at once; those that fail are
// named in the page, which then holds the links of the others. It returns
// store.ErrUnavailable when all fail.
func (r *Router) List(ctx context.Context, q store.Query) (store.Page, error) {
	q.Limit = min(max(q.Limit, 1), store.MaxPageLen)
	pages, errs := everywhere(r, func(_ int, s Shard) (store.Page, error) { return s.List(ctx, q) })
	failed := outage(ctx, "list", errs)
	if failed != nil && (ctx.Err() != nil || !slices.Contains(errs, nil)) {
		return store.Page{}, failed
	}
	page := merge(pages, q.Limit)
	page.Unavailable = r.missing(ctx, errs)
	return page, nil
}

// missing returns the names of the shards that failed in a list, sorted, and tells
// of them. errs are everywhere's.
func (r *Router) missing(ctx context.Context, errs []error) (names []string) {
	for i, err := range errs {
		if err == nil {
			continue
		}
		names = append(names, r.shards[i].Name)
		r.metrics.unavailable.WithLabelValues(r.shards[i].Name).Inc()
		if !unreachable(err) {
			r.opts.Logger.ErrorContext(ctx, "shard is missing in a list", "err", err)
		}
	}
	slices.Sort(names)
	return names
}

// merge makes one page of those that shards returned for one query.
func merge(pages []store.Page, limit int) store.Page {
	var links []store.Link
	var next store.Cursor // behind it, some shard has links that are not here
	for _, p := range pages {
		links = append(links, p.Links...)
		next = nearer(next, p.Next)
	}
	slices.SortFunc(links, func(a, b store.Link) int {
		return cmp.Or(older(place(&a), place(&b)), cmp.Compare(b.Version, a.Version))
	})
	// A bucket that has just moved may have left its links behind.
	links = slices.CompactFunc(links, func(a, b store.Link) bool { return a.Code == b.Code })
	if !next.IsZero() {
		links = slices.DeleteFunc(links, func(l store.Link) bool { return older(place(&l), next) > 0 })
	}
	if len(links) > limit {
		clear(links[limit:])
		links = links[:limit]
		next = place(&links[limit-1])
	}
	return store.Page{Links: slices.Clip(links), Next: next}
}

// nearer returns the one of two ends of pages that comes first in a list. A zero
// one is no end.
func nearer(a, b store.Cursor) store.Cursor {
	if !b.IsZero() && (a.IsZero() || older(a, b) > 0) {
		return b
	}
	return a
}

// place returns where a link is in a list.
func place(l *store.Link) store.Cursor { return store.Cursor{CreatedAt: l.CreatedAt, Code: l.Code} }

// older compares two places in the order of a list: it is positive when a comes
// behind b.
func older(a, b store.Cursor) int {
	return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(b.Code, a.Code))
}

// everywhere has all shards answer at once, and returns answer and error i of
// shard i.
func everywhere[T any](r *Router, call func(i int, s Shard) (T, error)) (answers []T, errs []error) {
	answers, errs = make([]T, len(r.shards)), make([]error, len(r.shards))
	var wg sync.WaitGroup
	for i, s := range r.shards {
		wg.Go(func() {
			answer, err := call(i, s.Shard)
			answers[i], errs[i] = answer, r.named(i, err)
		})
	}
	wg.Wait()
	return answers, errs
}
