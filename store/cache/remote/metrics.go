package remote

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// metrics are the metrics of a Cache.
type metrics struct {
	roundTrips                        *prometheus.HistogramVec
	getHit, getMiss, getError         prometheus.Counter
	leaseTaken, leaseHeld, leaseError prometheus.Counter
	fill, put, announce               writeMetrics
	sent, heard, garbled              prometheus.Counter
	breakerOpen, channelUp, nodes     prometheus.Gauge
}

// writeMetrics count the results of one kind of write.
type writeMetrics struct{ kept, refused, failed prometheus.Counter }

func (m *writeMetrics) count(written int64, err error) {
	switch {
	case err != nil:
		m.failed.Inc()
	case written == 0:
		m.refused.Inc()
	default:
		m.kept.Inc()
	}
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_redis_requests_total",
		Help: "Calls of the shared cache by kind and result. Refused means that Redis has the same or a newer version, that a create took more than a second, or that no lease was available.",
	}, []string{"op", "result"})
	roundTrips := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "terse_redis_flight_duration_seconds", Help: "Time of one round trip, which many calls may share.",
		Buckets: prometheus.ExponentialBuckets(0.000_05, 2, 12),
	}, []string{"op"})
	announcements := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_redis_announcements_total", Help: "Announcements of edits and revoked keys: sent by this process, heard (received), or garbled (received but not understood).",
	}, []string{"result"})
	m := &metrics{
		roundTrips: roundTrips,
		breakerOpen: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "terse_redis_breaker_open", Help: "1 while Redis is not asked because several round trips in a row failed.",
		}),
		channelUp: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "terse_redis_channel_up", Help: "1 while announcements of other processes are received.",
		}),
		nodes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "terse_redis_nodes", Help: "Processes that received announcements at the last count. While Redis is unreachable, each process applies its share of a rate limit.",
		}),
	}
	counter := func(op, result string) prometheus.Counter { return requests.WithLabelValues(op, result) }
	m.getHit, m.getMiss, m.getError = counter("get", "hit"), counter("get", "miss"), counter("get", "error")
	m.leaseTaken, m.leaseHeld, m.leaseError = counter("lease", "ok"), counter("lease", "refused"), counter("lease", "error")
	for op, w := range map[string]*writeMetrics{"fill": &m.fill, "put": &m.put, "tell": &m.announce} {
		*w = writeMetrics{kept: counter(op, "ok"), refused: counter(op, "refused"), failed: counter(op, "error")}
	}
	m.sent, m.heard = announcements.WithLabelValues("sent"), announcements.WithLabelValues("heard")
	m.garbled = announcements.WithLabelValues("garbled")
	var errs []error
	for _, c := range []prometheus.Collector{requests, roundTrips, announcements, m.breakerOpen, m.channelUp, m.nodes} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("remote: register metrics: %w", err)
	}
	return m, nil
}

// pool adds metrics of the connection pool.
func (m *metrics) pool(reg prometheus.Registerer, stats func() *redis.PoolStats) error {
	gauge := func(name, help string, value func(*redis.PoolStats) uint32) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value(stats())) })
	}
	counter := func(name, help string, value func(*redis.PoolStats) float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return value(stats()) })
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		gauge("terse_redis_connections", "Open connections, to all servers of a cluster together.",
			func(s *redis.PoolStats) uint32 { return s.TotalConns }),
		gauge("terse_redis_connections_used", "Connections in use.",
			func(s *redis.PoolStats) uint32 { return s.TotalConns - min(s.IdleConns, s.TotalConns) }),
		counter("terse_redis_connection_timeouts_total", "Calls that got no connection in time.",
			func(s *redis.PoolStats) float64 { return float64(s.Timeouts) }),
		counter("terse_redis_connection_wait_seconds_total", "Time that calls waited for a connection.",
			func(s *redis.PoolStats) float64 { return time.Duration(s.WaitDurationNs).Seconds() }),
	} {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remote: register metrics: %w", err)
	}
	return nil
}

// roundTrip returns a function that observes round trips of one kind.
func (m *metrics) roundTrip(op string) func(size int, took time.Duration) {
	h := m.roundTrips.WithLabelValues(op)
	return func(_ int, took time.Duration) { h.Observe(took.Seconds()) }
}
