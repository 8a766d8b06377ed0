package overload

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// register adds the metrics of all classes.
func (g *Guard) register(reg prometheus.Registerer) error {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_overload_requests_total",
		Help: "Work by its class and whether it was taken on (admitted) or refused (shed): redirects that need the database, those that are not in memory (miss), writes, and reports that read much.",
	}, []string{"class", "result"})
	errs := []error{reg.Register(requests)}
	for i := range g.classes {
		c := &g.classes[i]
		c.admitted, c.shed = requests.WithLabelValues(names[i], "admitted"), requests.WithLabelValues(names[i], "shed")
		labels := prometheus.Labels{"class": names[i]}
		errs = append(errs,
			reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "terse_overload_limit", Help: "How much work of a class may go on at once, as it is now.", ConstLabels: labels,
			}, func() float64 { return float64(c.limit.most.Load()) })),
			reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "terse_overload_inflight", Help: "Work of a class that goes on.", ConstLabels: labels,
			}, func() float64 { return float64(c.limit.inflight.Load()) })))
	}
	return errors.Join(errs...)
}
