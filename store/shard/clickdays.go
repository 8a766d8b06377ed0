package shard

import (
	"context"
	"slices"

	"github.com/terse/terse/store"
)

// ListClickDays implements store.ClickDays. The days of a link are in the shard that owns its
// bucket. The other rows are partial sums: it asks all shards at the same time and returns the
// rows of all. It fails if one of the shards fails, because a sum without it would be too small.
func (r *Router) ListClickDays(ctx context.Context, kind store.ClickKind, keys []string, from, to int32) ([]store.ClickDay, error) {
	if kind == store.ClickLink {
		return r.listLinkDays(ctx, keys, from, to)
	}
	parts, errs := everywhere(r, func(_ int, s Shard) ([]store.ClickDay, error) {
		return s.ListClickDays(ctx, kind, keys, from, to)
	})
	if err := outage(ctx, "list click days", errs); err != nil {
		return nil, err
	}
	return slices.Concat(parts...), nil
}

// listLinkDays asks the owners of links. If a bucket has moved, it waits for a new map and asks
// again once.
func (r *Router) listLinkDays(ctx context.Context, keys []string, from, to int32) ([]store.ClickDay, error) {
	days, errs := r.askOwners(ctx, keys, from, to)
	if moved(errs) {
		r.metrics.moved.Inc()
		if err := r.await(ctx); err != nil {
			return nil, err
		}
		days, errs = r.askOwners(ctx, keys, from, to)
		for i := range errs {
			errs[i] = r.settled(errs[i])
		}
	}
	if err := outage(ctx, "list click days", errs); err != nil {
		return nil, err
	}
	return days, nil
}

// askOwners asks each shard for the days of its links.
func (r *Router) askOwners(ctx context.Context, keys []string, from, to int32) ([]store.ClickDay, []error) {
	parts, lost := split(r, keys, func(key string) string { return key })
	found, errs := everywhere(r, func(i int, s Shard) ([]store.ClickDay, error) {
		if len(parts[i]) == 0 {
			return nil, nil
		}
		return s.ListClickDays(ctx, store.ClickLink, parts[i], from, to)
	})
	return slices.Concat(found...), append(errs, lost)
}

// ResetClicks implements store.ClickDays.
func (r *Router) ResetClicks(ctx context.Context, key string) error {
	_, err := ask(ctx, r, store.BucketOf(key), func(s Shard) (struct{}, error) { return struct{}{}, s.ResetClicks(ctx, key) })
	return err
}

// saltBucket is the bucket with the salts. All nodes must hash with the same salt.
var saltBucket = store.BucketOf("click salts")

// ClickSalt implements store.ClickDays. The owner of one fixed bucket keeps the salts of all
// shards. If that bucket moves to another shard, the day gets another salt.
func (r *Router) ClickSalt(ctx context.Context, day int32) ([]byte, error) {
	return ask(ctx, r, saltBucket, func(s Shard) ([]byte, error) { return s.ClickSalt(ctx, day) })
}
