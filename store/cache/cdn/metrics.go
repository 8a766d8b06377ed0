package cdn

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of a Purger.
type metrics struct {
	ok, failed, limited, tags prometheus.Counter
	took                      prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	purges := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_cdn_purges_total",
		Help: "Purges by result: ok, error, or limited (not sent because of the provider's limit of requests).",
	}, []string{"result"})
	tags := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_cdn_purged_tags_total", Help: "Tags that the CDN has acknowledged as purged.",
	})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "terse_cdn_purge_duration_seconds", Help: "Duration of one request to the CDN.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 13),
	})
	var errs []error
	for _, c := range []prometheus.Collector{purges, tags, took} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("cdn: register metrics: %w", err)
	}
	return &metrics{
		ok: purges.WithLabelValues("ok"), failed: purges.WithLabelValues("error"), limited: purges.WithLabelValues("limited"),
		tags: tags, took: took,
	}, nil
}
