package shard

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/terse/terse/store"
)

// Export implements store.Archive. It asks all shards at the same time and fails if one
// fails. Links are ordered by bucket, then by code. Shards use the same order, so that
// moving a bucket between shards does not change the order.
func (r *Router) Export(ctx context.Context, after string, limit int) ([]store.Link, error) {
	limit = min(max(limit, 1), store.MaxPageLen)
	pages, errs := everywhere(r, func(_ int, s Shard) ([]store.Link, error) { return s.Export(ctx, after, limit) })
	if err := outage(ctx, "export", errs); err != nil {
		return nil, err
	}
	links := slices.Concat(pages...)
	slices.SortFunc(links, func(a, b store.Link) int {
		return cmp.Or(cmp.Compare(store.BucketOf(a.Code), store.BucketOf(b.Code)), strings.Compare(a.Code, b.Code),
			cmp.Compare(b.Version, a.Version))
	})
	// A moved bucket may have left its links on the old shard.
	links = slices.CompactFunc(links, func(a, b store.Link) bool { return a.Code == b.Code })
	return slices.Clip(links[:min(limit, len(links))]), nil
}

// Import implements store.Archive.
func (r *Router) Import(ctx context.Context, l store.Link) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(l.Code), func(s Shard) (store.Link, error) { return s.Import(ctx, l) })
}
