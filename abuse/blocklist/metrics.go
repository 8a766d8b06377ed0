package blocklist

import "github.com/prometheus/client_golang/prometheus"

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
	for _, c := range []prometheus.Collector{m.hosts, m.failures} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
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
