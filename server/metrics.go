package server

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of the connections of a Server.
type metrics struct {
	refused, evicted, handshakesRefused prometheus.Counter
}

// newMetrics registers the metrics. open counts the open connections. most is their bound.
func newMetrics(reg prometheus.Registerer, open func() int, most int) (*metrics, error) {
	m := &metrics{refused: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_http_connections_refused_total",
		Help: "Connections that were closed at once because terse_http_connections_most, or a quarter of it for one client network, was reached and no connection was idle.",
	})}
	m.evicted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_http_connections_evicted_total",
		Help: "Idle connections that were closed to make room for new ones, the longest idle first.",
	})
	m.handshakesRefused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_tls_handshakes_refused_total",
		Help: "TLS handshakes that failed because too many were in progress.",
	})
	count := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "terse_http_connections", Help: "Connections of clients that are open.",
	}, func() float64 { return float64(open()) })
	bound := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "terse_http_connections_most", Help: "Connections of clients that may be open.",
	}, func() float64 { return float64(most) })
	var errs []error
	for _, c := range []prometheus.Collector{m.refused, m.evicted, m.handshakesRefused, count, bound} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("server: register metrics: %w", err)
	}
	return m, nil
}
