package shard

import (
	"context"
	"slices"

	"github.com/terse/terse/store"
)

// ListClickDays implements store.ClickDays. It reads the days of a link from the shard that owns its
// bucket. Rows of other kinds are partial sums: it reads the rows of all shards at the same time. If
// one shard fails, it fails, because the sum would be too small.
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

// ClickSalt implements store.ClickDays. The owner of one fixed bucket has the salts for all
// shards. If that bucket moves to another shard, the day gets a new salt.
func (r *Router) ClickSalt(ctx context.Context, day int32) ([]byte, error) {
	return ask(ctx, r, saltBucket, func(s Shard) ([]byte, error) { return s.ClickSalt(ctx, day) })
}
