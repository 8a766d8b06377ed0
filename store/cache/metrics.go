package cache

import (
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// metrics are the metrics of a Cache.
type metrics struct {
	hit, miss, stale, negative         prometheus.Counter
	remoteHit, remoteMiss, remoteError prometheus.Counter
	storeHit, storeMiss, storeError    prometheus.Counter
	loadFound, loadNotFound, loadError prometheus.Observer
	evictions, lostVersion             prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, bytes func() float64) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_cache_requests_total",
		Help: "Resolved codes by tier and result: hit (an answer), miss (no answer), stale (an old link, because the store could not answer), negative (a cached \"no such link\") or error (the tier could not be asked).",
	}, []string{"tier", "result"})
	loads := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "terse_cache_load_duration_seconds",
		Help:    "Time for the store to answer a miss, by result.",
		Buckets: prometheus.ExponentialBuckets(0.000_1, 2, 15),
	}, []string{"result"})
	evictions := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_cache_evictions_total",
		Help: "Links evicted from L1 to make room.",
	})
	lost := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_cache_lost_versions_total",
		Help: "Links in L1 with a version that a failover lost. The primary's version replaced them.",
	})
	size := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "terse_cache_bytes",
		Help: "Memory used by the links in L1.",
	}, bytes)

	var errs []error
	for _, c := range []prometheus.Collector{requests, loads, evictions, lost, size} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("cache: register metrics: %w", err)
	}
	l1 := requests.MustCurryWith(prometheus.Labels{"tier": "l1"})
	remote := requests.MustCurryWith(prometheus.Labels{"tier": "redis"})
	under := requests.MustCurryWith(prometheus.Labels{"tier": "store"})
	return &metrics{
		hit: l1.WithLabelValues("hit"), miss: l1.WithLabelValues("miss"),
		stale: l1.WithLabelValues("stale"), negative: l1.WithLabelValues("negative"),
		remoteHit: remote.WithLabelValues("hit"), remoteMiss: remote.WithLabelValues("miss"),
		remoteError: remote.WithLabelValues("error"),
		storeHit:    under.WithLabelValues("hit"), storeMiss: under.WithLabelValues("miss"),
		storeError: under.WithLabelValues("error"),
		loadFound:  loads.WithLabelValues("found"), loadNotFound: loads.WithLabelValues("not_found"),
		loadError: loads.WithLabelValues("error"),
		evictions: evictions, lostVersion: lost,
	}, nil
}

// canaryMetrics are the metrics of a Canary.
type canaryMetrics struct {
	staleness prometheus.Histogram
	lost      prometheus.Counter
}

func newCanaryMetrics(reg prometheus.Registerer) (*canaryMetrics, error) {
	m := &canaryMetrics{
		staleness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "terse_cache_staleness_seconds",
			Help:    "Time during which the cache still showed the state before an acknowledged edit of the canary link.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}, // a second is the promise
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_cache_staleness_unmeasured_total",
			Help: "Edits of the canary link that failed or did not show within 15 seconds.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.staleness, m.lost} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("cache: register metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) observeLoad(took time.Duration, err error) {
	switch {
	case err == nil:
		m.storeHit.Inc()
		m.loadFound.Observe(took.Seconds())
	case errors.Is(err, store.ErrNotFound):
		m.storeMiss.Inc()
		m.loadNotFound.Observe(took.Seconds())
	default:
		m.storeError.Inc()
		m.loadError.Observe(took.Seconds())
	}
}

// countEviction runs while otter holds a lock, so it must not call otter.
func (m *metrics) countEviction(e otter.DeletionEvent[string, *entry]) {
	if e.WasEvicted() {
		m.evictions.Inc()
	}
}
