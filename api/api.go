// Package api is the HTTP face of Terse: the redirect, the link resources with
// their OpenAPI document, the pages of package web, and the admin listener's
// handler. It knows the domain (store) and never where links are kept.
//
// It opens no sockets and reads no environment: package main builds the parts,
// hands them over in Options and serves the handlers.
package api

import (
	"cmp"
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
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/net/idna"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// CodeMinter mints codes that no other link has.
type CodeMinter interface {
	// NextCode returns a fresh code, or an error when minting must wait, for
	// example because the lease of the node id was lost.
	NextCode() (string, error)

	// NextCodeNear is NextCode with a code that one shard keeps together with a
	// bucket, if one is found soon.
	NextCodeNear(bucket int) (string, error)
}

// ClickRecorder takes clicks from the redirect. Record never blocks.
type ClickRecorder interface {
	Record(c store.Click)
}

// Limiter takes up to n permits for key under l and tells how many it allowed.
type Limiter interface {
	Take(ctx context.Context, key string, l ratelimit.Limit, n int) (ratelimit.Result, error)
}

// ClientAddresser tells the address of the client behind trusted proxies.
type ClientAddresser interface {
	ClientAddr(r *http.Request) netip.Addr

	// FromProxy reports whether the request comes from a trusted proxy.
	FromProxy(r *http.Request) bool
}

// Limits are the rate limits. The zero Limit is off.
type Limits struct {
	CreateAnonymous ratelimit.Limit // per client address
	CreateKey       ratelimit.Limit // per API key
	Unknown         ratelimit.Limit // unknown codes, and as many unknown API keys, per client address
	Password        ratelimit.Limit // guesses, per client address and link, and per link
	Report          ratelimit.Limit // reports of links, per client address
}

// Options configure New.
type Options struct {
	Store   store.Store   // Required.
	Archive store.Archive // Required: of what Store keeps.

	// Peek returns the answer of Store.Resolve when Store has it in memory; known reports
	// that. Required. Under overload, a client that asked for too many unknown codes gets
	// only the links that Peek knows or Holds reports. A flood of invented codes then takes
	// no room from links.
	Peek func(code string) (l store.Link, known bool, err error)

	// Holds reports whether Store has a link in memory, even an expired entry. Required.
	Holds func(code string) bool

	Keys store.Keys // Required.

	// KeyKnown reports whether Keys has the answer for a token's digest in memory. Required.
	// A client that sends too many tokens for which it is false is rejected. A flood of
	// invented tokens then never reaches the shards.
	KeyKnown func(hash [sha256.Size]byte) bool

	History store.History // Required.
	Minter  CodeMinter    // Required.

	Blocklist store.Blocklist // Required.
	Blocked   store.Blocker   // Hosts to which no link may lead. Default: none.

	Reports store.Reports // Required.

	Clicks  ClickRecorder   // Required.
	Limiter Limiter         // Required.
	Clients ClientAddresser // Required.

	BaseURL         string   // Required: scheme://host[:port] that short URLs begin with.
	AnonymousCreate bool     // whether a create needs no key
	CORSOrigins     []string // whose pages may call the API, see ParseOrigins; default none
	CDN             bool     // whether redirects carry CDN-Cache-Control
	Limits          Limits
	Version         string // of the binary; for the pages and the OpenAPI document
	PasswordCost    int    // work factor of bcrypt; default bcrypt.DefaultCost, some 50 ms of a core

	AccessLogSample float64 // part of the requests that are logged, 0 to 1

	Guard      *overload.Guard       // Required: sheds what cannot be done in time.
	Registerer prometheus.Registerer // Required.
	Logger     *slog.Logger          // Required.
	Now        func() time.Time      // Default: time.Now.

	// LinkTime returns the time by which links and keys start and end, which is the
	// database's. known is false while that time is unknown: what depends on it is then
	// 503. Default: Now.
	LinkTime func() (now time.Time, known bool)
}

func (o *Options) validate() error {
	var problems []error
	required := func(name string, missing bool) {
		if missing {
			problems = append(problems, fmt.Errorf("api: Options.%s is required", name))
		}
	}
	required("Store", o.Store == nil)
	required("Peek", o.Peek == nil)
	required("Holds", o.Holds == nil)
	required("Archive", o.Archive == nil)
	required("Keys", o.Keys == nil)
	required("KeyKnown", o.KeyKnown == nil)
	required("History", o.History == nil)
	required("Blocklist", o.Blocklist == nil)
	required("Reports", o.Reports == nil)
	required("Minter", o.Minter == nil)
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
	o.PasswordCost = cmp.Or(o.PasswordCost, bcrypt.DefaultCost)
	return errors.Join(problems...)
}

// API holds what its handlers share. Make one with New.
type API struct {
	opts      Options
	rules     *store.Rules
	pages     *web.Pages
	metrics   *metrics
	site      *echo.Echo // redirects and pages
	resources *echo.Echo // everything below /api
	schemas   huma.Registry
	csrf      *http.CrossOriginProtection
	hashers   atomic.Int64  // new passwords that are hashed or wait for it
	hashing   chan struct{} // a place for each password that may be hashed at once
	drawing   chan struct{} // a place for each QR code that may be drawn at once
	outage    seldom
	busy      seldom
	bodies    atomic.Int64 // bytes of bodies that are in memory
	unlisted  sync.Once    // the proxy that the log tells of
	spent     spent        // clients at their limit of unknown codes
}

// New builds the handlers. It fails when Options are incomplete.
func New(opts Options) (*API, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	pages, err := web.New(web.Options{
		BaseURL:         opts.BaseURL,
		AnonymousCreate: opts.AnonymousCreate,
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
		hashing: make(chan struct{}, hashingPlaces),
		drawing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	if err := a.csrf.AddTrustedOrigin(opts.BaseURL); err != nil {
		return nil, fmt.Errorf("api: trust the form's origin: %w", err)
	}
	if err := a.route(); err != nil {
		return nil, err
	}
	base, err := ParseBaseURL(opts.BaseURL)
	if err != nil {
		return nil, err
	}
	a.rules, err = store.NewRules(store.RulesOptions{
		OwnHosts: []string{base.Host},
		Reserved: a.firstSegments(),
		Blocked:  opts.Blocked,
	})
	return a, err
}

// ParseBaseURL reads what short URLs begin with: http or https, a host, a port
// if it is not the scheme's own, and nothing behind them. The host comes back in
// ASCII, since short URLs stand in headers.
func ParseBaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no URL", s)
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, fmt.Errorf("%q must look like https://sho.rt", s)
	case u.User != nil, u.Path != "", u.RawQuery != "", u.Fragment != "", u.ForceQuery:
		return nil, fmt.Errorf("%q must end behind the host: no user, path, query or trailing slash", s)
	}
	if u.Host, err = asciiHost(u); err != nil {
		return nil, fmt.Errorf("%q has no valid host: %w", s, err)
	}
	if _, err := store.NewRules(store.RulesOptions{OwnHosts: []string{u.Host}}); err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	return u, nil
}

// asciiHost returns the host of u, with its port, as it stands in headers.
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

// isSchemePort reports whether u names the port that it would have without.
func isSchemePort(u *url.URL) bool {
	return u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443"
}

// shortURL returns the address that redirects to the link.
func (a *API) shortURL(code string) string { return a.opts.BaseURL + "/" + code }
