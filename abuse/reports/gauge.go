// Package reports counts the reports of visitors that wait for an administrator.
//
// It keeps none: the stores do.
package reports

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// Defaults of Options.
const (
	DefaultEvery   = 15 * time.Second
	DefaultTimeout = 3 * time.Second
)

// Named is a store of reports.
type Named struct {
	Name    string // of the shard
	Counter store.ReportCounter
}

// Options configure a Gauge.
type Options struct {
	Counters   []Named               // required
	Registerer prometheus.Registerer // required

	Every   time.Duration // between two counts, ±10 %; default DefaultEvery
	Timeout time.Duration // of one count; default DefaultTimeout
}

func (o Options) withDefaults() Options {
	o.Every = cmp.Or(o.Every, DefaultEvery)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("reports: Options."+problem))
		}
	}
	check(len(o.Counters) > 0, "Counters is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Every > 0, "Every must be positive")
	check(o.Timeout > 0, "Timeout must be positive")
	return errors.Join(errs...)
}

// Gauge shows how many reports are open, as a metric.
type Gauge struct {
	opts    Options
	metrics *metrics
}

// NewGauge returns a Gauge that shows nothing until Run counts.
func NewGauge(opts Options) (*Gauge, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	return &Gauge{opts: opts, metrics: m}, nil
}

// Run counts until ctx ends. What cannot be counted keeps its last number.
func (g *Gauge) Run(ctx context.Context) {
	for {
		for _, c := range g.opts.Counters {
			g.count(ctx, c)
		}
		wait := g.opts.Every * 9 / 10
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait + rand.N(g.opts.Every/5+1)): //nolint:gosec // jitter
		}
	}
}

func (g *Gauge) count(ctx context.Context, c Named) {
	ctx, cancel := context.WithTimeout(ctx, g.opts.Timeout)
	defer cancel()
	if n, err := c.Counter.OpenReports(ctx); err == nil {
		g.metrics.open.WithLabelValues(c.Name).Set(float64(n))
	}
}
