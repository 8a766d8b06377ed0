package shard

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/terse/terse/store"
)

// AddReport implements store.Reports. The code of the link is the key for the shard.
func (r *Router) AddReport(ctx context.Context, report store.Report) error {
	_, err := ask(ctx, r, store.BucketOf(report.Code), func(s Shard) (struct{}, error) {
		return struct{}{}, s.AddReport(ctx, report)
	})
	return err
}

// ResolveReport implements store.Reports.
func (r *Router) ResolveReport(ctx context.Context, id string, by store.Author, at time.Time) (store.Report, error) {
	bucket, ok := store.ReportBucket(id)
	if !ok {
		return store.Report{}, fmt.Errorf("shard: resolve report %q: %w", id, store.ErrNotFound)
	}
	return ask(ctx, r, bucket, func(s Shard) (store.Report, error) { return s.ResolveReport(ctx, id, by, at) })
}

// ListReports implements store.Reports. Like List, it names shards that fail in the page.
func (r *Router) ListReports(ctx context.Context, q store.ReportQuery) (store.ReportPage, error) {
	q.Limit = min(max(q.Limit, 1), store.MaxPageLen)
	pages, errs := everywhere(r, func(_ int, s Shard) (store.ReportPage, error) { return s.ListReports(ctx, q) })
	failed := outage(ctx, "list reports", errs)
	if failed != nil && (ctx.Err() != nil || !slices.Contains(errs, nil)) {
		return store.ReportPage{}, failed
	}
	page := mergeReports(pages, q.Limit)
	page.Unavailable = r.missing(ctx, errs)
	return page, nil
}

// mergeReports merges the shards' pages for one query.
func mergeReports(pages []store.ReportPage, limit int) (page store.ReportPage) {
	var next store.Cursor // after it, some shard has reports that are not in its page
	for _, p := range pages {
		page.Reports = append(page.Reports, p.Reports...)
		next = nearer(next, p.Next)
	}
	slices.SortFunc(page.Reports, func(a, b store.Report) int { return older(a.Place(), b.Place()) })
	page.Reports = slices.CompactFunc(page.Reports, func(a, b store.Report) bool { return a.ID == b.ID })
	if !next.IsZero() {
		page.Reports = slices.DeleteFunc(page.Reports, func(r store.Report) bool { return older(r.Place(), next) > 0 })
	}
	page.Next = next
	page.Cut(limit)
	return page
}
