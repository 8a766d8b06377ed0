package blocklist

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a List.
type metrics struct {
	hosts    *prometheus.GaugeVec
	failures *prometheus.CounterVec
}

// partMetrics are the metrics of one part.
type partMetrics struct {
	hosts    prometheus.Gauge
	failures prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		hosts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "terse_blocklist_hosts",
			Help: "Blocked hosts, by source: the file or the database of a shard.",
		}, []string{"source", "shard"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_blocklist_failures_total",
			Help: "Failed reads of the file or of a shard. The last known hosts stay blocked.",
		}, []string{"source", "shard"}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.hosts, m.failures} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("blocklist: register metrics: %w", err)
	}
	return m, nil
}

// ofFile returns the metrics of the file.
func (m *metrics) ofFile() *partMetrics { return m.of("file", "") }

// ofShard returns the metrics of one shard.
func (m *metrics) ofShard(name string) *partMetrics { return m.of("database", name) }

func (m *metrics) of(source, shard string) *partMetrics {
	return &partMetrics{hosts: m.hosts.WithLabelValues(source, shard), failures: m.failures.WithLabelValues(source, shard)}
}
