package keyring

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	hit, miss, negative, stale, failed prometheus.Counter
	revocations, usesLost              prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	lookups := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_key_lookups_total",
		Help: "API keys that calls came with, by where they were found: in memory (hit), also as unknown (negative), where keys are kept (miss), in memory because that could not be asked (stale), or nowhere because of that (error). Callers who wait for the same key count once.",
	}, []string{"result"})
	m := &metrics{
		hit: lookups.WithLabelValues("hit"), miss: lookups.WithLabelValues("miss"),
		negative: lookups.WithLabelValues("negative"), stale: lookups.WithLabelValues("stale"),
		failed: lookups.WithLabelValues("error"),
		revocations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_key_revocations_heard_total",
			Help: "Revocations of API keys that this process was told of.",
		}),
		usesLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_key_uses_lost_total",
			Help: "Last uses of API keys that were not noted.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{lookups, m.revocations, m.usesLost} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}
