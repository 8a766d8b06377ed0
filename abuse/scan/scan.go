// Package scan finds existing links with forbidden targets and disables them. It
// compares all links with the blocklist when the blocklist changes, and with the hosts of
// this server when these change. It asks a reputation service about new and edited links. All
// scans examine all links again every Options.Interval.
//
// A Blocklist, Hosts and a Checker decide which targets are forbidden. Any number of
// processes may run a Worker over the same sources. One process at a time does each
// scan of a source, and another continues it when that process dies.
package scan

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
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

// claimTTL is how long the claim of a scan lasts. The work between two saves takes
// much less time.
const claimTTL = 30 * time.Second

// callTimeout limits one call to a source.
const callTimeout = 10 * time.Second

// pageLen is how many links are read at once.
const pageLen = 500

// Blocklist decides which hosts are blocked.
type Blocklist interface {
	store.Blocker

	// Any reports whether any host is blocked.
	Any() bool

	// Fingerprint returns a text that changes when the list changes.
	Fingerprint() string

	// Missed returns the time since which this process may have accepted links to hosts that
	// it did not know, in the periods after the given number. latest is the number of the
	// latest period that has ended; 0 at first.
	Missed(after int) (since time.Time, latest int)
}

// Hosts are the hosts of this server besides the one of the base URL. Implementations are safe for
// concurrent use.
type Hosts interface {
	store.DomainHosts

	// AnyVerified reports whether there is any such host.
	AnyVerified() bool

	// Fingerprint returns a text that changes when the hosts change.
	Fingerprint() string

	// Missed returns the time since which this process may have accepted links to hosts that
	// it did not know, as Blocklist does.
	Missed(after int) (since time.Time, latest int)
}

// Checker is a reputation service. Implementations are safe for concurrent use.
type Checker interface {
	// Check returns why a target is dangerous, or "" when the service knows no
	// reason. An error means that the service could not answer.
	Check(ctx context.Context, target string) (reason string, err error)
}

// Disabler disables links. Implementations are safe for concurrent use.
type Disabler interface {
	// DisableTarget disables a link for author, a component of the server that has checked
	// its target. It returns false and changes nothing if the link now has another target, or
	// another version unless checked.Version is 0, is disabled or deleted, or does not exist.
	DisableTarget(ctx context.Context, author string, checked store.Link, reason string) (disabled bool, err error)
}

// Source is one source of links: a shard.
type Source struct {
	Name  string // of the shard, in metrics and logs
	Links store.Scanned
}

// Options configure a Worker.
type Options struct {
	Sources   []Source      // required
	Links     Disabler      // required
	History   store.History // required: the history of the links in Sources
	Blocklist Blocklist     // required

	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	Own     Hosts   // default: none
	Checker Checker // default: links are only compared with hosts
	Except  string  // owner of the system's own links, which are not checked; default: no owner

	Every    time.Duration // between two rounds of a scan, ±20 %; default DefaultEvery
	Settle   time.Duration // from a change of the hosts to the scan, so that all processes know the change; default DefaultSettle
	Late     time.Duration // how late a change may become visible, because of slow writes and of clocks that differ; default DefaultLate
	Interval time.Duration // between two scans of all links; default DefaultInterval

	Now func() time.Time // default time.Now
}

func (o Options) withDefaults() Options {
	o.Every = cmp.Or(o.Every, DefaultEvery)
	o.Settle = cmp.Or(o.Settle, DefaultSettle)
	o.Late = cmp.Or(o.Late, DefaultLate)
	o.Interval = cmp.Or(o.Interval, DefaultInterval)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("scan: Options."+problem))
		}
	}
	check(len(o.Sources) > 0, "Sources is required")
	check(o.Links != nil, "Links is required")
	check(o.History != nil, "History is required")
	check(o.Blocklist != nil, "Blocklist is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.Every > 0, "Every must be positive")
	check(o.Settle > 0, "Settle must be positive")
	check(o.Late > 0, "Late must be positive")
	check(o.Interval > 0, "Interval must be positive")
	return errors.Join(errs...)
}

// Worker runs the scans while Run runs.
type Worker struct {
	opts    Options
	holder  string // identifies this process in claims
	metrics *metrics
}

// New returns a Worker, or an error with every invalid option.
func New(opts Options) (*Worker, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	m.begin(&opts)
	return &Worker{opts: opts, holder: rand.Text(), metrics: m}, nil
}

// Run scans until ctx ends. Then it gives up its claims and returns.
func (w *Worker) Run(ctx context.Context) {
	var scanning sync.WaitGroup
	for _, from := range w.opts.Sources {
		for _, hosts := range w.opts.forbiddenHosts() {
			scan := &hostScan{w: w, source: from, forbidden: hosts}
			scanning.Go(func() { w.claimed(ctx, from, hosts.name, scan.round) })
			missed := &missedScan{w: w, source: from, forbidden: hosts}
			scanning.Go(func() { w.repeat(ctx, from, hosts.name, missed.round) })
		}
		if w.opts.Checker != nil {
			checked := newCheckedScan(w, from)
			scanning.Go(func() { w.claimed(ctx, from, checkedName, checked.round) })
		}
	}
	scanning.Wait()
}

// longestWait limits the wait after failures.
const longestWait = time.Minute

// claimed is repeat for a scan that one process at a time does. It gives up the claim at the
// end.
func (w *Worker) claimed(ctx context.Context, from Source, name string, round func(ctx context.Context) error) {
	defer w.release(ctx, from, name)
	w.repeat(ctx, from, name, round)
}

// repeat runs rounds of one scan. It doubles the wait after each failure in a row.
func (w *Worker) repeat(ctx context.Context, from Source, name string, round func(ctx context.Context) error) {
	failures := 0
	for ctx.Err() == nil {
		err := round(ctx)
		switch {
		case err == nil || errors.Is(err, store.ErrBusy):
			if failures > 0 {
				w.opts.Logger.InfoContext(ctx, "scan of links works again", "scan", name, "shard", from.Name)
			}
			failures = 0
		case ctx.Err() != nil:
			return
		default:
			if failures == 0 {
				w.opts.Logger.WarnContext(ctx, "scan of links failed and is retried", "scan", name, "shard", from.Name, "err", err)
			}
			failures++
			w.metrics.failures.WithLabelValues(name, from.Name).Inc()
		}
		wait := min(w.opts.Every<<min(failures, 10), max(longestWait, w.opts.Every))
		select {
		case <-ctx.Done():
		case <-time.After(wait*4/5 + mathrand.N(wait*2/5+1)): //nolint:gosec // jitter
		}
	}
}

// releaseTimeout limits the call that gives up a claim.
const releaseTimeout = 2 * time.Second

// release gives up the claim, so that another process can continue the scan at once.
// If the call fails, the claim expires after claimTTL.
func (w *Worker) release(ctx context.Context, from Source, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if _, err := from.Links.ClaimScan(ctx, name, w.holder, 0); err != nil {
		w.opts.Logger.DebugContext(ctx, "claim of a scan was not released", "scan", name, "shard", from.Name, "err", err)
	}
}

// disable disables a checked link, see Disabler. author is recorded in the link's history.
func (w *Worker) disable(ctx context.Context, checked store.Link, reason, author string) error {
	disabled, err := w.opts.Links.DisableTarget(ctx, author, checked, reason)
	if disabled {
		w.metrics.disabled.WithLabelValues(author).Inc()
		w.opts.Logger.InfoContext(ctx, "link is disabled", "code", checked.Code, "author", author, "reason", reason)
	}
	return err
}

// page reads links after a code, and returns how long the read took.
func (w *Worker) page(ctx context.Context, from Source, after string, limit int) (links []store.Link, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	began := time.Now()
	links, err = from.Links.Export(ctx, after, limit)
	return links, time.Since(began), err
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
