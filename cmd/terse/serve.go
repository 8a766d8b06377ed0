package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/terse/terse/api"
	"github.com/terse/terse/api/ratelimit"
)

const (
	// closeTimeout is how long each part may take to close once nobody uses it.
	closeTimeout = 5 * time.Second

	// storeTimeout bounds a write. It is shorter than api.RequestTimeout, so that a
	// client is never told of a failure before it is one.
	storeTimeout = 5 * time.Second
)

type serveCommand struct {
	serveFlags

	settings serveSettings
}

// Help is shown below the command's purpose.
func (*serveCommand) Help() string {
	return `On a laptop, with the database in ./data:

    terse serve

Behind a proxy on the same machine that ends TLS for sho.rt:

    terse serve --base-url https://sho.rt --listen 127.0.0.1:8080 --trusted-proxies 127.0.0.1/32`
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
// or a listener fails. What was opened is closed in reverse order: the servers
// first, the database last.
func serve(ctx context.Context, s serveSettings, out output) (err error) {
	p := &process{settings: s, logger: newLogger(s, out.stderr), registry: newRegistry()}
	p.limiter = ratelimit.NewLocal(ratelimit.LocalOptions{})
	defer func() { err = errors.Join(err, p.open.close(context.WithoutCancel(ctx))) }()
	options, err := p.stores(ctx)
	if err != nil {
		return err
	}
	failed, err := p.listen(ctx, options)
	if err != nil {
		return err
	}
	fmt.Fprintf(out.stdout, "Terse is ready: %s\n", p.settings.baseURL)
	select {
	case <-ctx.Done():
		p.logger.Info("stopping", "timeout", s.drainTimeout)
	case err = <-failed:
	}
	p.ready.Set(false)
	return err
}

// process is what one server process holds.
type process struct {
	settings serveSettings
	logger   *slog.Logger
	registry *prometheus.Registry
	ready    api.Readiness
	limiter  api.Limiter
	open     cleanup
}

// stores opens the database and what stands in front of it, and returns them as
// the API wants them.
func (p *process) stores(ctx context.Context) (api.Options, error) {
	open := p.embedded
	if len(p.settings.shards) > 0 {
		open = p.sharded
	}
	d, err := open(ctx)
	if err != nil {
		return api.Options{}, err
	}
	codes, err := openCodes(ctx, d.codeKey, d.leaser, p.logger, p.registry)
	if err != nil {
		return api.Options{}, err
	}
	p.open.push("node id", closeTimeout, codes.minter.Close)
	recorders, err := p.recorders(d)
	if err != nil {
		return api.Options{}, err
	}
	keys, err := p.keyring(ctx, d.keys)
	if err != nil {
		return api.Options{}, err
	}
	links, err := p.caches(ctx, d, keys)
	return api.Options{Store: links, Archive: d.archive, Keys: keys, History: d.history, Minter: codes, Clicks: recorders}, err
}

// listen opens the listeners and serves on them. The channel gets the error of a
// server that stops by itself.
func (p *process) listen(ctx context.Context, options api.Options) (<-chan error, error) {
	public, err := listen(ctx, "TERSE_LISTEN", p.settings.listen)
	if err != nil {
		return nil, err
	}
	p.open.push("listener", closeTimeout, func(context.Context) error { return ignoreClosed(public.Close()) })
	admin, err := listen(ctx, "TERSE_ADMIN_LISTEN", p.settings.admin)
	if err != nil {
		return nil, err
	}
	p.open.push("admin listener", closeTimeout, func(context.Context) error { return ignoreClosed(admin.Close()) })
	if p.settings.baseURL == "" {
		p.settings.baseURL = localURL(public.Addr())
	}
	options.BaseURL = p.settings.baseURL
	options.AnonymousCreate, options.CDN, options.Limits = p.settings.anonymousCreate, p.settings.cdn.Provider != "", p.settings.limits
	options.Limiter, options.Clients = p.limiter, p.settings.proxies
	options.Version, options.Registerer, options.Logger = version, p.registry, p.logger
	handler, err := api.New(options)
	if err != nil {
		return nil, err
	}
	servers := newServers(p.logger)
	servers.start(public, handler)
	servers.start(admin, api.Admin(&p.ready, p.registry))
	p.open.push("servers", p.settings.drainTimeout, servers.shutdown)
	p.ready.Set(true)
	p.logger.Info("serving", "url", p.settings.baseURL, "listen", public.Addr(), "admin", admin.Addr(), "version", version)
	return servers.failed, nil
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
		Help:        "Always 1; the labels tell the version and what it was built with.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}
