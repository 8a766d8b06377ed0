package outbox

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

type metrics struct {
	edits           *prometheus.CounterVec
	latency         *prometheus.HistogramVec
	backlog, oldest *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	labels := []string{"shard", "audience"}
	m := &metrics{
		edits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_outbox_edits_total", Help: "Edits of which an audience was told, by whether it acknowledged them.",
		}, append(labels, "result")),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "terse_outbox_latency_seconds", Help: "Time from an edit to its first acknowledgement by an audience.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 16),
		}, labels),
		backlog: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "terse_outbox_backlog_edits", Help: "Edits of which an audience is still to be told, or told again, counted to 10000.",
		}, labels),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "terse_outbox_oldest_age_seconds", Help: "Age of the oldest edit of which an audience is still to be told, or told again.",
		}, labels),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.edits, m.latency, m.backlog, m.oldest} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

type routeMetrics struct {
	told, failed    prometheus.Counter
	latency         prometheus.Observer
	backlog, oldest prometheus.Gauge
}

func (m *metrics) route(shard string, a store.Audience) *routeMetrics {
	return &routeMetrics{
		told:    m.edits.WithLabelValues(shard, a.String(), "ok"),
		failed:  m.edits.WithLabelValues(shard, a.String(), "error"),
		latency: m.latency.WithLabelValues(shard, a.String()),
		backlog: m.backlog.WithLabelValues(shard, a.String()),
		oldest:  m.oldest.WithLabelValues(shard, a.String()),
	}
}

// observe counts what became of edits, and returns the first failure.
func (m *routeMetrics) observe(edits []store.Edit, errs []error) (failed error) {
	for i, err := range errs {
		if err != nil {
			m.failed.Inc()
			if failed == nil {
				failed = err
			}
			continue
		}
		m.told.Inc()
		if !edits[i].Repeat {
			m.latency.Observe(edits[i].Age.Seconds())
		}
	}
	return failed
}
