package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the API's. Labels come from closed sets: patterns of routes that
// exist, methods that they serve, statuses that are answered.
type metrics struct {
	requests   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	routes     map[string]map[string]*routeMetrics // by pattern and method; complete before the first request
	unrouted   *routeMetrics
	quick      *routeMetrics // of the route that quick answers for
	redirects  redirectMetrics
	collisions prometheus.Counter
	uncounted  prometheus.Counter
	reports    reportMetrics
	access     accessLog

	unlistedProxies prometheus.Counter
}

// accessLog is told of every request that has a route.
type accessLog func(ctx context.Context, route, method string, status int, took time.Duration)

// reportMetrics count what became of the reports that visitors sent.
type reportMetrics struct {
	kept, repeated, lost prometheus.Counter
}

// redirectMetrics count what visitors met.
type redirectMetrics struct {
	live, unknown, gone, disabled, limited, failed prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, access accessLog) (*metrics, error) {
	visits := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_redirect_visits_total",
		Help: "Visits of short URLs by what they met; limited are those for which nothing was looked, since room was scarce and their client had asked for too many unknown codes.",
	}, []string{"result"})
	reports := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_reports_received_total",
		Help: "Reports that visitors sent, by what became of them: kept, repeated (the link has many open reports already) or lost (they could not be kept).",
	}, []string{"result"})
	m := &metrics{
		access: access,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_http_requests_total",
			Help: "HTTP requests by route pattern, method and status; 499 is that of a client which did not wait for the answer. 500 and 503 are there from the start.",
		}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "terse_http_request_duration_seconds",
			Help:    "Time from the routing of a request to the end of its answer.",
			Buckets: []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route", "method"}),
		routes: map[string]map[string]*routeMetrics{},
		redirects: redirectMetrics{
			live:     visits.WithLabelValues("live"),
			unknown:  visits.WithLabelValues("unknown"),
			gone:     visits.WithLabelValues("gone"),
			disabled: visits.WithLabelValues("disabled"),
			limited:  visits.WithLabelValues("limited"),
			failed:   visits.WithLabelValues("failed"),
		},
		collisions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_code_collisions_total",
			Help: "Minted codes that were taken and minted again.",
		}),
		uncounted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_ratelimit_uncounted_total",
			Help: "Requests that were allowed because their limit could not be counted.",
		}),
	}
	m.reports = reportMetrics{
		kept: reports.WithLabelValues("kept"), repeated: reports.WithLabelValues("repeated"), lost: reports.WithLabelValues("lost"),
	}
	m.unlistedProxies = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_client_unlisted_proxy_total",
		Help: "Requests from a private address that hands on X-Forwarded-For and is no trusted proxy, as far as the client's address was needed. Its clients share their limits.",
	})
	m.unrouted = m.series("none", "none")
	var problems []error
	for _, c := range []prometheus.Collector{visits, reports, m.requests, m.durations, m.collisions, m.uncounted, m.unlistedProxies} {
		problems = append(problems, reg.Register(c))
	}
	return m, errors.Join(problems...)
}

// routeMetrics are the series of one route and method.
type routeMetrics struct {
	duration      prometheus.Observer
	requests      *prometheus.CounterVec // of this route and method
	byStatus      [600]atomic.Pointer[prometheus.Counter]
	route, method string
}

// add makes the series of the routes of a router.
func (m *metrics) add(routes []*echo.Route) {
	for _, r := range routes {
		m.of(r.Path)[r.Method] = m.series(r.Method, r.Path)
	}
}

// of returns the series of a route, by method. They are there once all routes are.
func (m *metrics) of(pattern string) map[string]*routeMetrics {
	if m.routes[pattern] == nil {
		m.routes[pattern] = map[string]*routeMetrics{}
	}
	return m.routes[pattern]
}

func (m *metrics) series(method, pattern string) *routeMetrics {
	r := &routeMetrics{
		duration: m.durations.WithLabelValues(pattern, method),
		requests: m.requests, route: pattern, method: method,
	}
	for _, failed := range failures {
		r.counter(failed)
	}
	return r
}

// failures are the statuses that are counted from 0: what begins with 1 has not grown to
// Prometheus, which would miss the first failures of each process.
var failures = [...]int{http.StatusInternalServerError, http.StatusServiceUnavailable}

// observe counts one request and how long it took.
func (r *routeMetrics) observe(status int, took time.Duration) {
	r.duration.Observe(took.Seconds())
	r.count(status)
}

// count counts one request.
func (r *routeMetrics) count(status int) {
	if status < 100 || status >= len(r.byStatus) {
		status = http.StatusInternalServerError
	}
	r.counter(status).Inc()
}

// counter returns the series of a status, which begins with the first call.
func (r *routeMetrics) counter(status int) prometheus.Counter {
	if known := r.byStatus[status].Load(); known != nil {
		return *known
	}
	c := r.requests.WithLabelValues(r.route, r.method, strconv.Itoa(status))
	r.byStatus[status].Store(&c)
	return c
}

// visits is middleware for one route, of which there are too many requests to look
// for its series each time.
func (m *metrics) visits(pattern string, next echo.HandlerFunc) echo.HandlerFunc {
	series := m.of(pattern)
	return func(c echo.Context) error {
		start := time.Now()
		err := next(c)
		s := series[c.Request().Method]
		if s == nil {
			s = m.unrouted
		}
		took := time.Since(start)
		s.observe(c.Response().Status, took)
		m.access(c.Request().Context(), s.route, s.method, c.Response().Status, took)
		return err
	}
}

// middleware counts the requests of routes. The handlers below it answer their
// own errors, so that the status is known.
func (m *metrics) middleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		err := next(c)
		series := m.routes[c.Path()][c.Request().Method]
		if series == nil {
			series = m.unrouted
		}
		took := time.Since(start)
		series.observe(c.Response().Status, took)
		m.access(c.Request().Context(), series.route, series.method, c.Response().Status, took)
		return err
	}
}
