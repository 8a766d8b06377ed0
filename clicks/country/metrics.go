package country

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of the file.
type metrics struct {
	built    prometheus.Gauge
	failures prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		built: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "terse_country_file_build_timestamp_seconds",
			Help: "When the file of countries in use was built.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_country_file_failures_total",
			Help: "Failed reads of the file of countries. The old content stays in use.",
		}),
	}
	if err := errors.Join(reg.Register(m.built), reg.Register(m.failures)); err != nil {
		return nil, fmt.Errorf("country: register metrics: %w", err)
	}
	return m, nil
}
