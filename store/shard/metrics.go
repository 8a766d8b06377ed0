package shard

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics describe the map of buckets and the calls that were routed by it.
type metrics struct {
	names []string

	refreshes *prometheus.CounterVec
	refused   prometheus.Gauge
	version   *prometheus.GaugeVec
	readAt    *prometheus.GaugeVec
	buckets   *prometheus.GaugeVec

	moved, gaveUp prometheus.Counter
	unavailable   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, shards []Named) (*metrics, error) {
	perShard := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"shard"})
	}
	m := &metrics{
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_shard_refreshes_total",
			Help: "Reads of the map of buckets, by result: whole (all shards answered), partial (some did), failed (none did) or refused (the shards contradict each other).",
		}, []string{"result"}),
		refused: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "terse_shard_map_refused",
			Help: "1 while the newest map is refused and the last good one is in use, else 0.",
		}),
		version: perShard("terse_shard_map_version", "Version of the shard's part of the map in use; 0 if it was never read."),
		readAt:  perShard("terse_shard_map_read_timestamp_seconds", "When the shard's part of the map in use was last read; 0 if it was never read."),
		buckets: perShard("terse_shard_buckets", "Buckets that the shard owns in the map in use."),
		moved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_shard_moved_total",
			Help: "Calls to a shard that no longer owned the bucket. They are sent again after a new read of the map.",
		}),
		gaveUp: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_shard_moved_failures_total",
			Help: "Calls that failed because the shard in the new map did not own the bucket either.",
		}),
		unavailable: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_shard_unavailable_lists_total",
			Help: "Lists of links that lack the shard because it did not answer.",
		}, []string{"shard"}),
	}
	for _, result := range []string{"whole", "partial", "failed", "refused"} {
		m.refreshes.WithLabelValues(result)
	}
	for _, s := range shards {
		m.names = append(m.names, s.Name)
		m.unavailable.WithLabelValues(s.Name)
		for _, gauge := range []*prometheus.GaugeVec{m.version, m.readAt, m.buckets} {
			gauge.WithLabelValues(s.Name)
		}
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.refreshes, m.refused, m.version, m.readAt, m.buckets, m.moved, m.gaveUp, m.unavailable} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("shard: register metrics: %w", err)
	}
	return m, nil
}

// countRefresh counts one round: errs are the errors of the shards, answered is whether any
// shard answered, refused is why the map was refused.
func (m *metrics) countRefresh(errs []error, answered bool, refused error) {
	result := "whole"
	m.refused.Set(0)
	switch {
	case refused != nil:
		m.refused.Set(1)
		result = "refused"
	case !answered:
		result = "failed"
	case errors.Join(errs...) != nil:
		result = "partial"
	}
	m.refreshes.WithLabelValues(result).Inc()
}

// adopted records a new map in use.
func (m *metrics) adopted(t *table, claims []claim, now time.Time) {
	for i, n := range t.counts(len(m.names)) {
		m.buckets.WithLabelValues(m.names[i]).Set(float64(n))
		m.version.WithLabelValues(m.names[i]).Set(float64(claims[i].version))
		if claims[i].fresh {
			m.readAt.WithLabelValues(m.names[i]).Set(float64(now.UnixMilli()) / 1000)
		}
	}
}
