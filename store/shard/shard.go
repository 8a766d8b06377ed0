// Package shard makes one store of many shards. It reads from each shard which buckets the
// shard owns, and sends every call to the owner of its key's bucket.
//
// It stores nothing and does not decide who owns a bucket. The shards do, and refuse calls for
// buckets that they do not own. It does not move buckets.
package shard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terse/terse/store"
)

// Shard keeps the data of its buckets and returns store.ErrMoved for other buckets.
// Implementations are safe for concurrent use.
type Shard interface {
	store.Store
	store.Keys
	store.ClickSink
	store.ClickDays
	store.History
	store.Tags
	store.Blocklist
	store.Domains
	store.Reports
	store.Certificates

	// Archive exports links in the order of their buckets, and within a bucket in the order
	// of their codes.
	store.Archive

	// Buckets returns the buckets that the shard owns, and a version that grows with every
	// change of them. It returns store.ErrUnavailable if the shard is unreachable, and
	// another error if the shard is misconfigured.
	Buckets(ctx context.Context) (buckets []store.Bucket, version int64, err error)
}

// Leaser leases the node ids of one shard. See idgen.Leaser for the contract.
type Leaser interface {
	Acquire(ctx context.Context, ttl time.Duration) (node int64, floor time.Time, err error)
	Renew(ctx context.Context, node int64, used time.Time, ttl time.Duration) (held bool, err error)
	Release(ctx context.Context, node int64, used time.Time) error
}

// Router is a store over many shards. Calls return store.ErrUnavailable until it has a map of
// the buckets, and for buckets without a known owner. A dead shard does not affect the buckets
// of others. Safe for concurrent use.
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
	_ store.ClickDays = (*Router)(nil)
	_ store.History   = (*Router)(nil)
	_ store.Tags      = (*Router)(nil)
	_ store.Archive   = (*Router)(nil)
	_ store.Blocklist = (*Router)(nil)
	_ store.Domains   = (*Router)(nil)
	_ store.Reports   = (*Router)(nil)

	_ store.Certificates = (*Router)(nil)
)

// New returns a Router that reads the map every RefreshEvery until Close. Load reads the first
// map without waiting.
func New(opts Options) (*Router, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer, opts.Shards)
	if err != nil {
		return nil, err
	}
	return &Router{shards: opts.Shards, opts: opts, metrics: m, refresher: startRefresher(opts, m)}, nil
}

// Load reads the map now. It returns an error if the map is refused or a reachable shard is
// misconfigured, and store.ErrUnavailable if no shard is reachable. After an error the Router
// continues to retry.
func (r *Router) Load(ctx context.Context) error {
	if err := r.refresher.demand(ctx); err != nil {
		return fmt.Errorf("shard: load the map of buckets: %w", err)
	}
	return nil
}

// Loaded returns a channel that is closed once there is a map.
func (r *Router) Loaded() <-chan struct{} { return r.refresher.loaded }

// Lack returns why there is no map yet. Once there has been a map, it returns the zero Lack,
// even if shards fail later.
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

// errUnasked is the error in Lack before the first round has ended.
var errUnasked = errors.New("the shards have not answered yet")

// ShardOf returns the index in Options.Shards of the owner of a code's bucket, or -1 if it is
// not known.
func (r *Router) ShardOf(code string) int {
	return r.refresher.table.Load().owner(store.BucketOf(code))
}

// Close stops reading the map. It does not close the shards.
func (r *Router) Close() {
	r.refresher.stop()
}

// ask calls the owner of a bucket. If the bucket has moved, it waits for a new map and calls
// the new owner once.
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

// askOnce calls the owner of a bucket.
func askOnce[T any](r *Router, bucket int, call func(s Shard) (T, error)) (got T, err error) {
	i := r.refresher.table.Load().owner(bucket)
	if i == unknown {
		return got, unowned(bucket)
	}
	got, err = call(r.shards[i].Shard)
	return got, r.named(i, err)
}

// await waits for a map that is read after this call. A failed read is not an error: the map in
// use may be right, and if not, the shard refuses the call again.
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

// settled turns a second store.ErrMoved into store.ErrUnavailable for callers.
func (r *Router) settled(err error) error {
	if !errors.Is(err, store.ErrMoved) {
		return err
	}
	r.metrics.gaveUp.Inc()
	return fmt.Errorf("%w: %s", store.ErrUnavailable, err.Error())
}

// moved reports whether any shard returned store.ErrMoved.
func moved(errs []error) bool { return errors.Is(errors.Join(errs...), store.ErrMoved) }

// outage returns nil if no shard failed, the error of ctx if ctx has ended, and otherwise
// store.ErrUnavailable with the text of all errors.
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

// unowned returns the error for a bucket without a known owner.
func unowned(bucket int) error {
	return fmt.Errorf("shard: %w: no reachable shard owns bucket %d", store.ErrUnavailable, bucket)
}
