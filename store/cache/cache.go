// Package cache keeps the links that visitors ask for in the memory of this
// process (L1) and, when there is one, in a cache that all processes share (L2),
// in front of any store.Store. Redirects are answered from L1 for at most one TTL
// after L2 or the store was asked; writes pass through it and are seen by this
// process at once, and by others as soon as they hear of them.
//
// It is not the truth: Get, List and Reserve always ask the store, nothing is
// remembered of a failed load, and no older version replaces one that is known, unless
// the primary has said for lostAfter that there is only the older one: then a failover has
// lost the later one. L2 is never needed: without it the store is asked.
package cache

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// Defaults of Options.
const (
	DefaultMaxBytes    = 64 << 20
	DefaultTTL         = 10 * time.Second
	DefaultNegativeTTL = MaxNegativeTTL
	DefaultLoadTimeout = 2 * time.Second
	DefaultStaleFor    = time.Hour // for callers to set: the zero StaleFor means never
)

// MaxNegativeTTL is the longest that "no such link" may be remembered, since
// another process may create that link at any moment. With a Remote that works, the
// create ends it at once.
const MaxNegativeTTL = 2 * time.Second

// staleRetry is how long a link that outlived its TTL is served without asking
// a store that has just failed to answer for it.
const staleRetry = time.Second

// Options configure a Cache.
type Options struct {
	Store      store.Store           // required: what is cached
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	Remote Remote                           // L2; nil means none
	Edited func(code string, version int64) // told of each edit that is heard of, before L1 is; nil means nobody
	Wrote  func()                           // told after each Update and Delete that may have been done; nil means nobody

	// Admit admits a redirect that has to ask L2 or the store, until done is called. It
	// may wait for a place. Nothing is asked for a redirect that it refuses with
	// store.ErrShed: callers get that error, or a link that may stand in, see Resolve.
	// Default: every redirect is admitted.
	Admit func(ctx context.Context) (done func(), err error)

	MaxBytes    int64         // memory for links, see entry.size; default DefaultMaxBytes
	TTL         time.Duration // how long an answer is fresh, ±10 %; default DefaultTTL
	NegativeTTL time.Duration // the same for "no such link", -10 %; default and most MaxNegativeTTL
	LoadTimeout time.Duration // how long one question to the store may take; default DefaultLoadTimeout
	StaleFor    time.Duration // how long after it was loaded a link may stand in for a store that cannot answer; 0 means never

	Now func() time.Time // default time.Now
}

func (o *Options) setDefaults() {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.NegativeTTL == 0 {
		o.NegativeTTL = DefaultNegativeTTL
	}
	if o.LoadTimeout == 0 {
		o.LoadTimeout = DefaultLoadTimeout
	}
	if o.Admit == nil {
		o.Admit = func(context.Context) (func(), error) { return func() {}, nil }
	}
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("cache: "+problem))
		}
	}
	check(o.Store != nil, "Store is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.MaxBytes > 0, "MaxBytes must be positive")
	check(o.TTL > 0, "TTL must be positive")
	check(o.NegativeTTL > 0 && o.NegativeTTL <= MaxNegativeTTL,
		fmt.Sprintf("NegativeTTL must be positive and at most %v", MaxNegativeTTL))
	check(o.LoadTimeout > 0, "LoadTimeout must be positive")
	check(o.StaleFor == 0 || o.StaleFor >= o.TTL, "StaleFor must be 0 or at least TTL")
	return errors.Join(errs...)
}

// Cache is a store.Store that answers Resolve from memory where it can. It is
// safe for concurrent use, needs no closing, and owns no goroutine for longer than
// a load runs and a moment more. With a Remote, somebody has to run Listen.
type Cache struct {
	store store.Store
	under resolver
	opts  Options
	clock func() time.Duration // time since New, on the monotonic clock

	l1      *otter.Cache[string, *entry]
	seed    maphash.Seed
	stripes [64]stripe
	idle    chan func()  // workers that wait for a load receive from it
	flushed atomic.Int64 // when L1 was last found to have missed edits, on clock; what is older is not fresh
	silent  atomic.Int64 // since when the store has answered nothing that it was asked, on clock; 0 while it answers
	metrics *metrics
}

var _ store.Store = (*Cache)(nil)

// resolver is what a miss in L1 asks.
type resolver interface {
	Resolve(ctx context.Context, code string) (store.Link, error)
}

// New returns an empty cache, or every problem of opts.
func New(opts Options) (*Cache, error) {
	opts.setDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	c := &Cache{
		store: opts.Store, under: opts.Store, opts: opts,
		clock: monotonic(opts.Now), seed: maphash.MakeSeed(), idle: make(chan func()),
	}
	for i := range c.stripes {
		c.stripes[i].keys = map[string]*key{}
	}
	m, err := newMetrics(opts.Registerer, func() float64 { return float64(c.l1.WeightedSize()) })
	if err != nil {
		return nil, err
	}
	c.metrics = m
	c.l1, err = otter.New(&otter.Options[string, *entry]{
		MaximumWeight:    uint64(opts.MaxBytes), //nolint:gosec // validated as positive
		Weigher:          func(_ string, e *entry) uint32 { return e.size() },
		OnAtomicDeletion: m.countEviction,
		Executor:         func(tidy func()) { tidy() }, // a goroutine for each would cost more than it does
		Logger:           otterLog{opts.Logger},
	})
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return c, nil
}

// monotonic returns a clock that setting the wall clock does not disturb.
func monotonic(now func() time.Time) func() time.Duration {
	if now == nil {
		start := time.Now()
		return func() time.Duration { return time.Since(start) }
	}
	start := now()
	return func() time.Duration { return now().Sub(start) }
}

// otterLog hands what otter has to say to our log.
type otterLog struct{ log *slog.Logger }

func (l otterLog) Warn(ctx context.Context, msg string, err error) {
	l.log.WarnContext(ctx, "link cache warns", "msg", msg, "err", err)
}

func (l otterLog) Error(ctx context.Context, msg string, err error) {
	l.log.ErrorContext(ctx, "link cache failed", "msg", msg, "err", err)
}
