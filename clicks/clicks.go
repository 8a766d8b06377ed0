// Package clicks counts redirects without slowing them down. A Recorder keeps the facts of each
// click in memory. About once a second it classifies the clicks, sums them by link and day, and
// sends the sums to a store.ClickSink. Package clicks/stats reads stored
// clicks.
//
// A killed process loses the clicks since its last flush. The Recorder never waits for the sink. If
// the sink does not accept batches, the Recorder writes them to files of package clicks/spool. When
// the files and its memory are full, it counts clicks without their details, then drops clicks, and
// counts both. Addresses and User-Agents of clients are in memory until clicks are classified, about one
// second. They are never sent to the sink.
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
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/spool"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/store"
)

// Defaults of Options.
const (
	DefaultFlushEvery   = time.Second
	DefaultFlushTimeout = 5 * time.Second
	DefaultMaxBytes     = 32 << 20
	DefaultMaxBatch     = 1000
)

// maxAge is the age of the oldest batch that is sent. A ClickSink remembers for a week which batches
// of a recorder it has added, so it could count an older batch twice.
const maxAge = 6 * 24 * time.Hour

// maxBackoff is the longest pause between two flush attempts, unless FlushEvery is longer.
const maxBackoff = 30 * time.Second

// Salts returns the secrets with which visitors are hashed.
type Salts interface {
	// ClickSalt does the same as in store.ClickDays.
	ClickSalt(ctx context.Context, day int32) ([]byte, error)
}

// Options configure a Recorder.
type Options struct {
	Sink       store.ClickSink       // required
	Visits     *visit.Classifier     // required
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	Salts   Salts          // default: visitors are not counted
	Spool   *spool.Spool   // must stay open until Close; default: batches wait in memory only
	Exclude []netip.Prefix // clicks of clients in these networks are not counted; default: none

	FlushEvery   time.Duration // interval between flushes; clicks are classified sooner when a stripe is half full; default DefaultFlushEvery
	FlushTimeout time.Duration // timeout of the sink for one batch; default DefaultFlushTimeout
	MaxBytes     int           // approximate limit of the memory for clicks: a quarter for unclassified clicks, a quarter for sums, half for batches; default DefaultMaxBytes
	MaxBatch     int           // most links in one batch; default DefaultMaxBatch
}

func (o Options) withDefaults() Options {
	o.FlushEvery = cmp.Or(o.FlushEvery, DefaultFlushEvery)
	o.FlushTimeout = cmp.Or(o.FlushTimeout, DefaultFlushTimeout)
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
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
	check(o.Visits != nil, "Visits is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.FlushEvery > 0, "FlushEvery must be positive")
	check(o.FlushTimeout > 0, "FlushTimeout must be positive")
	check(o.MaxBytes > 0, "MaxBytes must be positive")
	check(o.MaxBatch > 0, "MaxBatch must be positive")
	return errors.Join(errs...)
}

// Recorder counts clicks. Safe for concurrent use.
//
// Clicks wait in stripes, and each stripe has its own lock. When a stripe is locked or full, a
// click goes to one of the next stripes, so the clicks of a busy link spread.
type Recorder struct {
	sink    store.ClickSink
	log     *slog.Logger
	opts    Options
	shard   string // name of the shard; empty if there is only one
	name    string
	seed    maphash.Seed
	stripes []stripe
	metrics *metrics

	wake    chan struct{} // one message when a stripe is half full
	closing atomic.Bool
	cancel  context.CancelFunc
	running sync.WaitGroup

	sending chan struct{} // has an element while batches are sent

	failing atomic.Bool   // the latest flush failed
	settled atomic.Int64  // when the sink had acknowledged everything, Unix nanoseconds
	unsaved chan struct{} // one message when clicks must be saved soon

	saving      sync.Mutex // guards the field below, and is held during a save
	saveFailing bool       // the latest save failed

	mu       sync.Mutex // guards the fields below
	spare    table      // empty between two calls of aggregate
	salts    [2]salt
	open     map[linkDay]*open
	openSize int                // bytes
	lost     map[int32]*day.Day // dropped clicks that are in no batch yet, by UTC day
	seq      int64              // number of the last batch
	backlog  backlog

	waiting atomic.Int64 // clicks in open and backlog; may be read at any time
	spooled atomic.Int64 // the part of waiting that is in files
}

// New returns a Recorder that flushes until Close. It sends the batches that earlier processes have left
// in the spool, too. Its error joins every problem of opts.
func New(opts Options) (*Recorder, error) {
	var left []*spool.File
	if opts.Spool != nil {
		left = opts.Spool.Left()
	}
	return newRecorder(opts, "", left)
}

// newRecorder returns a Recorder of a shard that sends the batches of files, too.
func newRecorder(opts Options, shard string, left []*spool.File) (*Recorder, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	r := &Recorder{
		sink: opts.Sink, log: opts.Logger, opts: opts, shard: shard,
		name: rand.Text(), seed: maphash.MakeSeed(),
		stripes: make([]stripe, stripeCount()),
		wake:    make(chan struct{}, 1), sending: make(chan struct{}, 1), unsaved: make(chan struct{}, 1),
		spare: table{index: map[uint64]int32{}}, open: map[linkDay]*open{}, lost: map[int32]*day.Day{},
	}
	for i := range r.stripes {
		s := &r.stripes[i]
		s.capacity, s.live.index = opts.MaxBytes/4/len(r.stripes), map[uint64]int32{}
	}
	m, err := newMetrics(opts.Registerer, r)
	if err != nil {
		return nil, err
	}
	r.metrics = m
	r.settled.Store(time.Now().UnixNano())
	r.restore(left)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.running.Go(func() { r.classify(ctx) })
	r.running.Go(func() { r.run(ctx) })
	r.running.Go(func() { r.keep(ctx) })
	return r, nil
}

// stripeCount returns a power of two: several stripes for each processor.
func stripeCount() int {
	n := min(8*runtime.GOMAXPROCS(0), 256)
	return 1 << (bits.Len(uint(n)) - 1)
}

const (
	// probes is how many stripes a click tries.
	probes = 4

	// roomLen is the longest record that needs no allocation.
	roomLen = 768
)

// Record counts one click. It never waits for the sink, and keeps no reference to the texts of c.
// After Close it drops the click.
func (r *Recorder) Record(c Click) {
	c.bound()
	var room [roomLen]byte
	record := c.append(room[:0])
	hash := maphash.Bytes(r.seed, record)
	at := c.At.UnixMicro()
	mask := uint64(len(r.stripes) - 1) //nolint:gosec // positive
	for i := range uint64(probes) {
		s := &r.stripes[(hash+i)&mask]
		last := i == probes-1
		switch {
		case last:
			s.mu.Lock()
		case !s.mu.TryLock():
			continue
		}
		done, halfFull := s.record(record, hash, at, last)
		s.mu.Unlock()
		if halfFull {
			wake(r.wake)
		}
		if done {
			return
		}
	}
}

// Close stops counting and flushes. When ctx ends first, the clicks that the sink has
// not acknowledged stay in the spool. Without a spool they are lost: Close counts them as dropped,
// logs them and returns an error. A second call returns nil.
func (r *Recorder) Close(ctx context.Context) error {
	if r.closing.Swap(true) {
		return nil
	}
	r.cancel()
	r.running.Wait()
	for i := range r.stripes {
		r.stripes[i].close()
	}
	err := r.flushOrKeep(ctx)
	if err == nil {
		return nil
	}
	if lost := r.giveUp(); lost > 0 {
		r.log.ErrorContext(ctx, "clicks lost at shutdown", "clicks", lost, "err", err)
		return fmt.Errorf("clicks: %d lost: %w", lost, err)
	}
	r.log.WarnContext(ctx, "clicks stay in the spool until the next start", "clicks", r.spooled.Load(), "err", err)
	return nil
}

// flushOrKeep flushes until ctx ends, and saves clicks during that time and at the end. It returns an
// error if the sink has not acknowledged all clicks.
func (r *Recorder) flushOrKeep(ctx context.Context) error {
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	var kept sync.WaitGroup
	kept.Go(func() { r.keep(keeping) })
	err := r.flushUntil(ctx)
	stop()
	kept.Wait()
	if err != nil {
		r.save(context.WithoutCancel(ctx))
	}
	return err
}
