package api

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the metrics of the API. The values of labels are bounded: patterns and
// methods of existing routes, and statuses of answers.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	routes    map[string]map[string]*routeMetrics // by pattern and method; complete before the first request
	unrouted  *routeMetrics
	redirects redirectMetrics
	uncounted prometheus.Counter
	reports   reportMetrics
	access    accessLog

	unlistedProxies  prometheus.Counter
	untrustedSignIns prometheus.Counter
}

// accessLog is called for every request that has a route.
type accessLog func(ctx context.Context, route, method string, status int, took time.Duration)

// reportMetrics count the reports of visitors by result.
type reportMetrics struct {
	kept, repeated, dropped, lost prometheus.Counter
}

// redirectMetrics count visits of short URLs by result.
type redirectMetrics struct {
	live, unknown, gone, disabled, limited, failed prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, access accessLog) (*metrics, error) {
	visits := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_redirect_visits_total",
		Help: "Visits of short URLs by result. limited: the store was not asked, because the server was busy and the client had requested too many unknown codes.",
	}, []string{"result"})
	reports := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_reports_received_total",
		Help: "Reports that visitors sent, by result: kept, repeated (the client has an open report about the link), dropped (no room: enough reports are open about the link, of the client, or for the reason) or lost (storing failed).",
	}, []string{"result"})
	m := &metrics{
		access: access,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "terse_http_requests_total",
			Help: "HTTP requests by route pattern, method and status. 499: the client disconnected before the answer. The series of 500 and 503 exist from the start.",
		}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "terse_http_request_duration_seconds",
			Help:    "Time from the routing of a request to the end of its answer, in seconds.",
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
		uncounted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_ratelimit_uncounted_total",
			Help: "Requests that were allowed because the rate limiter failed.",
		}),
	}
	m.reports = reportMetrics{
		kept: reports.WithLabelValues("kept"), repeated: reports.WithLabelValues("repeated"),
		dropped: reports.WithLabelValues("dropped"), lost: reports.WithLabelValues("lost"),
	}
	m.unlistedProxies = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_client_unlisted_proxy_total",
		Help: "Requests with X-Forwarded-For from a private address that is not a trusted proxy. Counted only if the client's address was needed. All clients of such a proxy share one rate limit.",
	})
	m.untrustedSignIns = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_signin_untrusted_headers_total",
		Help: "Requests for the page to sign in with the header of TERSE_PROXY_SIGN_IN from a peer that is not a trusted proxy. The header is ignored.",
	})
	m.unrouted = m.series("none", "none")
	var problems []error
	for _, c := range []prometheus.Collector{visits, reports, m.requests, m.durations, m.uncounted, m.unlistedProxies, m.untrustedSignIns} {
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

// add creates the series for the routes of a router. longVisitRoute has none of its own.
func (m *metrics) add(routes []*echo.Route) {
	for _, r := range routes {
		if r.Path == longVisitRoute {
			continue
		}
		m.of(r.Path)[r.Method] = m.series(r.Method, r.Path)
	}
}

// of returns the series of a route, by method. The map is complete after add.
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

// failures are statuses with series that start at 0. Prometheus sees no increase when a
// series starts at 1, and would miss the first failure of each process.
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

// counter returns the series of a status, and creates it on the first call.
func (r *routeMetrics) counter(status int) prometheus.Counter {
	if known := r.byStatus[status].Load(); known != nil {
		return *known
	}
	c := r.requests.WithLabelValues(r.route, r.method, strconv.Itoa(status))
	r.byStatus[status].Store(&c)
	return c
}

// visits is middleware for one busy route. It looks up the series of the route once,
// instead of for each request.
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

// middleware counts requests by route. The handlers inside it write the answer for their
// errors, so the status is known.
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

// access logs a sample of the requests, and every 5xx except 503. During an outage every
// request may be a 503: a.problem logs these once a second. The log has the route instead
// of the URL, because a URL may contain secrets.
func (a *API) access(ctx context.Context, route, method string, status int, took time.Duration) {
	failed := status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable
	if !failed && (a.opts.AccessLogSample <= 0 || rand.Float64() >= a.opts.AccessLogSample) { //nolint:gosec // a sample
		return
	}
	level := slog.LevelInfo
	if failed {
		level = slog.LevelError
	}
	a.opts.Logger.LogAttrs(ctx, level, "request", slog.String("route", route), slog.String("method", method),
		slog.Int("status", status), slog.Duration("took", took))
}
