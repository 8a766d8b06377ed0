package api

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Admin returns the handler of the admin listener: /livez, /readyz, /metrics and
// /debug/pprof. It must never be public. /livez only reports that the process runs: it
// does not check databases, because a restart would not repair them.
//
// The Host of a request must be an address, localhost or one of names, else the answer is
// 421. Otherwise a web page could read the admin listener by DNS rebinding: the name of its
// own site begins to resolve to this machine. names are host names without a port, in lower
// case.
func Admin(health *Health, metrics prometheus.Gatherer, names []string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", health.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return forHosts(names, mux)
}

// forHosts answers 421 for a Host that is a name outside names. HTTP/1.0 needs no Host, and
// browsers always send one.
func forHosts(names []string, next http.Handler) http.Handler {
	known := map[string]bool{"": true, "localhost": true}
	for _, n := range names {
		known[n] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostName(r.Host)
		if _, err := netip.ParseAddr(name); err != nil && !known[name] {
			http.Error(w, "The host name of this request is unknown. Add it to TERSE_ADMIN_HOSTS.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostName returns the name or address in a Host header in lower case, without the port,
// the brackets of an IPv6 address and the final dot.
func hostName(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// phase is the stage of a process between start and stop.
type phase int32

const (
	starting phase = iota
	serving
	draining
)

// Health reports to a load balancer whether it may send requests to this process. The zero
// value means that the process is starting. Safe for concurrent use.
type Health struct {
	phase atomic.Int32

	mu     sync.Mutex
	checks []healthCheck
}

// healthCheck checks something that the process needs for every answer.
type healthCheck struct {
	name  string
	check func() error
}

// Errors of the checks for the phases.
var (
	errStarting = errors.New("the process is starting")
	errDraining = errors.New("the process is stopping")
)

// Require adds a check of something that every request needs. Do not add a dependency that
// some requests do not need, such as one of several databases: when it fails, the load
// balancer would remove all processes at the same time. check must be quick and safe for
// concurrent use.
func (h *Health) Require(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, healthCheck{name, check})
}

// Started marks the process as ready for requests.
func (h *Health) Started() { h.phase.CompareAndSwap(int32(starting), int32(serving)) }

// Drain marks the process as stopping: the load balancer must send no new requests.
func (h *Health) Drain() { h.phase.Store(int32(draining)) }

// Ready reports whether all checks pass.
func (h *Health) Ready() bool {
	return !slices.ContainsFunc(h.all(), func(c healthCheck) bool { return c.check() != nil })
}

// all returns the checks of the phases, then the added checks.
func (h *Health) all() []healthCheck {
	during := func(p phase, err error) func() error {
		return func() error {
			if phase(h.phase.Load()) == p {
				return err
			}
			return nil
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]healthCheck{
		{"started", during(starting, errStarting)},
		{"not-draining", during(draining, errDraining)},
	}, h.checks...)
}

// ready answers 200 if all checks pass, else 503. The body has one line for each check.
func (h *Health) ready(w http.ResponseWriter, _ *http.Request) {
	status, body := http.StatusOK, strings.Builder{}
	for _, c := range h.all() {
		if err := c.check(); err != nil {
			status = http.StatusServiceUnavailable
			fmt.Fprintf(&body, "[-] %s: %s\n", c.name, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		fmt.Fprintf(&body, "[+] %s: ok\n", c.name)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprint(w, body.String())
}
