// Package outbox delivers the edits in the outboxes of stores to caches and to a CDN,
// and retries until each has acknowledged them.
//
// The stores decide which writes are edits and when a delivery is complete. Any number of
// processes may run a Worker over the same stores. One process at a time delivers to
// each audience of a store, and another continues when that process dies.
package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// Defaults of Options.
const (
	DefaultEvery             = 500 * time.Millisecond
	DefaultMaxBatch          = 500
	DefaultInvalidateTimeout = 5 * time.Second
)

// deliverTimeout is how long a delivery may take in addition to InvalidateTimeout.
const deliverTimeout = 3 * time.Second

// forgottenFor bounds the edits that a Redis loses when a replica takes its place: a
// replica is behind by less.
const forgottenFor = time.Minute

// backlogEvery is how often the backlog is counted.
const backlogEvery = 5 * time.Second

// Named is the outbox of a store.
type Named struct {
	Name   string // of the shard, in metrics and logs
	Outbox store.Outbox
}

// Options configure a Worker.
type Options struct {
	Outboxes   []Named               // required
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	Caches store.Invalidator // nil: no caches, and their edits are removed
	CDN    store.Invalidator // nil: no CDN, and its edits are removed

	Every             time.Duration // between two deliveries while the outbox is empty, ±20 %; default DefaultEvery
	InvalidateTimeout time.Duration // of one call to a Invalidator; default DefaultInvalidateTimeout
	MaxBatch          int           // most edits in one delivery; default DefaultMaxBatch
}

func (o Options) withDefaults() Options {
	o.Every = cmp.Or(o.Every, DefaultEvery)
	o.InvalidateTimeout = cmp.Or(o.InvalidateTimeout, DefaultInvalidateTimeout)
	o.MaxBatch = cmp.Or(o.MaxBatch, DefaultMaxBatch)
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("outbox: Options."+problem))
		}
	}
	check(len(o.Outboxes) > 0, "Outboxes is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.Every > 0, "Every must be positive")
	check(o.InvalidateTimeout > 0, "InvalidateTimeout must be positive")
	check(o.MaxBatch > 0, "MaxBatch must be positive")
	return errors.Join(errs...)
}

// Worker delivers edits until Close. Safe for concurrent use.
type Worker struct {
	routes  []*route
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New starts a Worker, or returns an error with every invalid option. The caller must
// close the Worker.
func New(opts Options) (*Worker, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &Worker{stop: stop}
	for _, o := range opts.Outboxes {
		for _, audience := range store.Audiences() {
			r := &route{
				opts: &opts, from: o, to: audience, invalidator: invalidatorOf(&opts, audience),
				nudged: make(chan struct{}, 1), metrics: m.route(o.Name, audience),
			}
			w.routes = append(w.routes, r)
			w.running.Go(func() { r.run(ctx) })
		}
	}
	return w, nil
}

func invalidatorOf(opts *Options, a store.Audience) store.Invalidator {
	if a == store.CDN {
		return opts.CDN
	}
	return opts.Caches
}

// Nudge makes the Worker look for new edits at once.
func (w *Worker) Nudge() {
	for _, r := range w.routes {
		select {
		case r.nudged <- struct{}{}:
		default: // a nudge is already pending
		}
	}
}

// RepeatToCaches makes the Worker deliver again what caches may have lost: the edits
// since a minute before the given moment. A shard that is unreachable repeats its edits
// once it is back.
func (w *Worker) RepeatToCaches(since time.Time) {
	since = since.Add(-forgottenFor)
	for _, r := range w.routes {
		if r.to == store.Caches && r.invalidator != nil {
			r.lose(since)
		}
	}
	w.Nudge()
}

// Close stops the Worker and waits for running deliveries until ctx ends. Undelivered
// edits stay in the outbox for other processes or the next start.
func (w *Worker) Close(ctx context.Context) error {
	w.stop()
	done := make(chan struct{})
	go func() {
		w.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("outbox: close: %w", ctx.Err())
	}
}

// route delivers from one outbox to one audience.
type route struct {
	opts        *Options
	from        Named
	to          store.Audience
	invalidator store.Invalidator // nil: edits are removed
	nudged      chan struct{}
	metrics     *routeMetrics
	lost        atomic.Pointer[time.Time] // edits since then are to be repeated; nil when none are

	failing bool      // whether the latest delivery failed; only changes are logged
	counted time.Time // when the backlog was last counted
}

// run delivers until ctx ends.
func (r *route) run(ctx context.Context) {
	for ctx.Err() == nil {
		lost := r.repeat(ctx)
		n, err := r.deliver(ctx)
		err = errors.Join(lost, err)
		r.log(ctx, err)
		r.count(ctx)
		if err == nil && n >= r.opts.MaxBatch {
			continue // there may be more
		}
		wait := r.opts.Every * 4 / 5
		select {
		case <-ctx.Done():
		case <-r.nudged:
		case <-time.After(wait + rand.N(r.opts.Every*2/5+1)): //nolint:gosec // jitter
		}
	}
}

// lose notes that edits since a moment are to be repeated.
func (r *route) lose(since time.Time) {
	for {
		before := r.lost.Load()
		if before != nil && before.Before(since) || r.lost.CompareAndSwap(before, &since) {
			return
		}
	}
}

// repeat queues the edits that were lost. It is tried again until it succeeds.
func (r *route) repeat(ctx context.Context) error {
	since := r.lost.Load()
	if since == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	if err := r.from.Outbox.Repeat(ctx, r.to, time.Since(*since)); err != nil {
		return err
	}
	r.lost.CompareAndSwap(since, nil)
	r.opts.Logger.InfoContext(ctx, "edits are repeated", "shard", r.from.Name, "audience", r.to.String(), "since", *since)
	return nil
}

// deliver delivers the edits that are due and returns how many there were. An error of
// the Invalidator is returned too.
func (r *route) deliver(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.InvalidateTimeout+deliverTimeout)
	defer cancel()
	var failed error
	invalidate := func(ctx context.Context, edits []store.Edit) []error {
		ctx, cancel := context.WithTimeout(ctx, r.opts.InvalidateTimeout)
		defer cancel()
		errs := r.invalidator.Invalidate(ctx, edits)
		failed = r.metrics.observe(edits, errs)
		return errs
	}
	if r.invalidator == nil {
		invalidate = nil
	}
	n, err := r.from.Outbox.Deliver(ctx, r.to, r.opts.MaxBatch, invalidate)
	if errors.Is(err, store.ErrBusy) {
		return 0, nil
	}
	return n, errors.Join(err, failed)
}

// log logs the first failure in a row, and the first success after failures.
func (r *route) log(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !r.failing:
		r.opts.Logger.WarnContext(ctx, "edits cannot be delivered", "shard", r.from.Name, "audience", r.to.String(), "err", err)
	case err == nil && r.failing:
		r.opts.Logger.InfoContext(ctx, "edits are delivered again", "shard", r.from.Name, "audience", r.to.String())
	}
	r.failing = err != nil
}

// count updates the backlog metrics every backlogEvery.
func (r *route) count(ctx context.Context) {
	if time.Since(r.counted) < backlogEvery {
		return
	}
	r.counted = time.Now()
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	if b, err := r.from.Outbox.Backlog(ctx, r.to); err == nil {
		r.metrics.backlog.Set(float64(b.Edits))
		r.metrics.oldest.Set(b.Oldest.Seconds())
	}
}
