package idgen

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what a Minter tells of itself.
type metrics struct {
	minted      prometheus.Counter
	leaseLost   prometheus.Counter
	clockBehind prometheus.Counter
	refused     *prometheus.CounterVec
	calls       *prometheus.CounterVec
	node        prometheus.Gauge
	ends        prometheus.Gauge
}

func newMetrics() *metrics {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_idgen_refused_total",
		Help: "Ids that were asked for and not minted, by reason.",
	}, []string{"reason"})
	m := &metrics{
		minted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_idgen_minted_total",
			Help: "Ids minted.",
		}),
		leaseLost:   refused.WithLabelValues("lease_lost"),
		clockBehind: refused.WithLabelValues("clock_behind"),
		refused:     refused,
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_idgen_lease_calls_total",
			Help: "Calls about the node id lease, by what was asked and how it ended.",
		}, []string{"call", "result"}),
		node: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "terse_idgen_node",
			Help: "Node id held, or -1.",
		}),
		ends: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "terse_idgen_lease_expiry_timestamp_seconds",
			Help: "When the lease of the node id runs out if it is not renewed; 0 when none is held.",
		}),
	}
	for _, call := range []string{"acquire", "renew", "release"} {
		m.calls.WithLabelValues(call, "ok")
		m.calls.WithLabelValues(call, "error")
	}
	m.calls.WithLabelValues("renew", "lost")
	m.hold(nil, 0)
	return m
}

// register adds the metrics to r, all or none; a nil r takes none.
func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for i, c := range m.collectors() {
		if err := r.Register(c); err != nil {
			for _, added := range m.collectors()[:i] {
				r.Unregister(added)
			}
			return err
		}
	}
	return nil
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.minted, m.refused, m.calls, m.node, m.ends}
}

// count counts the outcome of one Next.
func (m *metrics) count(err error) {
	switch {
	case err == nil:
		m.minted.Inc()
	case errors.Is(err, ErrLeaseLost):
		m.leaseLost.Inc()
	case errors.Is(err, ErrClockBehind):
		m.clockBehind.Inc()
	}
}

// call counts one call to the Leaser.
func (m *metrics) call(name string, held bool, err error) {
	result := "ok"
	switch {
	case err != nil:
		result = "error"
	case !held:
		result = "lost"
	}
	m.calls.WithLabelValues(name, result).Inc()
}

// hold shows the node id of l, and when its lease of ttl runs out.
func (m *metrics) hold(l *lease, ttl time.Duration) {
	if l == nil {
		m.node.Set(-1)
		m.ends.Set(0)
		return
	}
	m.node.Set(float64(l.node))
	m.ends.Set(float64(l.since.Add(ttl).UnixMilli()) / 1000)
}
