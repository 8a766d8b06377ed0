// Package api is the HTTP layer of Terse. It serves the redirect, the link resources with
// their OpenAPI document, the pages of package web, and the admin endpoints. It uses the
// interfaces of package store and knows no database.
//
// It opens no sockets and reads no environment. Package main builds the parts, passes
// them in Options and serves the handlers.
package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/idna"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// ClickRecorder records the clicks of redirects. Record never blocks.
type ClickRecorder interface {
	Record(c store.Click)
}

// Limiter takes up to n permits of a key under the limit l. The result has the number of
// permits that were allowed.
type Limiter interface {
	Take(ctx context.Context, key string, l ratelimit.Limit, n int) (ratelimit.Result, error)
}

// ClientAddresser finds the address of the client behind trusted proxies.
type ClientAddresser interface {
	ClientAddr(r *http.Request) netip.Addr

	// FromProxy reports whether the request comes from a trusted proxy.
	FromProxy(r *http.Request) bool
}

// Limits are the rate limits. The zero Limit is off.
type Limits struct {
	CreateAnonymous ratelimit.Limit // per client address
	CreateKey       ratelimit.Limit // per API key
	Unknown         ratelimit.Limit // unknown codes per client address, and separately unknown API keys
	Password        ratelimit.Limit // wrong passwords per link and client address; ten times this per link
	Report          ratelimit.Limit // reports of links per client address
}

// Options configure New.
type Options struct {
	Links *links.Service // Required. The use cases on links.
	Store store.Store    // Required. Resolves codes, and counts the uses of links with a click limit.

	// Peek returns the answer of Store.Resolve when Store has it in memory; known reports
	// that. Required. Under overload, a client that asked for too many unknown codes gets
	// only the links that Peek knows or Holds reports. A flood of invented codes then takes
	// no room from links.
	Peek func(code string) (l store.Link, known bool, err error)

	// Holds reports whether Store has a link in memory, even an expired entry. Required.
	Holds func(code string) bool

	Keys store.Keys // Required.

	// KeyKnown reports whether Keys has the answer for a token's digest in memory. Required.
	// If it is false, an unknown token counts against Limits.Unknown. A flood of invented
	// tokens then reaches the shards only up to this limit.
	KeyKnown func(hash [sha256.Size]byte) bool

	Blocklist store.Blocklist // Required.
	Reports   store.Reports   // Required.

	Clicks  ClickRecorder   // Required.
	Limiter Limiter         // Required.
	Clients ClientAddresser // Required.

	BaseURL     string   // Required. The start of short URLs: scheme://host[:port].
	CORSOrigins []string // origins that may call the API, see ParseOrigins; default none
	CDN         bool     // whether to send CDN-Cache-Control
	Limits      Limits
	Version     string // of the binary, shown on the pages and in the OpenAPI document

	AccessLogSample float64 // share of the requests to log, 0 to 1

	Guard      *overload.Guard       // Required. Rejects requests when the process is overloaded.
	Registerer prometheus.Registerer // Required.
	Logger     *slog.Logger          // Required.
	Now        func() time.Time      // Default: time.Now.

	// LinkTime returns the time of the database. Links and keys start and expire by it.
	// While known is false, requests that depend on this time are answered 503.
	// Default: Now.
	LinkTime func() (now time.Time, known bool)
}

func (o *Options) validate() error {
	var problems []error
	required := func(name string, missing bool) {
		if missing {
			problems = append(problems, fmt.Errorf("api: Options.%s is required", name))
		}
	}
	required("Links", o.Links == nil)
	required("Store", o.Store == nil)
	required("Peek", o.Peek == nil)
	required("Holds", o.Holds == nil)
	required("Keys", o.Keys == nil)
	required("KeyKnown", o.KeyKnown == nil)
	required("Blocklist", o.Blocklist == nil)
	required("Reports", o.Reports == nil)
	required("Clicks", o.Clicks == nil)
	required("Limiter", o.Limiter == nil)
	required("Clients", o.Clients == nil)
	required("Guard", o.Guard == nil)
	required("Registerer", o.Registerer == nil)
	required("Logger", o.Logger == nil)
	base, err := ParseBaseURL(o.BaseURL)
	if err != nil {
		problems = append(problems, fmt.Errorf("api: Options.BaseURL: %w", err))
	} else {
		o.BaseURL = base.String()
	}
	if _, err := ParseOrigins(o.CORSOrigins); err != nil {
		problems = append(problems, fmt.Errorf("api: Options.CORSOrigins: %w", err))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LinkTime == nil {
		o.LinkTime = func() (time.Time, bool) { return o.Now(), true }
	}
	return errors.Join(problems...)
}

// API serves the public listener. Make one with New. Safe for concurrent use.
type API struct {
	opts      Options
	pages     *web.Pages
	metrics   *metrics
	visitors  *echo.Echo // redirects and pages
	resources *echo.Echo // everything below /api
	schemas   huma.Registry
	csrf      *http.CrossOriginProtection
	drawing   chan struct{} // semaphore: QR codes that are drawn at the same time
	outage    seldom        // limits the log message about the store
	busy      seldom        // limits the log message about overload
	bodies    atomic.Int64  // bytes of request bodies in memory
	unlisted  sync.Once     // logs the first proxy that is not trusted
	limited   limitedClients
}

// New builds the handlers. The error names every missing or invalid option.
func New(opts Options) (*API, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	pages, err := web.New(web.Options{
		BaseURL:         opts.BaseURL,
		AnonymousCreate: opts.Links.May(&links.Caller{}, links.Creating) == nil,
		MaxURLLen:       store.MaxURLLen,
		Version:         opts.Version,
	})
	if err != nil {
		return nil, err
	}
	a := &API{
		opts:    opts,
		pages:   pages,
		csrf:    http.NewCrossOriginProtection(),
		drawing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	if err := a.csrf.AddTrustedOrigin(opts.BaseURL); err != nil {
		return nil, fmt.Errorf("api: trust the origin of BaseURL: %w", err)
	}
	return a, a.route()
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

// shortURL returns the short URL of a code.
func (a *API) shortURL(code string) string { return a.opts.BaseURL + "/" + code }
