package webrisk

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a Client.
type metrics struct {
	clean, bad, unjudged, failed prometheus.Counter

	duration prometheus.Histogram
	open     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_webrisk_checks_total",
		Help: "Targets sent to Google Web Risk, by result: clean, bad, unjudged (rejected as an invalid target) or error.",
	}, []string{"result"})
	m := &metrics{
		clean: checks.WithLabelValues("clean"), bad: checks.WithLabelValues("bad"),
		unjudged: checks.WithLabelValues("unjudged"), failed: checks.WithLabelValues("error"),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "terse_webrisk_check_duration_seconds",
			Help:    "Duration of one request to Google Web Risk.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "terse_webrisk_breaker_open",
			Help: "1 while no requests go to Google Web Risk because several failed in a row, else 0.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{checks, m.duration, m.open} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("webrisk: register metrics: %w", err)
	}
	return m, nil
}
