package sqlite

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a Store's writes.
type metrics struct {
	batchSize prometheus.Histogram
	seconds   prometheus.Histogram
	failures  prometheus.Counter
}

func newMetrics() *metrics {
	return &metrics{
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "terse_sqlite_batch_writes",
			Help:    "Writes in one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "terse_sqlite_transaction_seconds",
			Help:    "Duration of a write transaction.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_sqlite_transaction_failures_total",
			Help: "Write transactions that failed, with all of their writes.",
		}),
	}
}

// register registers the metrics with reg. A nil reg is ignored.
func (m *metrics) register(reg prometheus.Registerer, waiting func() int) error {
	if reg == nil {
		return nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.batchSize, m.seconds, m.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "terse_sqlite_writes_waiting",
		Help: "Writes that are waiting for the next transaction.",
	}, func() float64 { return float64(waiting()) })} {
		if err := reg.Register(c); err != nil {
			errs = append(errs, fmt.Errorf("register metrics: %w", err))
		}
	}
	return errors.Join(errs...)
}

// observe records one transaction.
func (m *metrics) observe(writes int, took time.Duration) {
	m.batchSize.Observe(float64(writes))
	m.seconds.Observe(took.Seconds())
}
