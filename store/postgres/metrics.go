package postgres

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of one shard. Labels are the shard's name, its servers and the
// roles of connections.
type metrics struct {
	collectors []prometheus.Collector
	shard      prometheus.Labels

	creates    prometheus.Histogram
	lastResort prometheus.Counter
}

// batchBuckets are sizes of batches, up to the default of MaxBatch.
var batchBuckets = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256}

// newMetrics returns the metrics of a shard. Parts of the Store add their own while they
// open, and Open then registers all of them.
func newMetrics(shard string) *metrics {
	m := &metrics{shard: prometheus.Labels{"shard": shard}}
	m.creates = keep(m, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "terse_postgres_create_batch_links", Help: "Links created by one INSERT.",
		ConstLabels: m.shard, Buckets: batchBuckets,
	}))
	m.lastResort = keep(m, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_postgres_reads_of_any_age_total", Help: "Links read from a replica of any age up to TERSE_REPLICA_MAX_AGE while the primary was unreachable.",
		ConstLabels: m.shard,
	}))
	return m
}

// whole adds metrics of the whole shard.
func (m *metrics) whole(s *Store) {
	for _, gauge := range []struct {
		name, help string
		value      func() float64
	}{
		{"terse_postgres_writable_servers", "Servers of the shard that accept writes. More than 1 is a split brain.", func() float64 { return float64(s.branches.writable()) }},
		{"terse_postgres_clock_offset_seconds", "How far this node's clock is ahead of the database's clock; 0 if that is unknown.", func() float64 { return s.clockOffset().Seconds() }},
	} {
		keep(m, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: gauge.name, Help: gauge.help, ConstLabels: m.shard}, gauge.value))
	}
}

// keep adds a collector for register.
func keep[C prometheus.Collector](m *metrics, c C) C {
	m.collectors = append(m.collectors, c)
	return c
}

// register registers all collectors.
func (m *metrics) register(reg prometheus.Registerer) error {
	var errs []error
	for _, c := range m.collectors {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("register metrics: %w", err) // Open adds the package and the shard
	}
	return nil
}

// serverMetrics are the metrics of one server.
type serverMetrics struct {
	up       prometheus.Gauge
	lag      prometheus.Gauge
	age      prometheus.Gauge
	failures prometheus.Counter
	retries  prometheus.Counter
	resets   prometheus.Counter
	cold     prometheus.Histogram
}

func (m *metrics) labels(server string) prometheus.Labels {
	return prometheus.Labels{"shard": m.shard["shard"], "server": server}
}

func (m *metrics) server(name string) *serverMetrics {
	gauge := func(name, help string, labels prometheus.Labels) prometheus.Gauge {
		return keep(m, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}))
	}
	counter := func(name, help string, labels prometheus.Labels) prometheus.Counter {
		return keep(m, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}))
	}
	labels := m.labels(name)
	return &serverMetrics{
		up:       gauge("terse_postgres_up", "1 if the last probe reached the server and it can be used, else 0.", labels),
		lag:      gauge("terse_postgres_replica_lag_seconds", "How far the replica is behind the primary; 0 for the primary.", labels),
		age:      gauge("terse_postgres_replica_age_seconds", "Age of the data that the replica would serve while the primary is unreachable; 0 for the primary.", labels),
		failures: counter("terse_postgres_failures_total", "Calls that the server could not answer.", labels),
		retries:  counter("terse_postgres_retries_total", "Retries of calls.", labels),
		resets:   counter("terse_postgres_resets_total", "How often all connections were closed.", labels),
		cold: keep(m, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "terse_postgres_cold_batch_links", Help: "Links read by one statement.",
			ConstLabels: labels, Buckets: batchBuckets,
		})),
	}
}

// breaker returns the gauge of a server's breaker for one role.
func (m *metrics) breaker(server string, r role) prometheus.Gauge {
	labels := m.labels(server)
	labels["role"] = roleNames[r]
	return keep(m, prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "terse_postgres_breaker_open", Help: "1 while the server is not asked because several calls in a row failed, else 0.",
		ConstLabels: labels,
	}))
}

// calls returns the observer for calls of a role.
func (m *metrics) calls(server string, r role) prometheus.Observer {
	labels := m.labels(server)
	labels["role"] = roleNames[r]
	return keep(m, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "terse_postgres_call_duration_seconds", Help: "Time of one call, successful or not, including all retries and the wait for a connection.",
		ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(0.000_25, 2, 15),
	}))
}

// waiting adds a gauge of calls that wait for a batch of one kind.
func (m *metrics) waiting(kind string, labels prometheus.Labels, waiting func() int) {
	keep(m, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "terse_postgres_" + kind + "_waiting", Help: "Calls that wait for the next batch.", ConstLabels: labels,
	}, func() float64 { return float64(waiting()) }))
}

// pools adds metrics of a server's connection pools.
func (m *metrics) pools(s *server) {
	for r := range roles {
		labels := m.labels(s.name)
		labels["role"] = roleNames[r]
		pool := s.pools[r]
		if pool == nil {
			continue
		}
		for _, gauge := range []struct {
			name, help string
			value      func() int32
		}{
			{"terse_postgres_connections", "Open connections.", func() int32 { return pool.Stat().TotalConns() }},
			{"terse_postgres_connections_used", "Connections in use.", func() int32 { return pool.Stat().AcquiredConns() }},
			{"terse_postgres_connections_most", "Most connections that may be open.", func() int32 { return pool.Stat().MaxConns() }},
		} {
			keep(m, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: gauge.name, Help: gauge.help, ConstLabels: labels},
				func() float64 { return float64(gauge.value()) }))
		}
		keep(m, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "terse_postgres_connection_waits_total", Help: "Calls that found no idle connection and waited for one.", ConstLabels: labels,
		}, func() float64 { return float64(pool.Stat().EmptyAcquireCount()) }))
		keep(m, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "terse_postgres_connection_wait_seconds_total", Help: "Time that calls waited for a connection.", ConstLabels: labels,
		}, func() float64 { return pool.Stat().EmptyAcquireWaitTime().Seconds() }))
	}
}

// looked records the result of a probe.
func (m *serverMetrics) looked(l look, lag, age time.Duration) {
	m.up.Set(0)
	if l.err == nil {
		m.up.Set(1)
	}
	if l.inRecovery {
		m.lag.Set(lag.Seconds())
		m.age.Set(age.Seconds())
	}
}

// coldBatch records the size of a batch of cold reads.
func (m *serverMetrics) coldBatch(size int, _ time.Duration) { m.cold.Observe(float64(size)) }
