package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/terse/terse/api"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store/cache"
	"github.com/terse/terse/store/clicks"
	"github.com/terse/terse/store/sqlite"
)

// closeTimeout is how long each part may take to close once nobody uses it.
const closeTimeout = 5 * time.Second

// Bounds of one connection: a slow or silent client cannot hold it for long.
// Writing may take longer than reading, so that one whose body is too slow is
// still told so.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 15 * time.Second
	idleTimeout       = 75 * time.Second
	maxHeaderBytes    = 16 << 10
)

type serveCommand struct {
	serveFlags

	settings serveSettings
}

// AfterApply reads the settings once all their sources were read. What is wrong
// with them is told together with what is wrong with the sources.
func (c *serveCommand) AfterApply(from *sources) error { //nolint:unparam // kong asks for the error
	var problems []error
	c.settings, problems = c.read()
	from.problems = append(from.problems, problems...)
	return nil
}

// Run serves until ctx ends, then finishes what was begun.
func (c *serveCommand) Run(ctx context.Context, out output) error {
	return serve(ctx, c.settings, out)
}

// serve builds the parts, from the database outwards, and serves until ctx ends
// or a listener fails. What was opened is closed in reverse order.
func serve(ctx context.Context, s serveSettings, out output) (err error) {
	logger := newLogger(s, out.stderr)
	registry := newRegistry()
	var open cleanup
	defer func() {
		err = errors.Join(err, open.close(context.WithoutCancel(ctx)))
	}()

	database, err := sqlite.Open(ctx, sqlite.Options{Dir: s.dataDir, Serve: true, Logger: logger, Registerer: registry})
	if err != nil {
		return err
	}
	open.push("database", closeTimeout, func(context.Context) error { return database.Close() })
	codes, err := openCodes(ctx, s, database, logger, registry)
	if err != nil {
		return err
	}
	open.push("node id", closeTimeout, codes.minter.Close)
	recorder, err := clicks.New(clicks.Options{Sink: database, Logger: logger, Registerer: registry})
	if err != nil {
		return err
	}
	open.push("clicks", closeTimeout, recorder.Close)
	links, err := cache.New(cache.Options{Store: database, MaxBytes: s.cacheBytes, StaleFor: cache.DefaultStaleFor, Logger: logger, Registerer: registry})
	if err != nil {
		return err
	}

	public, err := listen(ctx, "TERSE_LISTEN", s.listen)
	if err != nil {
		return err
	}
	open.push("listener", closeTimeout, func(context.Context) error { return ignoreClosed(public.Close()) })
	admin, err := listen(ctx, "TERSE_ADMIN_LISTEN", s.admin)
	if err != nil {
		return err
	}
	open.push("admin listener", closeTimeout, func(context.Context) error { return ignoreClosed(admin.Close()) })

	if s.baseURL == "" {
		s.baseURL = localURL(public.Addr())
	}
	handler, err := api.New(api.Options{
		Store: links, Keys: database, Minter: codes, Clicks: recorder,
		Limiter: ratelimit.NewLocal(ratelimit.LocalOptions{}), Clients: s.proxies,
		BaseURL: s.baseURL, AnonymousCreate: s.anonymousCreate, CDN: s.cdn,
		Limits: s.limits, Version: version, Registerer: registry, Logger: logger,
	})
	if err != nil {
		return err
	}
	var ready api.Readiness
	servers := newServers(logger)
	servers.start(public, handler)
	servers.start(admin, api.Admin(&ready, registry))
	open.push("servers", s.drainTimeout, servers.shutdown)
	ready.Set(true)
	logger.Info("serving", "url", s.baseURL, "listen", public.Addr(), "admin", admin.Addr(), "version", version)
	fmt.Fprintf(out.stdout, "Terse is ready: %s\n", s.baseURL)

	select {
	case <-ctx.Done():
		logger.Info("stopping", "timeout", s.drainTimeout)
	case err = <-servers.failed:
	}
	ready.Set(false)
	return err
}

func newLogger(s serveSettings, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.logLevel}
	if s.logJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "terse_build_info",
		Help:        "Always 1; the label tells the version.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// listen opens a listener before anything is served, so that a taken port is
// told at once.
func listen(ctx context.Context, name, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %q: %w", name, address, err)
	}
	return l, nil
}

// localURL is what short URLs begin with when nobody said it.
func localURL(addr net.Addr) string {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil || port == "80" {
		return "http://localhost"
	}
	return "http://localhost:" + port
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// servers are the HTTP servers of one process.
type servers struct {
	logger *slog.Logger
	failed chan error // of the first that stopped by itself
	all    []*http.Server
}

func newServers(logger *slog.Logger) *servers {
	return &servers{logger: logger, failed: make(chan error, 2)}
}

// start serves h on l. It is not safe for concurrent use.
func (s *servers) start(l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	s.all = append(s.all, server)
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
	}()
}

// shutdown waits for the requests under way, the public server's first.
func (s *servers) shutdown(ctx context.Context) error {
	var problems []error
	for _, server := range s.all {
		if err := server.Shutdown(ctx); err != nil {
			problems = append(problems, err, server.Close())
		}
	}
	return errors.Join(problems...)
}
