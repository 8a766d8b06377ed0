// Package clicks counts redirects without slowing them down. A Recorder counts clicks
// in memory, sums them by code, and sends the sums to a store.ClickSink about once a
// second.
//
// A killed process loses the clicks since its last flush. The Recorder never waits for
// the sink: when its memory is full, it drops clicks of new codes and counts the drops.
package clicks

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// Defaults of Options.
const (
	DefaultFlushEvery   = time.Second
	DefaultFlushTimeout = 5 * time.Second
	DefaultMaxCodes     = 1 << 16
	DefaultMaxBatch     = 1000
)

// maxBackoff is the longest pause between two flush attempts, unless FlushEvery is longer.
const maxBackoff = 30 * time.Second

// Options configure a Recorder.
type Options struct {
	Sink       store.ClickSink       // required
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	FlushEvery   time.Duration // interval between flushes; a stripe that is half full flushes sooner; default DefaultFlushEvery
	FlushTimeout time.Duration // timeout of the sink for one batch; default DefaultFlushTimeout
	MaxCodes     int           // most codes in memory, at about 200 bytes each; default DefaultMaxCodes
	MaxBatch     int           // most codes in one batch; default DefaultMaxBatch
}

func (o Options) withDefaults() Options {
	o.FlushEvery = cmp.Or(o.FlushEvery, DefaultFlushEvery)
	o.FlushTimeout = cmp.Or(o.FlushTimeout, DefaultFlushTimeout)
	o.MaxCodes = cmp.Or(o.MaxCodes, DefaultMaxCodes)
	o.MaxBatch = cmp.Or(o.MaxBatch, DefaultMaxBatch)
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("clicks: Options."+problem))
		}
	}
	check(o.Sink != nil, "Sink is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.FlushEvery > 0, "FlushEvery must be positive")
	check(o.FlushTimeout > 0, "FlushTimeout must be positive")
	check(o.MaxCodes > 0, "MaxCodes must be positive")
	check(o.MaxBatch > 0, "MaxBatch must be positive")
	return errors.Join(errs...)
}

// Recorder counts clicks. Safe for concurrent use.
//
// Each code has a home stripe, and each stripe has its own lock, so different links
// seldom wait for each other. When a stripe is locked, a click goes to one of the next
// stripes, so the clicks of a busy link spread.
type Recorder struct {
	sink    store.ClickSink
	log     *slog.Logger
	opts    Options
	name    string
	seed    maphash.Seed
	stripes []stripe
	metrics *metrics

	wake    chan struct{} // one message when a stripe is half full
	closing atomic.Bool
	cancel  context.CancelFunc
	stopped chan struct{} // closed when run has returned

	flushing chan struct{}      // full during a flush; guards the fields below
	seq      int64              // number of the last batch
	backlog  []store.ClickBatch // batches without acknowledgement, oldest first
	waiting  atomic.Int64       // clicks in backlog; may be read at any time
}

// New returns a Recorder that flushes until Close. Its error joins every problem of opts.
func New(opts Options) (*Recorder, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	r := &Recorder{
		sink: opts.Sink, log: opts.Logger, opts: opts,
		name: rand.Text(), seed: maphash.MakeSeed(),
		stripes: make([]stripe, stripeCount(opts.MaxCodes)),
		wake:    make(chan struct{}, 1), stopped: make(chan struct{}),
		flushing: make(chan struct{}, 1),
	}
	for i := range r.stripes {
		r.stripes[i].init(opts.MaxCodes / len(r.stripes))
	}
	m, err := newMetrics(opts.Registerer, r.sum)
	if err != nil {
		return nil, err
	}
	r.metrics = m
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go r.run(ctx)
	return r, nil
}

// stripeCount returns a power of two: several stripes for each processor, but not more
// than maxCodes.
func stripeCount(maxCodes int) int {
	n := min(8*runtime.GOMAXPROCS(0), 256, maxCodes)
	return 1 << (bits.Len(uint(n)) - 1)
}

// Record counts one click. It never waits for the sink, keeps no reference to the
// memory of c.Code, and allocates only for the first click of a code since the last
// flush. After Close it drops the click.
func (r *Recorder) Record(c store.Click) {
	home := maphash.String(r.seed, c.Code)
	s := r.lockStripe(home)
	halfFull := s.add(c)
	s.mu.Unlock()
	if halfFull {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// lockStripe locks the home stripe of a code, or one of the next three stripes when the
// home stripe is locked.
func (r *Recorder) lockStripe(home uint64) *stripe {
	mask := uint64(len(r.stripes) - 1) //nolint:gosec // positive
	for i := range uint64(4) {
		if s := &r.stripes[(home+i)&mask]; s.mu.TryLock() {
			return s
		}
	}
	s := &r.stripes[home&mask]
	s.mu.Lock()
	return s
}

// Close stops counting and flushes. When ctx ends first, the clicks that the sink has
// not acknowledged are lost: Close counts them as dropped, logs them and returns an
// error. A second call returns nil.
func (r *Recorder) Close(ctx context.Context) error {
	if r.closing.Swap(true) {
		return nil
	}
	r.cancel()
	<-r.stopped
	for i := range r.stripes {
		r.stripes[i].close()
	}
	err := r.flushUntil(ctx)
	if err == nil {
		return nil
	}
	lost := r.giveUp()
	r.log.ErrorContext(ctx, "clicks lost at shutdown", "clicks", lost, "err", err)
	return fmt.Errorf("clicks: %d lost: %w", lost, err)
}
