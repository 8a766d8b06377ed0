package domains

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a Map.
type metrics struct {
	hosts    *prometheus.GaugeVec
	failures *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		hosts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "terse_domains_hosts",
			Help: "Hosts of domains in every state, by the shard of the host.",
		}, []string{"shard"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_domains_failures_total",
			Help: "Failed reads of the domains of a shard. The last known domains stay.",
		}, []string{"shard"}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.hosts, m.failures} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("domains: register metrics: %w", err)
	}
	return m, nil
}

// serviceMetrics are the metrics of a Service.
type serviceMetrics struct{ right, wrong prometheus.Counter }

func newServiceMetrics(reg prometheus.Registerer) (*serviceMetrics, error) {
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_domains_verifications_total",
		Help: "Verifications of hosts of domains, by result: verified or failed.",
	}, []string{"result"})
	if err := reg.Register(checks); err != nil {
		return nil, fmt.Errorf("domains: register metrics: %w", err)
	}
	return &serviceMetrics{right: checks.WithLabelValues("verified"), wrong: checks.WithLabelValues("failed")}, nil
}
