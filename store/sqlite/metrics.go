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

func newMetrics(reg prometheus.Registerer, waiting func() int) (*metrics, error) {
	m := &metrics{
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
	queue := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "terse_sqlite_writes_waiting",
		Help: "Writes that are waiting for the next transaction.",
	}, func() float64 { return float64(waiting()) })
	var errs []error
	for _, c := range []prometheus.Collector{m.batchSize, m.seconds, m.failures, queue} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err) // Open adds the package
	}
	return m, nil
}

// observe records one transaction.
func (m *metrics) observe(writes int, took time.Duration) {
	m.batchSize.Observe(float64(writes))
	m.seconds.Observe(took.Seconds())
}
