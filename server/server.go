// Package server runs an HTTP or HTTPS server on one listener: it opens the listener, bounds
// the connections and their time, and stops without losing a request. It serves any
// handler.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of one connection, against slow and silent clients. Writing may take longer
// than reading, so that a client with a slow body still receives the refusal.
const (
	ReadHeaderTimeout = 5 * time.Second
	ReadTimeout       = 10 * time.Second
	writeTimeout      = 15 * time.Second
	idleTimeout       = 75 * time.Second
	maxHeaderBytes    = 16 << 10
)

// Options configure a Server.
type Options struct {
	Listener   *Listener             // required; Start closes it if it fails
	Handler    http.Handler          // required
	Failed     chan<- error          // required: receives the error of a server that stops by itself
	Registerer prometheus.Registerer // of the metrics of connections; default: no metrics
	Logger     *slog.Logger          // required

	// TLS makes the server speak HTTPS. GetCertificate is required; it may block until there is
	// a certificate. The keys of session tickets may be changed at any time. Default: HTTP.
	TLS *tls.Config

	Proxies Proxies // peers that begin each connection with a PROXY header; default: none
	Trusted Proxies // peers with the connections of many clients: no bound for one network; default: none

	MaxConnections int           // most open connections, a quarter of them from one client network; default: no bound
	Handshakes     time.Duration // how long Shutdown waits for clients whose TCP handshake is not complete; default: not at all
}

func (o Options) withDefaults() Options {
	o.Registerer = cmp.Or[prometheus.Registerer](o.Registerer, prometheus.NewRegistry())
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("server: Options."+problem))
		}
	}
	check(o.Listener != nil, "Listener is required")
	check(o.Handler != nil, "Handler is required")
	check(o.Failed != nil, "Failed is required")
	check(o.Logger != nil, "Logger is required")
	check(o.MaxConnections >= 0, "MaxConnections must not be negative")
	check(o.Handshakes >= 0, "Handshakes must not be negative")
	check(o.TLS == nil || o.TLS.GetCertificate != nil, "TLS.GetCertificate is required")
	return errors.Join(errs...)
}

// Server is an HTTP server that serves on one listener.
type Server struct {
	http       http.Server
	opts       Options
	conns      *connections
	handshakes *handshakes   // nil: HTTP
	leaving    atomic.Bool   // answers ask clients to reconnect
	stopping   atomic.Bool   // the listener is closed on purpose
	accepted   chan struct{} // closed when no further connection will be accepted
	swept      chan struct{} // closed to end the sweep of deadlines
}

// Start serves until Shutdown.
func Start(opts Options) (*Server, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	conns, err := newConnections(opts)
	if err != nil {
		return nil, errors.Join(err, opts.Listener.Close())
	}
	s := &Server{opts: opts, conns: conns, accepted: make(chan struct{}), swept: make(chan struct{})}
	s.http = http.Server{
		Handler:           s.handler(opts.Handler),
		ReadHeaderTimeout: ReadHeaderTimeout,
		ReadTimeout:       ReadTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         changed,
		ErrorLog:          slog.NewLogLogger(opts.Logger.Handler(), slog.LevelDebug),
	}
	var listener net.Listener = conns
	if opts.TLS != nil {
		s.http.TLSConfig = opts.TLS
		s.handshakes = newHandshakes(opts.TLS, conns.metrics)
		listener = s.handshakes.listener(conns)
	}
	go conns.sweep(s.swept)
	go func() {
		defer close(s.accepted)
		if err := s.http.Serve(listener); !s.stopping.Load() {
			opts.Failed <- fmt.Errorf("serve %s: %w", opts.Listener.Addr(), err)
		}
	}()
	return s, nil
}

func (s *Server) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.logPanic(r)
		if s.leaving.Load() {
			w.Header()["Connection"] = hangUp
		}
		h.ServeHTTP(w, r)
	})
}

// logPanic logs a panic of the handler, and aborts the answer. net/http would log the panic
// among the errors of connections, which are at debug.
func (s *Server) logPanic(r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler { //nolint:errorlint // net/http compares it too
		s.opts.Logger.ErrorContext(r.Context(), "request panicked", "err", fmt.Sprint(v), "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

var hangUp = []string{"close"}

// Leave asks clients, in every answer from now on, to reconnect: the load balancer
// then sends them elsewhere. Idle connections stay open, because a client may be
// about to use one.
func (s *Server) Leave() { s.leaving.Store(true) }

// Shutdown stops accepting connections and waits for the requests in progress. It also
// waits for the first request of every connection that the kernel has accepted. Requests
// that are not finished when ctx ends are cut off. Call it once.
func (s *Server) Shutdown(ctx context.Context) error {
	defer close(s.swept)
	s.Leave()
	problem := s.stopAccepting(ctx)
	// http.Server.Shutdown comes last, because it closes every connection without a
	// complete first request.
	s.conns.awaitAnswers(ctx)
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(problem, err, s.http.Close())
	}
	return problem
}

// stopAccepting takes at most half of the time until ctx ends.
func (s *Server) stopAccepting(ctx context.Context) error {
	bounded := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	if err := s.opts.Listener.drain(bounded, s.opts.Handshakes); err != nil {
		s.opts.Logger.WarnContext(ctx, "connections may be reset as the listener closes", "listen", s.opts.Listener.Addr(), "err", err)
	}
	s.stopping.Store(true)
	err := s.opts.Listener.Close()
	<-s.accepted
	return err
}
