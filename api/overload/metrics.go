package overload

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// register adds the metrics of all classes.
func (g *Guard) register(reg prometheus.Registerer) error {
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
		p.admitted, p.shed = requests.WithLabelValues(names[i], "admitted"), requests.WithLabelValues(names[i], "shed")
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
	return errors.Join(errs...)
}
