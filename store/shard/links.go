package shard

import (
	"context"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

// Create implements store.Store.
func (r *Router) Create(ctx context.Context, l store.Link) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(l.Code), func(s Shard) (store.Link, error) { return s.Create(ctx, l) })
}

// Resolve implements store.Store. The Router itself allocates nothing.
func (r *Router) Resolve(ctx context.Context, code string) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(code), func(s Shard) (store.Link, error) { return s.Resolve(ctx, code) })
}

// Get implements store.Store.
func (r *Router) Get(ctx context.Context, code string) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(code), func(s Shard) (store.Link, error) { return s.Get(ctx, code) })
}

// Confirm implements store.Store.
func (r *Router) Confirm(ctx context.Context, code string) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(code), func(s Shard) (store.Link, error) { return s.Confirm(ctx, code) })
}

// Update implements store.Store.
func (r *Router) Update(ctx context.Context, l store.Link) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(l.Code), func(s Shard) (store.Link, error) { return s.Update(ctx, l) })
}

// Delete implements store.Store.
func (r *Router) Delete(ctx context.Context, code string, version int64, at time.Time) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(code), func(s Shard) (store.Link, error) { return s.Delete(ctx, code, version, at) })
}

// Restore implements store.Store.
func (r *Router) Restore(ctx context.Context, l store.Link) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(l.Code), func(s Shard) (store.Link, error) { return s.Restore(ctx, l) })
}

// Consume implements store.Store.
func (r *Router) Consume(ctx context.Context, code string, now time.Time) (store.Link, error) {
	return ask(ctx, r, store.BucketOf(code), func(s Shard) (store.Link, error) { return s.Consume(ctx, code, now) })
}

// Reserve implements store.Store. The shard of a reservation depends on its owner and key. It
// may differ from the shard of the code.
func (r *Router) Reserve(ctx context.Context, v store.Reservation) (store.Reservation, error) {
	return ask(ctx, r, v.Bucket(), func(s Shard) (store.Reservation, error) { return s.Reserve(ctx, v) })
}

// CreateOnce implements store.Store. It writes both at once when one shard owns both
// buckets, and one after the other when two do or when a bucket has just moved.
func (r *Router) CreateOnce(ctx context.Context, l store.Link, v store.Reservation) (store.Link, store.Reservation, error) {
	if r.Together(l.Code, v.Bucket()) {
		type created struct {
			link   store.Link
			stands store.Reservation
		}
		got, err := askOnce(r, v.Bucket(), func(s Shard) (c created, err error) {
			c.link, c.stands, err = s.CreateOnce(ctx, l, v)
			return c, err
		})
		if !errors.Is(err, store.ErrMoved) {
			return got.link, got.stands, err
		}
		r.metrics.moved.Inc()
		if err := r.await(ctx); err != nil {
			return store.Link{}, store.Reservation{}, err
		}
	}
	return store.CreateApart(ctx, r, l, v)
}

// Together reports whether one shard is known to own the buckets of a code and of
// something else.
func (r *Router) Together(code string, bucket int) bool {
	t := r.refresher.table.Load()
	owner := t.owner(bucket)
	return owner != unknown && owner == t.owner(store.BucketOf(code))
}
