package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/terse/terse/api"
	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/server"
)

// storeTimeout bounds a write to the embedded database. It is shorter than
// api.RequestTimeout, so that no client hears of a failure before it is one.
const storeTimeout = 5 * time.Second

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
// or a listener fails. What was opened is closed in reverse order: requests first,
// then clicks, the node id, the database, and health and metrics last.
func serve(ctx context.Context, s serveSettings, out output) (err error) {
	p := &process{settings: s, logger: newLogger(s, out.stderr), registry: prometheus.NewRegistry(), failed: make(chan error, 2)}
	p.limiter = ratelimit.NewLocal(ratelimit.LocalOptions{})
	p.stopBy = func() time.Time { return time.Now().Add(s.operation.drain.timeout) }
	defer func() {
		closing, cancel := context.WithDeadline(context.WithoutCancel(ctx), p.stopBy())
		defer cancel()
		err = errors.Join(err, p.open.close(closing))
	}()
	if err := p.register(); err != nil {
		return err
	}
	if p.traces, err = p.openTraces(ctx); err != nil {
		return err
	}
	if p.sockets, err = inheritedSockets(os.Getenv); err != nil {
		return err
	}
	admin, err := p.listenAdmin(ctx)
	if err != nil {
		return err
	}
	options, err := p.stores(ctx)
	if err != nil {
		return err
	}
	public, err := p.listen(ctx, options)
	if err != nil {
		return err
	}
	p.health.Started()
	p.logger.InfoContext(ctx, "serving", "url", p.settings.baseURL, "listen", public, "admin", admin, "version", version)
	fmt.Fprintf(out.stdout, "Terse is ready: %s\n", p.settings.baseURL)
	select {
	case <-ctx.Done():
		return p.drain()
	case err = <-p.failed:
		p.health.Drain()
		return err
	}
}

// process is what one server process holds.
type process struct {
	settings serveSettings
	logger   *slog.Logger
	registry *prometheus.Registry
	health   api.Health
	limiter  api.Limiter
	guard    *overload.Guard
	traces   *traces // nil: none
	public   *server.Server
	failed   chan error                  // of the first server that stops by itself
	stopBy   func() time.Time            // when all must be closed
	sockets  map[string]*server.Listener // that systemd passed, by name
	open     cleanup
}

// drain makes ready for closing: load balancers hear that they must send nothing
// more, and have some time to, in which all is as before.
func (p *process) drain() error {
	began, d := time.Now(), p.settings.operation.drain
	p.stopBy = func() time.Time { return began.Add(d.timeout) }
	p.logger.Info("stopping", "delay", d.delay, "timeout", d.timeout)
	p.health.Drain()
	p.public.Leave()
	select {
	case <-time.After(d.delay):
		return nil
	case err := <-p.failed:
		return err
	}
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
	keys, err := p.keyring(ctx, d.keys)
	if err != nil {
		return api.Options{}, err
	}
	links, err := p.caches(ctx, d, keys)
	if err != nil {
		return api.Options{}, err
	}
	codes, err := openCodes(ctx, &d, p.logger, p.registry)
	if err != nil {
		return api.Options{}, err
	}
	p.open.push("node id", closeTimeout, codes.minter.Close)
	recorders, err := p.recorders(d)
	if err != nil {
		return api.Options{}, err
	}
	blocked, err := p.abuse(ctx, d, links)
	return api.Options{
		Store: links, Peek: links.Peek, Holds: links.Holds, Archive: d.archive, Keys: keys, KeyKnown: keys.Knows, History: d.history, Blocklist: d.blocked, Blocked: blocked, Reports: d.reports,
		Minter: codes, Clicks: recorders, LinkTime: d.time,
	}, err
}

// listenAdmin serves health, metrics and profiles from before the database is opened
// until everything else is closed. It returns the address.
func (p *process) listenAdmin(ctx context.Context) (net.Addr, error) {
	l, err := p.listener(ctx, adminSocket, "TERSE_ADMIN_LISTEN", p.settings.admin)
	if err != nil {
		return nil, err
	}
	admin, err := server.Start(server.Options{
		Listener: l, Handler: api.Admin(&p.health, p.registry), Logger: p.logger, Failed: p.failed,
	})
	if err != nil {
		return nil, err
	}
	p.open.push("admin server", closeTimeout, admin.Shutdown)
	return l.Addr(), nil
}

// Names of the sockets that systemd may pass, FileDescriptorName in their units.
const (
	publicSocket = "public"
	adminSocket  = "admin"
)

// inheritedSockets returns the sockets that systemd has passed, by name.
func inheritedSockets(getenv func(string) string) (map[string]*server.Listener, error) {
	sockets, err := server.Inherited(getenv)
	if err != nil {
		return nil, fmt.Errorf("take sockets from systemd: %w", err)
	}
	for name := range sockets {
		if name != publicSocket && name != adminSocket {
			return nil, fmt.Errorf("take sockets from systemd: set FileDescriptorName=%s or %s in the unit of socket %q", publicSocket, adminSocket, name)
		}
	}
	return sockets, nil
}

// listener returns the socket that systemd has passed under this name, or else opens
// the address of the setting.
func (p *process) listener(ctx context.Context, socket, setting, address string) (*server.Listener, error) {
	if l := p.sockets[socket]; l != nil {
		return l, nil
	}
	l, err := server.Listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return l, nil
}

// listen serves the public on its listener, and returns the address.
func (p *process) listen(ctx context.Context, options api.Options) (net.Addr, error) {
	public, err := p.listener(ctx, publicSocket, "TERSE_LISTEN", p.settings.listen)
	if err != nil {
		return nil, err
	}
	if p.settings.baseURL == "" {
		p.settings.baseURL = localURL(public.Addr())
	}
	options.BaseURL = p.settings.baseURL
	options.AnonymousCreate, options.CDN, options.Limits = p.settings.anonymousCreate, p.settings.cdn.Provider != "", p.settings.limits
	options.Limiter, options.Clients, options.CORSOrigins = p.limiter, p.settings.proxies, p.settings.corsOrigins
	options.Guard, options.AccessLogSample = p.guard, p.settings.operation.accessLogSample
	options.Version, options.Registerer, options.Logger = version, p.registry, p.logger
	handler, err := api.New(options)
	if err != nil {
		return nil, errors.Join(err, public.Close())
	}
	bounds := server.Options{
		Listener: public, Handler: p.traces.handler(p.settings.forCDN(handler), p.settings.proxies.FromProxy),
		MaxConnections: p.settings.operation.maxConnections, Handshakes: handshakes,
		Registerer: p.registry, Logger: p.logger, Failed: p.failed,
	}
	if p.settings.proxyProtocol {
		bounds.Proxies = p.settings.proxies
	}
	if p.public, err = server.Start(bounds); err != nil {
		return nil, err
	}
	p.open.push("server", p.settings.operation.drain.requests(), p.public.Shutdown)
	return public.Addr(), nil
}

// handshakes is longer than a client needs to connect from the other side of the world.
const handshakes = 300 * time.Millisecond

// localURL is what short URLs begin with when TERSE_BASE_URL is not set.
func localURL(addr net.Addr) string {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil || port == "80" {
		return "http://localhost"
	}
	return "http://localhost:" + port
}

// admitRedirect admits a redirect that is not answered from memory.
func (p *process) admitRedirect(ctx context.Context) (done func(), err error) {
	return p.guard.Admit(ctx, overload.Redirect)
}

// register adds what the process tells of itself to the registry.
func (p *process) register() (err error) {
	if p.guard, err = overload.New(overload.Options{Registerer: p.registry}); err != nil {
		return err
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "terse_build_info",
		Help:        "Always 1; the labels tell the version and what it was built with.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	ready := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "terse_ready",
		Help: "1 while /readyz is 200; 0 when the process is starting or stopping, or lacks what no request can do without.",
	}, func() float64 {
		if p.health.Ready() {
			return 1
		}
		return 0
	})
	var errs []error
	for _, c := range []prometheus.Collector{
		build, ready, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		errs = append(errs, p.registry.Register(c))
	}
	return errors.Join(errs...)
}
