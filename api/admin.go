package api

import (
	"io"
	"net/http"
	"net/http/pprof"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Readiness says whether a load balancer may send requests here. Safe for
// concurrent use; the zero value is not ready.
type Readiness struct {
	// Loaded, if set, tells whether what is needed for any answer is there. It
	// must be safe for concurrent use, and is set before Admin is called.
	Loaded func() bool

	ready atomic.Bool
}

// Set changes the answer.
func (r *Readiness) Set(ready bool) { r.ready.Store(ready) }

// Admin returns the handler of the admin listener: /livez, /readyz, /metrics
// and /debug/pprof. It must never be public.
func Admin(ready *Readiness, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.ready.Load() || ready.Loaded != nil && !ready.Loaded() {
			http.Error(w, "starting or draining", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
