package clicks

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	flushed  prometheus.Counter
	duration prometheus.Histogram
	lost     *atomic.Int64 // clicks that the last flush did not bring home
}

// newMetrics registers the metrics of a recorder. Those that every click changes
// are read from its stripes when they are asked for: one counter that all
// processors write would cost more than the click.
func newMetrics(reg prometheus.Registerer, sum func() counts) (*metrics, error) {
	m := &metrics{
		flushed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_clicks_flushed_total",
			Help: "Clicks that the sink has acknowledged.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "terse_clicks_flush_duration_seconds",
			Help:    "Time that the sink took for one batch, whatever it answered.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		lost: new(atomic.Int64),
	}
	dropped := func(reason string, clicks func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "terse_clicks_dropped_total",
			Help:        "Clicks that were not counted: for want of memory (full), or because the process ended (shutdown).",
			ConstLabels: prometheus.Labels{"reason": reason},
		}, func() float64 { return float64(clicks()) })
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.flushed,
		m.duration,
		dropped("full", func() int64 { return sum().full }),
		dropped("shutdown", func() int64 { return sum().late + m.lost.Load() }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "terse_clicks_recorded_total",
			Help: "Clicks that were handed over: those flushed, dropped and pending together.",
		}, func() float64 { return float64(sum().recorded) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "terse_clicks_pending",
			Help: "Clicks that wait to be flushed.",
		}, func() float64 { return float64(sum().pending) }),
	} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("clicks: register metrics: %w", err)
	}
	return m, nil
}
