package clicks

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a Recorder.
type metrics struct {
	flushed  prometheus.Counter
	duration prometheus.Histogram
	excluded prometheus.Counter
	coarse   prometheus.Counter
	unsalted prometheus.Counter
	restored prometheus.Counter
	unsaved  prometheus.Counter
	full     *atomic.Int64 // clicks dropped after they were classified, because the memory was full
	lost     *atomic.Int64 // clicks lost at shutdown
	old      *atomic.Int64 // clicks dropped because their batch was too old
	damaged  *atomic.Int64 // clicks of damaged files
}

// newMetrics registers the metrics of a recorder. Counters that change with every click
// are summed from the stripes on demand: a counter shared by all processors would cost
// more than the click.
func newMetrics(reg prometheus.Registerer, r *Recorder) (*metrics, error) {
	m := &metrics{
		flushed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_clicks_flushed_total",
			Help: "Clicks that the store has counted.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "terse_clicks_flush_duration_seconds",
			Help:    "Duration of one batch of clicks in the store, including failures.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		excluded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_clicks_excluded_total",
			Help: "Clicks that were not counted, because their client is in an excluded network.",
		}),
		coarse: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_clicks_coarse_total",
			Help: "Clicks that were counted without details, because the memory was full.",
		}),
		unsalted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_clicks_unsalted_total",
			Help: "Clicks that were counted without their visitor, because the salt of the day could not be read.",
		}),
		restored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_clicks_restored_total",
			Help: "Clicks of earlier processes that were in the spool at the start of this process.",
		}),
		unsaved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_clicks_spool_failures_total",
			Help: "Failed attempts to write clicks to the spool, because the spool or the disk is full or does not work. The clicks wait in memory.",
		}),
		full: new(atomic.Int64), lost: new(atomic.Int64), old: new(atomic.Int64), damaged: new(atomic.Int64),
	}
	dropped := func(reason string, clicks func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "terse_clicks_dropped_total",
			Help:        "Clicks that were not counted, by reason: the memory was full, and the spool if there is one (full), the process ended (shutdown), they waited for more than six days (old), or their file in the spool was damaged (damaged).",
			ConstLabels: prometheus.Labels{"reason": reason},
		}, func() float64 { return float64(clicks()) })
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.flushed,
		m.duration,
		m.excluded,
		m.coarse,
		m.unsalted,
		m.restored,
		m.unsaved,
		dropped("full", func() int64 { return r.sum().full + m.full.Load() }),
		dropped("shutdown", func() int64 { return r.sum().late + m.lost.Load() }),
		dropped("old", m.old.Load),
		dropped("damaged", m.damaged.Load),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "terse_clicks_recorded_total",
			Help: "Clicks that were recorded. Together with the restored clicks, they are the sum of flushed, dropped, excluded and pending clicks.",
		}, func() float64 { return float64(r.sum().recorded) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "terse_clicks_pending",
			Help: "Clicks that are not flushed yet.",
		}, func() float64 { return float64(r.sum().pending) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "terse_clicks_spooled",
			Help: "Pending clicks that are in files of the spool. A killed process does not lose them.",
		}, func() float64 { return float64(r.spooled.Load()) }),
	} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("clicks: register metrics: %w", err)
	}
	return m, nil
}
