package keyring

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a Ring.
type metrics struct {
	hit, miss, negative, stale, failed prometheus.Counter
	revocations, usesLost              prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	lookups := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_key_lookups_total",
		Help: "Look-ups of API keys, by result: hit (in memory), negative (in memory as unknown), miss (read from the store), stale (in memory while the store was unreachable) or error (the store was unreachable). Callers that wait for the same read count once.",
	}, []string{"result"})
	m := &metrics{
		hit: lookups.WithLabelValues("hit"), miss: lookups.WithLabelValues("miss"),
		negative: lookups.WithLabelValues("negative"), stale: lookups.WithLabelValues("stale"),
		failed: lookups.WithLabelValues("error"),
		revocations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_key_revocations_heard_total",
			Help: "Revocations of API keys that this process has learned of.",
		}),
		usesLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_key_uses_lost_total",
			Help: "Last uses of API keys that could not be recorded.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{lookups, m.revocations, m.usesLost} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("keyring: register metrics: %w", err)
	}
	return m, nil
}
