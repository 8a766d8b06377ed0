package shard

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics tells how the map of buckets fares, and what was routed by it.
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

func newMetrics(shards []Named) *metrics {
	perShard := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"shard"})
	}
	m := &metrics{
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_shard_refreshes_total",
			Help: "Readings of the map of buckets: all shards answered (whole), some did (partial), none did (failed), or they contradict each other (refused).",
		}, []string{"result"}),
		refused: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "terse_shard_map_refused",
			Help: "1 while the map is refused and the last good one in use.",
		}),
		version: perShard("terse_shard_map_version", "Version of the shard's part of the map in use; 0 when it was never read."),
		readAt:  perShard("terse_shard_map_read_timestamp_seconds", "When the shard's part of the map in use was last read; 0 when it never was."),
		buckets: perShard("terse_shard_buckets", "Buckets that the shard owns by the map in use."),
		moved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_shard_moved_total",
			Help: "Calls that were sent to a shard which no longer owned the bucket, and sent again by a new map.",
		}),
		gaveUp: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_shard_moved_failures_total",
			Help: "Calls that were refused as sent to the wrong shard by the new map too.",
		}),
		unavailable: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_shard_unavailable_lists_total",
			Help: "Lists of links in which the shard is missing.",
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
	return m
}

// register adds the metrics to reg, unless that is nil.
func (m *metrics) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.refreshes, m.refused, m.version, m.readAt, m.buckets, m.moved, m.gaveUp, m.unavailable} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// countRefresh records one round: the errors of shards, whether any answered,
// and why the map was refused.
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

// adopted records a map that is in use from now on.
func (m *metrics) adopted(t *table, claims []claim, now time.Time) {
	for i, n := range t.counts(len(m.names)) {
		m.buckets.WithLabelValues(m.names[i]).Set(float64(n))
		m.version.WithLabelValues(m.names[i]).Set(float64(claims[i].version))
		if claims[i].fresh {
			m.readAt.WithLabelValues(m.names[i]).Set(float64(now.UnixMilli()) / 1000)
		}
	}
}
