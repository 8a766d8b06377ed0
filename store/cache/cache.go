// Package cache keeps requested links in the memory of this process (L1) and, with a
// Remote, in a cache that all processes share (L2). It wraps any store.Store. L1 answers
// redirects for at most one TTL after L2 or the store was asked. A write changes L1 of this
// process at once, and L1 of other processes when its announcement arrives.
//
// The store remains the source of truth: Get, List and Reserve always ask it, and a failed
// load is not cached. An older version never replaces a newer one, with one exception: the
// primary has returned only the older version for lostAfter. Then a failover has lost the
// newer version. L2 is optional.
package cache

import (
	"cmp"
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
	DefaultStaleFor    = time.Hour // not applied by New: the zero StaleFor means never
)

// MaxNegativeTTL limits how long "no such link" is cached, because another process may
// create the link at any moment. With a working Remote, the create invalidates the entry
// at once.
const MaxNegativeTTL = 2 * time.Second

// staleRetry is how long a stale link is served before the store is asked again after a
// failure.
const staleRetry = time.Second

// Options configure a Cache.
type Options struct {
	Store      store.Store           // required: the store behind the cache
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	Remote Remote                           // L2; nil means no L2
	Edited func(code string, version int64) // called for each announced edit, before L1 changes; may be nil
	Wrote  func()                           // called after each Update, Delete and Restore that may have succeeded; may be nil

	// Admit admits a redirect that has to ask L2 or the store. The caller calls done when
	// the load has ended. Admit may wait. If it returns store.ErrShed, nothing is asked, and
	// the redirect gets a stale link or that error, see Resolve. Default: every redirect is
	// admitted.
	Admit func(ctx context.Context) (done func(), err error)

	// Full reports whether Admit would return store.ErrShed at once. Such a redirect is
	// refused without a load of its own. Default: never.
	Full func() bool

	MaxBytes    int64         // memory for links, see entry.size; default DefaultMaxBytes
	TTL         time.Duration // how long an answer is fresh, ±10 %; default DefaultTTL
	NegativeTTL time.Duration // how long "no such link" is fresh, -10 %; default and maximum MaxNegativeTTL
	LoadTimeout time.Duration // of one load from L2 and the store; default DefaultLoadTimeout
	StaleFor    time.Duration // how long after its load a link may be served while the store cannot answer; 0 means never

	Now func() time.Time // default time.Now
}

func (o Options) withDefaults() Options {
	if o.Admit == nil {
		o.Admit = func(context.Context) (func(), error) { return func() {}, nil }
	}
	if o.Full == nil {
		o.Full = func() bool { return false }
	}
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	o.TTL = cmp.Or(o.TTL, DefaultTTL)
	o.NegativeTTL = cmp.Or(o.NegativeTTL, DefaultNegativeTTL)
	o.LoadTimeout = cmp.Or(o.LoadTimeout, DefaultLoadTimeout)
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("cache: Options."+problem))
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

// Cache is a store.Store that answers Resolve from memory when possible. It is safe for
// concurrent use and needs no Close: its goroutines end shortly after the last load. With
// a Remote, the owner must run Listen.
type Cache struct {
	store store.Store
	under resolver
	opts  Options
	clock func() time.Duration // time since New, on the monotonic clock

	l1      *otter.Cache[string, *entry]
	seed    maphash.Seed
	stripes [64]stripe
	idle    chan func()  // idle workers receive the next load from it
	flushed atomic.Int64 // on clock: when announced edits were last missed; entries loaded earlier are not fresh
	silent  atomic.Int64 // on clock: since when the store has answered nothing; 0 while it answers
	metrics *metrics
}

var _ store.Store = (*Cache)(nil)

// resolver answers a miss in L1.
type resolver interface {
	Resolve(ctx context.Context, code string) (store.Link, error)
}

// New returns an empty cache, or an error that lists every problem of opts.
func New(opts Options) (*Cache, error) {
	opts = opts.withDefaults()
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
		Executor:         func(tidy func()) { tidy() }, // a goroutine for each tidy would cost more than the tidy
		Logger:           otterLog{opts.Logger},
	})
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return c, nil
}

// monotonic returns a clock that does not jump when the wall clock is set.
func monotonic(now func() time.Time) func() time.Duration {
	if now == nil { // time.Since reads the monotonic clock alone, which takes half the time of time.Now
		start := time.Now()
		return func() time.Duration { return time.Since(start) }
	}
	start := now()
	return func() time.Duration { return now().Sub(start) }
}

// otterLog writes otter's log messages to our log.
type otterLog struct{ log *slog.Logger }

func (l otterLog) Warn(ctx context.Context, msg string, err error) {
	l.log.WarnContext(ctx, "warning from the link cache", "msg", msg, "err", err)
}

func (l otterLog) Error(ctx context.Context, msg string, err error) {
	l.log.ErrorContext(ctx, "link cache failed", "msg", msg, "err", err)
}
