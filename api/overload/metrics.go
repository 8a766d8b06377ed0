package overload

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of the classes of a Guard.
type metrics [classes]classMetrics

type classMetrics struct{ admitted, shed prometheus.Counter }

// newMetrics registers the metrics of g. Gauges read its state.
func newMetrics(reg prometheus.Registerer, g *Guard) (*metrics, error) {
	m := &metrics{}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_overload_requests_total",
		Help: "Requests by class and result: admitted, or rejected because of overload (shed). The class redirect excludes redirects that are answered from memory.",
	}, []string{"class", "result"})
	errs := []error{
		reg.Register(requests),
		reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "terse_overload_processor_delay_seconds",
			Help: "Mean time that a runnable goroutine waited for a processor, over the last 0.1 seconds with requests. When it exceeds the bound of a class, the class reduces its limit.",
		}, func() float64 { return time.Duration(g.processor.delay.Load()).Seconds() })),
	}
	for i := range g.places {
		p := &g.places[i]
		m[i] = classMetrics{admitted: requests.WithLabelValues(names[i], "admitted"), shed: requests.WithLabelValues(names[i], "shed")}
		locked := func(value func() int) func() float64 {
			return func() float64 {
				p.mu.Lock()
				defer p.mu.Unlock()
				return float64(value())
			}
		}
		for _, gauge := range []struct {
			name, help string
			value      func() int
		}{
			{"terse_overload_limit", "Current maximum of concurrent requests of a class.", func() int { return p.limit }},
			{"terse_overload_inflight", "Requests of a class that are running.", func() int { return p.used }},
			{"terse_overload_waiting", "Requests of a class that wait for a place.", func() int { return len(p.queue) }},
		} {
			errs = append(errs, reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: gauge.name, Help: gauge.help, ConstLabels: prometheus.Labels{"class": names[i]},
			}, locked(gauge.value))))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("overload: register metrics: %w", err)
	}
	return m, nil
}
