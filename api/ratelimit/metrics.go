package ratelimit

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a Shared.
type metrics struct {
	shared, local prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	takes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_ratelimit_takes_total",
		Help: "Calls of a limiter, by where they were counted: shared (in Redis) or local (in this process, while Redis was unreachable).",
	}, []string{"counted"})
	if err := reg.Register(takes); err != nil {
		return nil, fmt.Errorf("ratelimit: register metrics: %w", err)
	}
	return &metrics{shared: takes.WithLabelValues("shared"), local: takes.WithLabelValues("local")}, nil
}
