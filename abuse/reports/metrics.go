package reports

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a Gauge.
type metrics struct {
	open *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "terse_reports_open",
		Help: "Reports of visitors that nobody has resolved yet, as they were last counted.",
	}, []string{"shard"})}
	if err := reg.Register(m.open); err != nil {
		return nil, fmt.Errorf("reports: register metrics: %w", err)
	}
	return m, nil
}
