package shard

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/terse/terse/store"
)

// List implements store.Store. It asks all shards at the same time. The page names shards that
// fail and has the links of the others. List returns store.ErrUnavailable if all fail.
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

// missing returns the sorted names of the shards that failed in a list. It counts them, and
// logs unexpected errors. errs are the errors from everywhere.
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

// merge merges the shards' pages for one query.
func merge(pages []store.Page, limit int) store.Page {
	var links []store.Link
	var next store.Cursor // after it, some shard has links that are not in its page
	for _, p := range pages {
		links = append(links, p.Links...)
		next = nearer(next, p.Next)
	}
	slices.SortFunc(links, func(a, b store.Link) int {
		return cmp.Or(older(position(&a), position(&b)), cmp.Compare(b.Version, a.Version))
	})
	// A moved bucket may have left its links on the old shard.
	links = slices.CompactFunc(links, func(a, b store.Link) bool { return a.Code == b.Code })
	if !next.IsZero() {
		links = slices.DeleteFunc(links, func(l store.Link) bool { return older(position(&l), next) > 0 })
	}
	if len(links) > limit {
		clear(links[limit:])
		links = links[:limit]
		next = position(&links[limit-1])
	}
	return store.Page{Links: slices.Clip(links), Next: next}
}

// nearer returns the end of a page that comes first in a list. The zero Cursor is not an end.
func nearer(a, b store.Cursor) store.Cursor {
	if !b.IsZero() && (a.IsZero() || older(a, b) > 0) {
		return b
	}
	return a
}

// position returns the position of a link in a list.
func position(l *store.Link) store.Cursor { return store.Cursor{CreatedAt: l.CreatedAt, Code: l.Code} }

// older compares two positions in the order of a list. It is positive if a comes after b.
func older(a, b store.Cursor) int {
	return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(b.Code, a.Code))
}

// everywhere calls all shards at the same time. answers[i] and errs[i] are those of shard i.
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
