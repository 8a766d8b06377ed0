package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"github.com/terse/terse/tracing"
)

// storeTimeout bounds a write to the embedded database. It is shorter than
// api.RequestTimeout, so that a write has succeeded or failed when the client gets a
// response.
const storeTimeout = 5 * time.Second

type serveCommand struct {
	serveFlags

	settings serveSettings
}

// Help is shown below the command's purpose.
func (*serveCommand) Help() string {
	return `On a laptop, with the database in ./data:

    terse serve

Behind a TLS proxy for sho.rt on the same machine:

    terse serve --base-url https://sho.rt --listen 127.0.0.1:8080 --trusted-proxies 127.0.0.1/32`
}

// AfterApply reads the settings after kong has applied all sources. It adds the problems of
// the settings to the problems of the sources.
func (c *serveCommand) AfterApply(from *sources) error { //nolint:unparam // kong asks for the error
	var problems []error
	c.settings, problems = c.read()
	from.problems = append(from.problems, problems...)
	return nil
}

// Run serves until ctx ends, and then drains.
func (c *serveCommand) Run(ctx context.Context, out output) error {
	return serve(ctx, c.settings, out)
}

// serve opens the parts, from the database outwards, and serves until ctx ends or a server
// fails. It closes the parts in reverse order: requests, clicks, the node id, the database,
// and health and metrics last.
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
	if err := p.traces(ctx); err != nil {
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

// newLogger returns the logger of the settings.
func newLogger(s serveSettings, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.logLevel}
	if s.logJSON {
		return slog.New(api.LogHandler(slog.NewJSONHandler(w, options)))
	}
	return slog.New(api.LogHandler(slog.NewTextHandler(w, options)))
}

// process is the state of one server process.
type process struct {
	settings serveSettings
	logger   *slog.Logger
	registry *prometheus.Registry
	health   api.Health
	limiter  api.Limiter
	guard    *overload.Guard
	tracer   *tracing.Tracer // nil: no traces
	public   *server.Server
	failed   chan error                  // errors of servers that stop by themselves
	stopBy   func() time.Time            // deadline for closing everything
	sockets  map[string]*server.Listener // sockets from systemd, by name
	open     cleanup
}

// traces starts the export of traces to the collector of the settings, if there is one.
func (p *process) traces(ctx context.Context) (err error) {
	endpoint := p.settings.operation.otlpEndpoint
	if endpoint == nil {
		return nil
	}
	if p.tracer, err = tracing.New(ctx, tracing.Options{Endpoint: endpoint, Version: version}); err != nil {
		return err
	}
	p.open.push("traces", closeTimeout, p.tracer.Close)
	return nil
}

// drain makes /readyz fail and waits for the drain delay. The server still accepts requests
// during the delay, while load balancers notice.
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

// stores opens the database, the caches and the recorder of clicks, and returns them as
// options of the API.
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
	codes, err := p.codes(ctx, d)
	if err != nil {
		return api.Options{}, err
	}
	recorder, err := p.recorder(d)
	if err != nil {
		return api.Options{}, err
	}
	blocked, err := p.abuse(ctx, d, links)
	return api.Options{
		Store: links, Peek: links.Peek, Holds: links.Holds, Archive: d.archive, Keys: keys, KeyKnown: keys.Knows, History: d.history, Blocklist: d.blocked, Blocked: blocked, Reports: d.reports,
		Minter: codes, Clicks: recorder, LinkTime: d.time,
	}, err
}

// listenAdmin serves health, metrics and profiles, and returns the address. It starts before
// the database opens and ends after everything else has closed.
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

// Names of the sockets that systemd may pass: FileDescriptorName in the socket units.
const (
	publicSocket = "public"
	adminSocket  = "admin"
)

// inheritedSockets returns the sockets from systemd, by name.
func inheritedSockets(getenv func(string) string) (map[string]*server.Listener, error) {
	sockets, err := server.Inherited(getenv)
	if err != nil {
		return nil, fmt.Errorf("take sockets from systemd: %w", err)
	}
	for name := range sockets {
		if name != publicSocket && name != adminSocket {
			return nil, fmt.Errorf("take sockets from systemd: in the unit of socket %q set FileDescriptorName=%s or %s", name, publicSocket, adminSocket)
		}
	}
	return sockets, nil
}

// listener returns the socket from systemd, or else listens on the address of the setting.
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

// listen serves the public address and returns it.
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
		Listener: public, Handler: p.tracer.Handler(p.settings.forCDN(handler), p.settings.proxies.FromProxy),
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

// handshakes is the time for new connections to finish their handshake while the server
// stops. It is longer than a round trip around the world.
const handshakes = 300 * time.Millisecond

// localURL is the start of short URLs without TERSE_BASE_URL.
func localURL(addr net.Addr) string {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil || port == "80" {
		return "http://localhost"
	}
	return "http://localhost:" + port
}

// admitRedirect asks overload protection to admit a redirect that is not in memory. The
// caller calls done when the redirect ends.
func (p *process) admitRedirect(ctx context.Context) (done func(), err error) {
	return p.guard.Admit(ctx, overload.Redirect)
}

// redirectsFull reports whether admitRedirect would refuse at once.
func (p *process) redirectsFull() bool { return p.guard.Full(overload.Redirect) }

// register creates the guard and registers the metrics of the process.
func (p *process) register() (err error) {
	if p.guard, err = overload.New(overload.Options{Registerer: p.registry}); err != nil {
		return err
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "terse_build_info",
		Help:        "Always 1. The labels are the version and the Go version of the binary.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	ready := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "terse_ready",
		Help: "1 while /readyz is 200, else 0: the process is starting or stopping, or has no schema or no map of buckets yet.",
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
