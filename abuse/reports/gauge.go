// Package reports counts the reports of visitors that wait for an administrator.
//
// It keeps none: the stores do.
package reports

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// Named is a place in which reports are kept.
type Named struct {
	Name    string // of the shard
	Counter store.ReportCounter
}

// Options configure NewGauge.
type Options struct {
	Counters   []Named               // required
	Registerer prometheus.Registerer // required
	Every      time.Duration         // between two counts, ±10 %; default DefaultEvery
	Timeout    time.Duration         // of one count; default DefaultTimeout
}

func (o *Options) validate() error {
	o.Every = cmp.Or(o.Every, DefaultEvery)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("reports: "+problem))
		}
	}
	check(len(o.Counters) > 0, "Counters are required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Every > 0 && o.Timeout > 0, "Every and Timeout must be positive")
	return errors.Join(errs...)
}

// Gauge shows how many reports are open, as a metric.
type Gauge struct {
	opts Options
	open *prometheus.GaugeVec
}

// NewGauge returns a Gauge that shows nothing until Run counts.
func NewGauge(opts Options) (*Gauge, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	g := &Gauge{opts: opts, open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "terse_reports_open",
		Help: "Reports of visitors that nobody has resolved yet, as they were last counted.",
	}, []string{"shard"})}
	if err := opts.Registerer.Register(g.open); err != nil {
		return nil, fmt.Errorf("reports: register metrics: %w", err)
	}
	return g, nil
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
		g.open.WithLabelValues(c.Name).Set(float64(n))
	}
}
