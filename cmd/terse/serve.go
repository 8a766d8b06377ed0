package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/abuse/blocklist"
	"github.com/terse/terse/api"
	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/domains"
	"github.com/terse/terse/idgen"
	"github.com/terse/terse/links"
	"github.com/terse/terse/server"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
	"github.com/terse/terse/store/cache/cdn"
	"github.com/terse/terse/store/keyring"
	"github.com/terse/terse/tracing"
)

// storeTimeout bounds a write to the embedded database. It is shorter than
// api.RequestTimeout, so that the result of a write is known before the client gets a timeout.
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

// serve opens the parts of the server, and serves until ctx ends or a listener fails. It closes
// the parts in reverse order: requests, clicks, the node id, the database, and the listener of
// health checks and metrics last.
func serve(ctx context.Context, s serveSettings, out output) (err error) {
	p := &process{settings: s, logger: newLogger(s, out.stderr), registry: prometheus.NewRegistry(), failed: make(chan error, 3)}
	takeLibraryLogs(p.logger)
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
	p.warnOfPublicAdmin(admin)
	opened, err := p.stores(ctx)
	if err != nil {
		return err
	}
	public, err := p.listen(ctx, &opened)
	if err != nil {
		return err
	}
	p.health.Started()
	p.logger.InfoContext(ctx, "serving", "url", p.settings.baseURL, "listen", public, "admin", admin, "version", version)
	if !s.logJSON {
		link, err := p.firstSignIn(ctx, &opened)
		if err != nil && ctx.Err() == nil { // no reason to end: visitors are served already
			p.logger.WarnContext(ctx, "no one-time link to sign in; terse sign-in prints one", "err", err)
		}
		fmt.Fprintf(out.stdout, "Terse is ready: %s\n%s", p.settings.baseURL, link)
	}
	select {
	case <-ctx.Done():
		return p.drain()
	case err = <-p.failed:
		p.health.Drain()
		return err
	}
}

// process is the state of one server process.
type process struct {
	settings serveSettings
	logger   *slog.Logger
	registry *prometheus.Registry
	health   api.Health
	limiter  api.Limiter
	revoked  func(ctx context.Context, k store.Key) // informs other nodes; nil without Redis
	nodes    func() int                             // how many nodes there are, by Redis; nil without Redis
	guard    *overload.Guard
	tracer   *tracing.Tracer // nil: no traces
	public   *server.Server
	obtain   func()                      // begins to obtain certificates; nil without ACME
	shown    api.Certificates            // with HTTPS, set before requests are served
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
// during the delay, because load balancers do not notice the failure at once.
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

// stores are the database, the caches in front of it and the recorder of clicks.
type stores struct {
	database
	cached  *cache.Cache // the links of database
	keyring *keyring.Ring
	codes   *idgen.Codes
	clicks  api.ClickRecorder
	visits  *visit.Classifier
	list    *blocklist.List
	hosts   *domains.Map
}

// stores opens the stores.
func (p *process) stores(ctx context.Context) (s stores, err error) {
	open := p.embedded
	if len(p.settings.shards) > 0 {
		open = p.sharded
	}
	if s.database, err = open(ctx); err != nil {
		return s, err
	}
	if s.keyring, err = p.keyring(ctx, s.keys); err != nil {
		return s, err
	}
	if s.cached, err = p.caches(ctx, s.database, s.keyring); err != nil {
		return s, err
	}
	if s.codes, err = p.codes(ctx, s.database); err != nil {
		return s, err
	}
	if err = p.foldClicks(s.database); err != nil {
		return s, err
	}
	if s.visits, err = p.visits(ctx); err != nil {
		return s, err
	}
	if s.clicks, err = p.recorder(ctx, s.database, s.visits); err != nil {
		return s, err
	}
	if s.list, err = p.abuse(ctx, s.database); err != nil {
		return s, err
	}
	s.hosts, err = p.domains(ctx, s.database)
	return s, err
}

// useCases returns the use cases on links. They need the base URL: no link may lead to it.
func (p *process) useCases(s *stores) (*links.Service, error) {
	base, err := api.ParseBaseURL(p.settings.baseURL)
	if err != nil {
		return nil, err
	}
	return links.New(links.Options{
		Store: s.cached, Archive: s.archive, History: s.history, Tags: s.tags, Minter: s.codes, Keys: s.keyring, BaseURL: p.settings.baseURL, Domains: s.hosts,
		Rules:           p.ruleOptions(s, base),
		Countries:       true, // at least from the table in the binary
		AnonymousCreate: p.settings.anonymousCreate, AnonymousLife: p.settings.anonymousLife, Clock: s.clock(), Registerer: p.registry,
	})
}

// ruleOptions are the rules for targets and aliases.
func (p *process) ruleOptions(s *stores, base *url.URL) store.RulesOptions {
	own := []string{base.Host}
	if app, err := url.Parse(p.settings.appURL); err == nil && app.Host != "" {
		own = append(own, app.Host)
	}
	return store.RulesOptions{OwnHosts: own, Routes: api.Routes(), Reserved: api.Reserved(p.settings.reserved...), Blocked: s.list, Served: s.hosts}
}

// handler returns the handler of the public address, and starts the scan of all links.
func (p *process) handler(ctx context.Context, s *stores) (*api.API, error) {
	useCases, err := p.useCases(s)
	if err != nil {
		return nil, err
	}
	if err := p.scan(ctx, s, useCases); err != nil {
		return nil, err
	}
	against, err := p.againstAbuse(&s.database)
	if err != nil {
		return nil, err
	}
	onDomains, err := p.domainCases(ctx, s)
	if err != nil {
		return nil, err
	}
	onAccess, err := p.access(s)
	if err != nil {
		return nil, err
	}
	providers, err := p.providers()
	if err != nil {
		return nil, err
	}
	return api.New(api.Options{
		Providers: providers, ProxySignIn: p.settings.proxySignIn,
		Links: useCases, Abuse: against, Access: onAccess, Domains: onDomains, Visits: s.cached, Clicks: s.clicks, ClickDays: s.clickDays, Clock: s.clock(),
		Countries: s.visits, Secret: s.codeKey,
		Keys: s.keyring, Hosts: s.hosts, Certificates: p.statuses(),
		Limiter: p.limiter, Limits: p.settings.limits, Clients: p.settings.proxies, Guard: p.guard,
		BaseURL: p.settings.baseURL, AppURL: p.settings.appURL, CORSOrigins: p.settings.corsOrigins, CDN: p.settings.cdn.Provider != "",
		CDNVaries:      p.settings.cdn.Provider == cdn.Varnish || p.settings.cdn.Provider == cdn.Fastly,
		ClicksFromLogs: p.settings.clicks.fromLogs, CDNHeader: cdnHeaders[p.settings.cdn.Provider],
		SiteName: p.settings.siteName, Contact: p.settings.contact, SecurityContacts: p.settings.contacts,
		Version: version, CountryHeader: p.settings.clicks.countryHeader, AccessLogSample: p.settings.operation.accessLogSample, Registerer: p.registry, Logger: p.logger,
	})
}

// admitRedirect asks overload protection to admit a redirect that is not in memory. The
// caller calls done when the redirect ends.
func (p *process) admitRedirect(ctx context.Context) (done func(), err error) {
	place, err := p.guard.Admit(ctx, overload.Redirect, overload.Caller{})
	if err != nil {
		return nil, err
	}
	return place.Done, nil
}

// redirectsFull reports whether admitRedirect would reject a redirect without waiting.
func (p *process) redirectsFull() bool { return p.guard.Full(overload.Redirect, overload.Caller{}) }
