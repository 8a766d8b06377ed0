package idgen

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a Minter.
type metrics struct {
	minted      prometheus.Counter
	leaseLost   prometheus.Counter
	clockBehind prometheus.Counter
	calls       *prometheus.CounterVec
	node        prometheus.Gauge
	ends        prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_idgen_refused_total",
		Help: "Requests for an id that were rejected, by reason.",
	}, []string{"reason"})
	m := &metrics{
		minted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_idgen_minted_total",
			Help: "Ids minted.",
		}),
		leaseLost:   refused.WithLabelValues("lease_lost"),
		clockBehind: refused.WithLabelValues("clock_behind"),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_idgen_lease_calls_total",
			Help: "Calls to acquire, renew or release the node id lease, by call and result.",
		}, []string{"call", "result"}),
		node: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "terse_idgen_node",
			Help: "Node id of this process; -1 without a lease.",
		}),
		ends: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "terse_idgen_lease_expiry_timestamp_seconds",
			Help: "End of the node id lease unless it is renewed; 0 without a lease.",
		}),
	}
	for _, call := range []string{"acquire", "renew", "release"} {
		m.calls.WithLabelValues(call, "ok")
		m.calls.WithLabelValues(call, "error")
	}
	m.calls.WithLabelValues("renew", "lost")
	m.setLease(nil, 0)
	var errs []error
	for _, c := range []prometheus.Collector{m.minted, refused, m.calls, m.node, m.ends} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("idgen: register metrics: %w", err)
	}
	return m, nil
}

// count counts the result of one Next.
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

// setLease sets the gauges to the node id of l and the end of its lease of ttl. A nil l
// means no lease.
func (m *metrics) setLease(l *lease, ttl time.Duration) {
	if l == nil {
		m.node.Set(-1)
		m.ends.Set(0)
		return
	}
	m.node.Set(float64(l.node))
	m.ends.Set(float64(l.since.Add(ttl).UnixMilli()) / 1000)
}
