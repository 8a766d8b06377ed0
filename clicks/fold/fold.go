// Package fold runs a worker that folds the waiting clicks of stores into days, and removes detail
// from old days. Folding two days together is day.Fold; stores read and write the rows.
//
// Any number of processes may run a Worker over the same stores. One process at a time does the
// work of a store, and another continues when that process dies.
package fold

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/store"
)

// Defaults of Options.
const (
	DefaultEvery      = 10 * time.Second
	DefaultMaxBatches = 64
	DefaultTimeout    = 30 * time.Second
	DefaultDetailDays = 90
)

// sweepEvery is the time between two checks whether retention has work.
const sweepEvery = time.Minute

// Named is the ClickFolder of one store, with the name of the shard.
type Named struct {
	Name   string // for metrics and logs
	Folder store.ClickFolder
}

// Options configure a Worker.
type Options struct {
	Folders    []Named               // required
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	Every      time.Duration // between two folds, ±20 %; default DefaultEvery
	MaxBatches int           // most batches in one transaction; default DefaultMaxBatches
	Timeout    time.Duration // of one transaction; default DefaultTimeout

	// DetailDays is how many days keep their quarter-hours. Older days have hours. A month loses
	// its quarter-hours once all its days are old enough. Default DefaultDetailDays.
	DetailDays int

	// KeepDays is how many days are kept at all, in whole months. Default 0: all.
	KeepDays int

	Now func() time.Time // default time.Now
}

func (o Options) withDefaults() Options {
	o.Every = cmp.Or(o.Every, DefaultEvery)
	o.MaxBatches = cmp.Or(o.MaxBatches, DefaultMaxBatches)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.DetailDays = cmp.Or(o.DetailDays, DefaultDetailDays)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("fold: Options."+problem))
		}
	}
	check(len(o.Folders) > 0, "Folders is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.Every > 0, "Every must be positive")
	check(o.MaxBatches > 0, "MaxBatches must be positive")
	check(o.Timeout > 0, "Timeout must be positive")
	check(o.DetailDays > 0, "DetailDays must be positive")
	check(o.KeepDays >= 0, "KeepDays must not be negative")
	return errors.Join(errs...)
}

// Worker folds until Close. Safe for concurrent use.
type Worker struct {
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New starts a Worker, or returns an error with every invalid option. The caller must close the
// Worker.
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
	for _, f := range opts.Folders {
		s := &shard{opts: &opts, of: f, metrics: m.shard(f.Name)}
		w.running.Go(func() { s.run(ctx) })
	}
	return w, nil
}

// Close stops the Worker and waits for running transactions until ctx ends. Batches that are not
// folded wait for other processes or the next start.
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
		return fmt.Errorf("fold: close: %w", ctx.Err())
	}
}

// shard folds the clicks of one store.
type shard struct {
	opts    *Options
	of      Named
	metrics *shardMetrics

	failing bool      // whether the latest work failed; only changes are logged
	swept   time.Time // when the latest sweep ended
}

// run folds until ctx ends.
func (s *shard) run(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := s.fold(ctx)
		more, swept := s.sweep(ctx)
		s.log(ctx, errors.Join(err, swept))
		oldest := s.count(ctx)
		if n >= s.opts.MaxBatches || n > 0 && oldest > s.opts.Every || swept == nil && more {
			continue // a fold takes a limited number of batches and bytes
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.opts.Every*4/5 + rand.N(s.opts.Every*2/5+1)): //nolint:gosec // jitter
		}
	}
}

// fold folds the oldest batches and returns their number.
func (s *shard) fold(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	began := time.Now()
	coarse := s.retention().WholeMonths().CoarseBefore
	n, err := s.of.Folder.FoldClicks(ctx, s.opts.MaxBatches, mergeDays(coarse))
	switch {
	case errors.Is(err, store.ErrBusy):
		return 0, nil
	case err != nil:
		s.metrics.failures.Inc()
		return 0, fmt.Errorf("fold: %w", err)
	case n > 0:
		s.metrics.folded.Add(float64(n))
		s.metrics.duration.Observe(time.Since(began).Seconds())
	}
	return n, nil
}

// sweep does one step of retention, unless the latest sweep ended less than sweepEvery ago.
func (s *shard) sweep(ctx context.Context) (more bool, err error) {
	if time.Since(s.swept) < sweepEvery {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	more, err = s.of.Folder.SweepClicks(ctx, s.retention())
	if !more {
		s.swept = time.Now()
	}
	if errors.Is(err, store.ErrBusy) {
		return false, nil
	}
	if err != nil {
		s.metrics.sweepFailures.Inc()
		return false, fmt.Errorf("retention: %w", err)
	}
	return more, nil
}

// retention returns the limits at the current time.
func (s *shard) retention() store.ClickRetention {
	today := int(store.DayOf(s.opts.Now()))
	r := store.ClickRetention{CoarseBefore: int32(max(0, today-s.opts.DetailDays)), Coarsen: day.Hours} //nolint:gosec // days
	if s.opts.KeepDays > 0 {
		r.DropBefore = int32(max(0, today-s.opts.KeepDays)) //nolint:gosec // days
	}
	return r
}

// log logs the first failure in a row, and the first success after failures.
func (s *shard) log(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !s.failing:
		s.opts.Logger.WarnContext(ctx, "clicks cannot be folded into days", "shard", s.of.Name, "err", err)
	case err == nil && s.failing:
		s.opts.Logger.InfoContext(ctx, "clicks are folded into days again", "shard", s.of.Name)
	}
	s.failing = err != nil
}

// count updates the metrics of the backlog, and returns the age of the oldest batch, or 0 if it
// cannot be read.
func (s *shard) count(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	b, err := s.of.Folder.ClickBacklog(ctx)
	if err != nil {
		return 0
	}
	s.metrics.waiting.Set(float64(b.Batches))
	s.metrics.oldest.Set(b.Oldest.Seconds())
	return b.Oldest
}
