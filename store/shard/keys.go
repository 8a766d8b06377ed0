package shard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// CreateKey implements store.Keys. The shard of the digest keeps the key and
// sees to it that the digest is new. That no other shard has the ID is looked up
// before, where a shard can be reached, and not held against keys that are
// created at the same time: IDs are random.
func (r *Router) CreateKey(ctx context.Context, k store.Key) error {
	lists, _ := everywhere(r, func(_ int, s Shard) ([]store.Key, error) { return s.ListKeys(ctx) })
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("shard: create key %q: %w", k.ID, err)
	}
	for i, keys := range lists {
		if slices.ContainsFunc(keys, func(other store.Key) bool { return other.ID == k.ID }) {
			return r.named(i, fmt.Errorf("create key %q: %w", k.ID, store.ErrExists))
		}
	}
	_, err := ask(ctx, r, bucketOfHash(k.Hash), func(s Shard) (struct{}, error) { return struct{}{}, s.CreateKey(ctx, k) })
	return err
}

// KeyByHash implements store.Keys.
func (r *Router) KeyByHash(ctx context.Context, hash [sha256.Size]byte) (store.Key, error) {
	return ask(ctx, r, bucketOfHash(hash), func(s Shard) (store.Key, error) { return s.KeyByHash(ctx, hash) })
}

// ListKeys implements store.Keys. It returns no keys when a shard fails, since
// one that is missing might be taken for one that does not exist.
func (r *Router) ListKeys(ctx context.Context) ([]store.Key, error) {
	lists, errs := everywhere(r, func(_ int, s Shard) ([]store.Key, error) { return s.ListKeys(ctx) })
	if err := outage(ctx, "list keys", errs); err != nil {
		return nil, err
	}
	keys := slices.Concat(lists...)
	slices.SortFunc(keys, func(a, b store.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID), b.RevokedAt.Compare(a.RevokedAt))
	})
	// A bucket that has just moved may have left its keys behind.
	return slices.CompactFunc(keys, func(a, b store.Key) bool { return a.ID == b.ID }), nil
}

// RevokeKey implements store.Keys. The ID does not tell the shard, so all are
// asked: one that has the key settles it, whatever became of the others.
func (r *Router) RevokeKey(ctx context.Context, id string, at time.Time) (store.Key, error) {
	k, err := r.revokeKey(ctx, id, at)
	if !errors.Is(err, store.ErrMoved) {
		return k, err
	}
	r.metrics.moved.Inc()
	if err := r.await(ctx); err != nil {
		return store.Key{}, err
	}
	k, err = r.revokeKey(ctx, id, at)
	return k, r.settled(err)
}

func (r *Router) revokeKey(ctx context.Context, id string, at time.Time) (store.Key, error) {
	keys, errs := everywhere(r, func(_ int, s Shard) (store.Key, error) { return s.RevokeKey(ctx, id, at) })
	if i := slices.Index(errs, nil); i >= 0 {
		return keys[i], nil
	}
	missing := slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, store.ErrNotFound) })
	if moved(missing) {
		return store.Key{}, errors.Join(missing...)
	}
	op := fmt.Sprintf("revoke key %q", id)
	if err := outage(ctx, op, missing); err != nil {
		return store.Key{}, err
	}
	return store.Key{}, fmt.Errorf("shard: %s: %w", op, store.ErrNotFound)
}

// UseKeys implements store.Keys. Each shard is told of its own keys. What one does
// not take, because it is down or no longer has the key, is not told to another.
func (r *Router) UseKeys(ctx context.Context, uses []store.KeyUse) error {
	parts := make([][]store.KeyUse, len(r.shards))
	t := r.refresher.table.Load()
	for _, u := range uses {
		if i := t.owner(bucketOfHash(u.Hash)); i != nobody {
			parts[i] = append(parts[i], u)
		}
	}
	_, errs := everywhere(r, func(i int, s Shard) (struct{}, error) {
		if len(parts[i]) == 0 {
			return struct{}{}, nil
		}
		return struct{}{}, s.UseKeys(ctx, parts[i])
	})
	return outage(ctx, "use keys", errs)
}

func bucketOfHash(hash [sha256.Size]byte) int { return store.BucketOf(string(hash[:])) }
