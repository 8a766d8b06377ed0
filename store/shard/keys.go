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

// CreateKey implements store.Keys. The digest is the key for the shard, which also checks
// that the digest is new. CreateKey first checks that no reachable shard has the ID. It does
// not detect the same ID in a concurrent create, which is unlikely because IDs are random.
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

// ListKeys implements store.Keys. It fails if one shard fails, because a missing key would
// look as if it did not exist.
func (r *Router) ListKeys(ctx context.Context) ([]store.Key, error) {
	lists, errs := everywhere(r, func(_ int, s Shard) ([]store.Key, error) { return s.ListKeys(ctx) })
	if err := outage(ctx, "list keys", errs); err != nil {
		return nil, err
	}
	keys := slices.Concat(lists...)
	slices.SortFunc(keys, func(a, b store.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID), b.RevokedAt.Compare(a.RevokedAt))
	})
	// A moved bucket may have left its keys on the old shard.
	return slices.CompactFunc(keys, func(a, b store.Key) bool { return a.ID == b.ID }), nil
}

// RevokeKey implements store.Keys. The ID does not identify the shard, so all shards are
// asked. If one has the key, errors of the others do not matter.
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

// UseKeys implements store.Keys. Each shard gets its own keys. Uses that a shard does not
// accept, because it is down or no longer has the key, are not sent to another shard.
func (r *Router) UseKeys(ctx context.Context, uses []store.KeyUse) error {
	parts := make([][]store.KeyUse, len(r.shards))
	t := r.refresher.table.Load()
	for _, u := range uses {
		if i := t.owner(bucketOfHash(u.Hash)); i != unknown {
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
