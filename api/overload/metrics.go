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
		Help: "Work by its class and whether it was admitted or refused (shed): redirects that are not answered from memory, reads of one link, writes, and lists.",
	}, []string{"class", "result"})
	errs := []error{
		reg.Register(requests),
		reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "terse_overload_processor_delay_seconds",
			Help: "Mean time for which a goroutine that could run waited for a processor, over the last tenth of a second with work. Above their bounds classes give up places.",
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
			{"terse_overload_limit", "How much work of a class may be done at once, as it is now.", func() int { return p.limit }},
			{"terse_overload_inflight", "Work of a class that is being done.", func() int { return p.used }},
			{"terse_overload_waiting", "Work of a class that waits for a place.", func() int { return len(p.queue) }},
		} {
			errs = append(errs, reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: gauge.name, Help: gauge.help, ConstLabels: prometheus.Labels{"class": names[i]},
			}, locked(gauge.value))))
		}
	}
	return errors.Join(errs...)
}
