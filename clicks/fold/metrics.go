package fold

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a Worker.
type metrics struct {
	folded, failures, sweepFailures *prometheus.CounterVec
	duration                        *prometheus.HistogramVec
	waiting, oldest                 *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	labels := []string{"shard"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		folded:        counter("terse_clicks_batches_folded_total", "Batches of clicks that this node has folded into days."),
		failures:      counter("terse_clicks_fold_failures_total", "Folds of clicks into days that failed. Their batches wait for the next fold."),
		sweepFailures: counter("terse_clicks_sweep_failures_total", "Failed attempts to reduce the detail of old days of clicks."),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "terse_clicks_fold_duration_seconds", Help: "Duration of one fold of clicks into days.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}, labels),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "terse_clicks_batches_waiting", Help: "Batches of clicks that wait for the fold into days, counted up to 10000.",
		}, labels),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "terse_clicks_oldest_batch_age_seconds", Help: "Age of the oldest batch of clicks that waits for the fold into days.",
		}, labels),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.folded, m.failures, m.sweepFailures, m.duration, m.waiting, m.oldest} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("fold: register metrics: %w", err)
	}
	return m, nil
}

type shardMetrics struct {
	folded, failures, sweepFailures prometheus.Counter
	duration                        prometheus.Observer
	waiting, oldest                 prometheus.Gauge
}

func (m *metrics) shard(name string) *shardMetrics {
	return &shardMetrics{
		folded: m.folded.WithLabelValues(name), failures: m.failures.WithLabelValues(name), sweepFailures: m.sweepFailures.WithLabelValues(name),
		duration: m.duration.WithLabelValues(name), waiting: m.waiting.WithLabelValues(name), oldest: m.oldest.WithLabelValues(name),
	}
}
