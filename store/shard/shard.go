// Package shard makes one store of many shards: it reads from each which
// buckets it owns, and sends every call to the shard of its key.
//
// It keeps nothing and decides nothing about buckets: the shards do, and refuse
// what is sent to the wrong one. Moving buckets and dealing them out is not done
// here either.
package shard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terse/terse/store"
)

// Shard keeps what belongs to its buckets, and answers store.ErrMoved for a
// write to any other. Implementations are safe for concurrent use.
type Shard interface {
	store.Store
	store.Keys
	store.ClickSink
	store.History
	store.Blocklist
	store.Reports

	// Archive exports links in the order of their buckets, and those of one bucket
	// in the order of their codes.
	store.Archive

	// Buckets returns the buckets that the shard owns, and a number that grows
	// with every change of them. It returns store.ErrUnavailable when the shard
	// cannot be reached, and another error when it is not what it should be.
	Buckets(ctx context.Context) (buckets []store.Bucket, version int64, err error)
}

// Leaser leases the node ids of one shard, as idgen.Leaser says.
type Leaser interface {
	Acquire(ctx context.Context, ttl time.Duration) (node int64, floor time.Time, err error)
	Renew(ctx context.Context, node int64, used time.Time, ttl time.Duration) (held bool, err error)
	Release(ctx context.Context, node int64, used time.Time) error
}

// Router is a store over many shards. Until it has read a map of the buckets,
// and for buckets that no shard it reached is known to own, calls return
// store.ErrUnavailable. One dead shard does not touch the buckets of others.
// Safe for concurrent use.
type Router struct {
	shards    []Named
	opts      Options
	metrics   *metrics
	refresher *refresher
}

var (
	_ store.Store     = (*Router)(nil)
	_ store.Keys      = (*Router)(nil)
	_ store.ClickSink = (*Router)(nil)
	_ store.History   = (*Router)(nil)
	_ store.Archive   = (*Router)(nil)
	_ store.Blocklist = (*Router)(nil)
	_ store.Reports   = (*Router)(nil)
)

// New returns a Router that reads the map every RefreshEvery until Close. Load
// reads it for the first time without that wait.
func New(opts Options) (*Router, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("shard: %w", err)
	}
	m := newMetrics(opts.Shards)
	if err := m.register(opts.Registerer); err != nil {
		return nil, fmt.Errorf("shard: %w", err)
	}
	return &Router{shards: opts.Shards, opts: opts, metrics: m, refresher: startRefresher(opts, m)}, nil
}

// Load reads the map now. It fails when that is refused, when a shard that was
// reached is not what it should be, and, with store.ErrUnavailable, when none
// was reached. After any failure the Router goes on trying by itself.
func (r *Router) Load(ctx context.Context) error {
	if err := r.refresher.demand(ctx); err != nil {
		return fmt.Errorf("shard: load the map of buckets: %w", err)
	}
	return nil
}

// Loaded is closed once there is a map.
func (r *Router) Loaded() <-chan struct{} { return r.refresher.loaded }

// Lack returns why there is no map yet, and nothing once there is one, whatever
// happens to the shards then.
func (r *Router) Lack() Lack {
	select {
	case <-r.Loaded():
		return Lack{}
	default:
	}
	if lack := r.refresher.lack.Load(); lack != nil {
		return *lack
	}
	return Lack{Schema: errUnasked, Buckets: errUnasked}
}

// errUnasked is what a Router lacks before its first round has ended.
var errUnasked = errors.New("the shards have not answered yet")

// ShardOf returns which of Options.Shards owns the bucket of a code, or -1 while
// that is not known.
func (r *Router) ShardOf(code string) int {
	return r.refresher.table.Load().owner(store.BucketOf(code))
}

// Close ends the reading of the map. Shards are not closed.
func (r *Router) Close() {
	r.refresher.stop()
}

// ask has the owner of a bucket answer. When told that the bucket has moved, it
// waits for a new map and asks once more.
func ask[T any](ctx context.Context, r *Router, bucket int, call func(s Shard) (T, error)) (T, error) {
	got, err := askOnce(r, bucket, call)
	if err == nil || !errors.Is(err, store.ErrMoved) {
		return got, err
	}
	r.metrics.moved.Inc()
	if err := r.await(ctx); err != nil {
		return got, err
	}
	got, err = askOnce(r, bucket, call)
	return got, r.settled(err)
}

// askOnce has the owner of a bucket answer.
func askOnce[T any](r *Router, bucket int, call func(s Shard) (T, error)) (got T, err error) {
	i := r.refresher.table.Load().owner(bucket)
	if i == nobody {
		return got, unowned(bucket)
	}
	got, err = call(r.shards[i].Shard)
	return got, r.named(i, err)
}

// await waits for a map that was read after this moment. That there is none is
// no error: the one at hand may do, or what is sent by it is refused again.
func (r *Router) await(ctx context.Context) error {
	if err := r.refresher.demand(ctx); err != nil && ctx.Err() != nil {
		return fmt.Errorf("shard: wait for a new map of buckets: %w", ctx.Err())
	}
	return nil
}

// named adds the name of shard i to an error.
func (r *Router) named(i int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("shard %s: %w", r.shards[i].Name, err)
}

// settled turns a second store.ErrMoved into the outage that it is to callers.
func (r *Router) settled(err error) error {
	if !errors.Is(err, store.ErrMoved) {
		return err
	}
	r.metrics.gaveUp.Inc()
	return fmt.Errorf("%w: %s", store.ErrUnavailable, err.Error())
}

// moved reports whether a shard answered store.ErrMoved.
func moved(errs []error) bool { return errors.Is(errors.Join(errs...), store.ErrMoved) }

// outage returns nil when no shard failed, the error of ctx when that has ended,
// and otherwise store.ErrUnavailable with the text of all errors.
func outage(ctx context.Context, op string, errs []error) error {
	failed := errors.Join(errs...)
	switch {
	case failed == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("shard: %s: %w", op, ctx.Err())
	}
	return fmt.Errorf("shard: %s: %w: %s", op, store.ErrUnavailable, failed.Error())
}

// unowned says that nobody who was reached owns a bucket.
func unowned(bucket int) error {
	return fmt.Errorf("shard: %w: bucket %d is of no shard that was reached", store.ErrUnavailable, bucket)
}
