package shard

import (
	"context"
	"time"

	"github.com/terse/terse/store"
)

// Create implements store.Store.
func (r *Router) Create(ctx context.Context, l store.Link) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(l.Code), func(s Shard) (store.Link, error) { return s.Create(ctx, l) })
}

// Resolve implements store.Store. It allocates nothing of its own.
func (r *Router) Resolve(ctx context.Context, code string) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(code), func(s Shard) (store.Link, error) { return s.Resolve(ctx, code) })
}

// Get implements store.Store.
func (r *Router) Get(ctx context.Context, code string) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(code), func(s Shard) (store.Link, error) { return s.Get(ctx, code) })
}

// Update implements store.Store.
func (r *Router) Update(ctx context.Context, l store.Link) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(l.Code), func(s Shard) (store.Link, error) { return s.Update(ctx, l) })
}

// Delete implements store.Store.
func (r *Router) Delete(ctx context.Context, code string, version int64, at time.Time) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(code), func(s Shard) (store.Link, error) { return s.Delete(ctx, code, version, at) })
}

// Consume implements store.Store.
func (r *Router) Consume(ctx context.Context, code string, now time.Time) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(code), func(s Shard) (store.Link, error) { return s.Consume(ctx, code, now) })
}

// Reserve implements store.Store. A reservation is on the shard of its owner and
// key, which need not be that of the code.
func (r *Router) Reserve(ctx context.Context, v store.Reservation) (store.Reservation, error) {
	bucket := store.BucketOf(v.Owner + "\x00" + v.Key)
	return ask(ctx, r, bucket, func(s Shard) (store.Reservation, error) { return s.Reserve(ctx, v) })
}
