package blocklist

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of a List.
type metrics struct {
	hosts    *prometheus.GaugeVec
	failures *prometheus.CounterVec
}

// partMetrics are those of one place of hosts.
type partMetrics struct {
	hosts    prometheus.Gauge
	failures prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		hosts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "terse_blocklist_hosts",
			Help: "Hosts that are blocked, by where they are kept: the file or a shard.",
		}, []string{"source", "shard"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_blocklist_failures_total",
			Help: "Looks at the file or a shard that failed, so that what was known of it stayed in use.",
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

// ofShard returns the metrics of what one shard keeps.
func (m *metrics) ofShard(name string) *partMetrics { return m.of("database", name) }

func (m *metrics) of(source, shard string) *partMetrics {
	return &partMetrics{hosts: m.hosts.WithLabelValues(source, shard), failures: m.failures.WithLabelValues(source, shard)}
}
