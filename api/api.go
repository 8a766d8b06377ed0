// Package api is the HTTP layer of Terse. It serves the redirect, the resources of links,
// domains and statistics with their OpenAPI document, the pages of package web, and the admin
// endpoints. It uses the
// interfaces of package store and knows no database.
//
// It opens no sockets and reads no environment. Package main builds the parts, passes
// them in Options and serves the handlers.
package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"golang.org/x/net/idna"

	"github.com/terse/terse/access/passkey"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/useragent"
	"github.com/terse/terse/web"
)

// API serves the public listener. Make one with New. Safe for concurrent use.
type API struct {
	opts  Options
	pages *web.Pages // of the default domain

	domainPages *web.Pages // of custom domains

	metrics      *metrics
	visitors     *echo.Echo       // redirects and pages of the default domain
	onDomains    *echo.Echo       // redirects and pages of custom domains
	passkeys     *passkey.Checker // nil: browsers have none for the address of the console
	app          *appHost         // nil: the console is on the default domain
	resources    *echo.Echo       // everything below /api
	schemas      huma.Registry
	visitorForms *http.CrossOriginProtection // of the forms for visitors
	consoleForms *http.CrossOriginProtection // of the forms of the console
	agents       *useragent.Classifier
	chooser      chooser
	scheme       string // of short URLs
	host         string // of the base URL, as in the Host of requests
	port         string // of the base URL with its colon; empty for the default port

	canonicalHost string // of the base URL, see store.CanonicalHost

	drawers   chan struct{} // semaphore: QR codes that are drawn at the same time
	drawings  drawings
	outage    seldom              // limits the log message about the store
	untrusted seldom              // limits the log message about headers to sign in
	busy      seldom              // limits the log message about overload
	prechecks map[string]precheck // by method and route; complete before the first request

	smallBodies, largeBodies *room

	unlisted sync.Once // logs the first proxy that is not trusted
	limited  limitedClients
}

// New builds the handlers. The error names every missing or invalid option.
func New(opts Options) (*API, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	shown := web.Options{
		BaseURL:         opts.BaseURL,
		AppURL:          opts.AppURL,
		AnonymousCreate: opts.Links.May(&links.Caller{}, links.Creating) == nil,
		MaxURLLen:       store.MaxURLLen,
		Name:            opts.SiteName,
		Contact:         opts.Contact,
		Version:         opts.Version,
	}
	pages, err := web.New(shown)
	if err != nil {
		return nil, err
	}
	shown.Custom = true
	domainPages, err := web.New(shown)
	if err != nil {
		return nil, err
	}
	base, err := ParseBaseURL(opts.BaseURL)
	if err != nil {
		return nil, err
	}
	canonical, err := store.CanonicalHost(base.Host)
	if err != nil {
		return nil, fmt.Errorf("api: Options.BaseURL: %w", err)
	}
	agents, err := useragent.New()
	if err != nil {
		return nil, err
	}
	chooser, err := newChooser(opts.Secret)
	if err != nil {
		return nil, err
	}
	a := &API{
		opts:         opts,
		pages:        pages,
		visitorForms: http.NewCrossOriginProtection(),
		agents:       agents, chooser: chooser,
		scheme: base.Scheme,
		host:   base.Host,
		port:   strings.TrimPrefix(base.Host, base.Hostname()), // not for an IPv6 address, which has no other domains

		domainPages:   domainPages,
		canonicalHost: canonical,

		drawers: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),

		prechecks:   map[string]precheck{},
		smallBodies: smallRoom(),
		largeBodies: largeRoom(),
	}
	if err := a.visitorForms.AddTrustedOrigin(opts.BaseURL); err != nil {
		return nil, fmt.Errorf("api: trust the origin of BaseURL: %w", err)
	}
	if a.consoleForms, err = opts.consoleProtection(); err != nil {
		return nil, err
	}
	if a.passkeys, err = newPasskeys(&opts); err != nil {
		return nil, err
	}
	return a, a.route(base)
}

// ParseBaseURL parses the start of short URLs: http or https, a host, and optionally a
// port. The host of the result is ASCII, because short URLs are sent in headers. The
// default port of the scheme may be missing from the result.
func ParseBaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a URL", s)
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, fmt.Errorf("%q must look like https://sho.rt", s)
	case u.User != nil, u.Path != "", u.RawQuery != "", u.Fragment != "", u.ForceQuery:
		return nil, fmt.Errorf("%q must not have a user, path, query or trailing slash", s)
	}
	if u.Host, err = asciiHost(u); err != nil {
		return nil, fmt.Errorf("%q has an invalid host: %w", s, err)
	}
	if _, err := store.NewRules(store.RulesOptions{OwnHosts: []string{u.Host}}); err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	return u, nil
}

// asciiHost returns the host and the port of u in ASCII, for use in headers.
func asciiHost(u *url.URL) (string, error) {
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return u.Host, nil
	}
	host, err := idna.Lookup.ToASCII(u.Hostname())
	if err != nil || u.Port() == "" || isSchemePort(u) {
		return host, err
	}
	return host + ":" + u.Port(), nil
}

// isSchemePort reports whether u names the default port of its scheme.
func isSchemePort(u *url.URL) bool {
	return u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443"
}
