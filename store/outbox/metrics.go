package outbox

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// metrics are the metrics of a Worker.
type metrics struct {
	edits           *prometheus.CounterVec
	latency         *prometheus.HistogramVec
	backlog, oldest *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	labels := []string{"shard", "audience"}
	m := &metrics{
		edits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_outbox_edits_total", Help: "Edits sent to an audience, by result: ok if it acknowledged them, else error.",
		}, append(labels, "result")),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "terse_outbox_latency_seconds", Help: "Time from an edit to its first acknowledgement by an audience.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 16),
		}, labels),
		backlog: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "terse_outbox_backlog_edits", Help: "Edits that wait for delivery to an audience, repeats included, counted up to 10000.",
		}, labels),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "terse_outbox_oldest_age_seconds", Help: "Age of the oldest edit that waits for delivery to an audience, repeats included.",
		}, labels),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.edits, m.latency, m.backlog, m.oldest} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("outbox: register metrics: %w", err)
	}
	return m, nil
}

type routeMetrics struct {
	acknowledged, failed prometheus.Counter
	latency              prometheus.Observer
	backlog, oldest      prometheus.Gauge
}

func (m *metrics) route(shard string, a store.Audience) *routeMetrics {
	return &routeMetrics{
		acknowledged: m.edits.WithLabelValues(shard, a.String(), "ok"),
		failed:       m.edits.WithLabelValues(shard, a.String(), "error"),
		latency:      m.latency.WithLabelValues(shard, a.String()),
		backlog:      m.backlog.WithLabelValues(shard, a.String()),
		oldest:       m.oldest.WithLabelValues(shard, a.String()),
	}
}

// observe counts the results of a delivery and returns the first error.
func (m *routeMetrics) observe(edits []store.Edit, errs []error) (failed error) {
	for i, err := range errs {
		if err != nil {
			m.failed.Inc()
			if failed == nil {
				failed = err
			}
			continue
		}
		m.acknowledged.Inc()
		if !edits[i].Repeat {
			m.latency.Observe(edits[i].Age.Seconds())
		}
	}
	return failed
}
