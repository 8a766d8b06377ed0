package scan

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// metrics are the metrics of a Worker.
type metrics struct {
	scanned  *prometheus.CounterVec
	failures *prometheus.CounterVec
	disabled *prometheus.CounterVec
	backlog  *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		scanned: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_scan_links_total",
			Help: "Links that a background scan has examined, by scan: blocklist, own_hosts or reputation.",
		}, []string{"scan", "shard"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_scan_failures_total",
			Help: "Rounds of a scan that failed. Failed rounds are retried.",
		}, []string{"scan", "shard"}),
		disabled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_scan_disabled_total",
			Help: "Links that a scan has disabled, by author: the blocklist, the domains of this server or the reputation service.",
		}, []string{"author"}),
		backlog: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "terse_scan_backlog_seconds",
			Help: "Age of the oldest new or edited link that the reputation service has not checked; 0 if all are checked.",
		}, []string{"shard"}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.scanned, m.failures, m.disabled, m.backlog} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("scan: register metrics: %w", err)
	}
	return m, nil
}

// begin creates the series of the scans in opts, so that they start at 0.
func (m *metrics) begin(opts *Options) {
	var names []string
	for _, hosts := range opts.forbiddenHosts() {
		names = append(names, hosts.name)
		m.disabled.WithLabelValues(hosts.author)
	}
	if opts.Checker != nil {
		names = append(names, checkedName)
		m.disabled.WithLabelValues(store.AuthorReputation)
	}
	for _, p := range opts.Sources {
		for _, name := range names {
			m.scanned.WithLabelValues(name, p.Name)
			m.failures.WithLabelValues(name, p.Name)
		}
		if opts.Checker != nil {
			m.backlog.WithLabelValues(p.Name)
		}
	}
}
