// Package scan looks through links that exist: all of them whenever the blocklist
// changes, those that are new or edited by a reputation service, and all of them
// again every so often. Links that lead where they must not are disabled.
//
// It decides nothing about links by itself: a blocklist and a Checker do. Any
// number of processes may run a Worker over the same places; each scan of a place
// is done by one of them at a time, and another goes on where one has died.
package scan

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// Defaults of Options.
const (
	DefaultEvery    = 2 * time.Second
	DefaultSettle   = 10 * time.Second
	DefaultLate     = time.Minute
	DefaultInterval = 24 * time.Hour
)

// holdFor is how long a scan is claimed. What is done between two saves takes far
// less.
const holdFor = 30 * time.Second

// callTimeout bounds one call to a place.
const callTimeout = 10 * time.Second

// pageLen is how many links are read at once.
const pageLen = 500

// Blocklist is what links are held against.
type Blocklist interface {
	store.Blocker

	// Any reports whether any host is blocked.
	Any() bool

	// Fingerprint returns a text that is another one for another list.
	Fingerprint() string
}

// Checker is a reputation service. Implementations are safe for concurrent use.
type Checker interface {
	// Check returns why nobody should be led to a target, and nothing when the
	// service knows no reason. An error says that it cannot be asked now.
	Check(ctx context.Context, target string) (reason string, err error)
}

// Place is where links are.
type Place struct {
	Name  string // of the shard, in metrics and logs
	Links store.Scanned
}

// Options configure New.
type Options struct {
	Places    []Place       // required
	Store     store.Store   // required: through which links are disabled
	History   store.History // required: of what Store keeps
	Blocklist Blocklist     // required
	Checker   Checker       // nil: none

	Every    time.Duration // between two looks for something to do, ±20 %; default DefaultEvery
	Settle   time.Duration // how long a change of the blocklist is known before links are held against it, so that all processes know of it; default DefaultSettle
	Except   string        // owner whose links are not checked: they are the system's own; default nobody
	Late     time.Duration // how much later than its time a new or edited link may show, because a write took long or the clocks of processes and the database differ; default DefaultLate
	Interval time.Duration // after which all links are looked at again; default DefaultInterval

	Logger     *slog.Logger          // required
	Registerer prometheus.Registerer // required
	Now        func() time.Time      // default time.Now
}

func (o *Options) validate() error {
	o.Every = cmp.Or(o.Every, DefaultEvery)
	o.Settle = cmp.Or(o.Settle, DefaultSettle)
	o.Late = cmp.Or(o.Late, DefaultLate)
	o.Interval = cmp.Or(o.Interval, DefaultInterval)
	if o.Now == nil {
		o.Now = time.Now
	}
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("scan: "+problem))
		}
	}
	check(len(o.Places) > 0, "Places are required")
	check(o.Store != nil, "Store is required")
	check(o.History != nil, "History is required")
	check(o.Blocklist != nil, "Blocklist is required")
	check(o.Logger != nil, "Logger is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Every > 0 && o.Settle > 0 && o.Late > 0 && o.Interval > 0, "Every, Settle, Late and Interval must be positive")
	return errors.Join(errs...)
}

// Worker scans while Run runs.
type Worker struct {
	opts    Options
	holder  string // this process among those that scan
	metrics *metrics
}

// New returns a Worker, or every problem of opts.
func New(opts Options) (*Worker, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, fmt.Errorf("scan: register metrics: %w", err)
	}
	m.begin(&opts)
	return &Worker{opts: opts, holder: rand.Text(), metrics: m}, nil
}

// Run scans until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	var scanning sync.WaitGroup
	for _, p := range w.opts.Places {
		blocked := &blockedScan{w: w, place: p}
		scanning.Go(func() { w.repeat(ctx, p, blockedName, blocked.round) })
		if w.opts.Checker != nil {
			checked := newCheckedScan(w, p)
			scanning.Go(func() { w.repeat(ctx, p, checkedName, checked.round) })
		}
	}
	scanning.Wait()
}

// longestWait bounds the waits after failures.
const longestWait = time.Minute

// repeat runs rounds of one scan. After a failure it waits, twice as long after
// each one in a row.
func (w *Worker) repeat(ctx context.Context, p Place, name string, round func(ctx context.Context) error) {
	defer w.release(ctx, p, name)
	failures := 0
	for ctx.Err() == nil {
		err := round(ctx)
		switch {
		case err == nil || errors.Is(err, store.ErrBusy):
			if failures > 0 {
				w.opts.Logger.InfoContext(ctx, "scan of links goes on", "scan", name, "shard", p.Name)
			}
			failures = 0
		case ctx.Err() != nil:
			return
		default:
			if failures == 0 {
				w.opts.Logger.WarnContext(ctx, "scan of links is held up", "scan", name, "shard", p.Name, "err", err)
			}
			failures++
			w.metrics.failures.WithLabelValues(name, p.Name).Inc()
		}
		wait := min(w.opts.Every<<min(failures, 10), max(longestWait, w.opts.Every))
		select {
		case <-ctx.Done():
		case <-time.After(wait*4/5 + mathrand.N(wait*2/5+1)): //nolint:gosec // jitter
		}
	}
}

// releaseTimeout bounds the giving back of a scan.
const releaseTimeout = 2 * time.Second

// release lets another process go on with a scan at once. Where that cannot be told,
// it does so when the time of this one is over.
func (w *Worker) release(ctx context.Context, p Place, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if _, err := p.Links.ClaimScan(ctx, name, w.holder, 0); err != nil {
		w.opts.Logger.DebugContext(ctx, "scan of links was not given back", "scan", name, "shard", p.Name, "err", err)
	}
}

// disableAttempts is how often a link is read and disabled against others who edit
// it.
const disableAttempts = 5

// disable takes a link down when it is still what was judged: live, with that
// target. author is who says so.
func (w *Worker) disable(ctx context.Context, code, target, reason string, author string) error {
	ctx = store.WithAuthor(ctx, store.Author{ID: author})
	for range disableAttempts {
		l, err := w.opts.Store.Get(ctx, code)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err != nil:
			return err
		case !l.DeletedAt.IsZero() || !l.DisabledAt.IsZero() || l.URL != target:
			return nil
		}
		l.DisabledAt = w.opts.Now().UTC().Truncate(time.Microsecond)
		l.UpdatedAt, l.DisabledReason = l.DisabledAt, reason
		_, err = w.opts.Store.Update(ctx, l)
		if err == nil {
			w.metrics.disabled.WithLabelValues(author).Inc()
			w.opts.Logger.InfoContext(ctx, "link is disabled", "code", code, "author", author, "reason", reason)
		}
		if !errors.Is(err, store.ErrVersion) && !errors.Is(err, store.ErrGone) {
			return err
		}
	}
	return fmt.Errorf("disable %q against many others: %w", code, store.ErrUnavailable)
}

// page reads links behind a code, and returns how long that took.
func (w *Worker) page(ctx context.Context, p Place, after string, limit int) (links []store.Link, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	began := time.Now()
	links, err = p.Links.Export(ctx, after, limit)
	return links, time.Since(began), err
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
