package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// ParseAppURL parses the address of the console on a host of its own, as ParseBaseURL does. base is the base URL. Cookies
// ignore ports, so the hosts must differ.
func ParseAppURL(app string, base *url.URL) (*url.URL, error) {
	u, err := ParseBaseURL(app)
	if err != nil {
		return nil, err
	}
	own, err := store.CanonicalHost(base.Host)
	if err != nil {
		return nil, err
	}
	host, err := store.CanonicalHost(u.Host)
	switch {
	case err != nil:
		return nil, err
	case host == own:
		return nil, fmt.Errorf("%q must have another host than the short URLs", app)
	case u.Scheme != base.Scheme:
		return nil, fmt.Errorf("%q must begin with %s://, as the short URLs do", app, base.Scheme)
	}
	return u, nil
}

// appHost is the console on a host of its own.
type appHost struct {
	host      string // as in the Host of requests
	canonical string // see store.CanonicalHost
	router    *echo.Echo
}

// newAppHost returns the console on the host of AppURL, or nil without AppURL.
func (a *API) newAppHost(base *url.URL) (*appHost, error) {
	if a.opts.AppURL == "" {
		return nil, nil
	}
	u, err := ParseAppURL(a.opts.AppURL, base)
	if err != nil {
		return nil, err
	}
	canonical, err := store.CanonicalHost(u.Host)
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HTTPErrorHandler = a.unrouted
	toConsole := a.console(func(c echo.Context) error { return c.Redirect(http.StatusSeeOther, linksScreen) })
	e.Match(getHead, "/", toConsole)
	a.routeConsole(e)
	e.Match(getHead, "/api/v1/links/:code/qr", func(c echo.Context) error { // which pages of the console show
		a.serveResources(c.Response(), c.Request())
		return nil
	})
	static := a.page(echo.WrapHandler(a.pages.Static()))
	e.Match(getHead, "/static/*", static)
	e.Match(getHead, "/favicon.ico", static)
	e.Match(getHead, "/robots.txt", a.page(func(c echo.Context) error {
		a.setPolicy(c.Response().Header(), policyGone)
		return c.String(http.StatusOK, noRobots)
	}))
	return &appHost{u.Host, canonical, e}, nil
}

// isHost reports whether host is the host of the console, perhaps with a port, in capitals or with a dot at its end. A domain
// with a wildcard may include the host. A nil appHost has no host.
func (h *appHost) isHost(host string) bool {
	if h == nil || host == h.host {
		return h != nil
	}
	n := len(h.canonical)
	return len(host) >= n && strings.EqualFold(host[:n], h.canonical) && h.hasSpelling(host)
}

// hasSpelling reports whether host is another spelling of the host of the console. A nil appHost has none.
func (h *appHost) hasSpelling(host string) bool {
	if h == nil {
		return false
	}
	canonical, err := store.CanonicalHost(host)
	return err == nil && canonical == h.canonical
}

// routeToApp redirects GET requests for the console to its own host. It does not redirect forms: the console would reject
// them as forms of another website.
func (a *API) routeToApp(e *echo.Echo) {
	to := a.console(func(c echo.Context) error {
		return c.Redirect(http.StatusFound, a.opts.AppURL+c.Request().URL.RequestURI())
	})
	e.Match(getHead, web.ConsolePath, to)
	e.Match(getHead, web.ConsolePath+"*", to)
}

// consoleURL returns the start of the addresses of the console.
func (o *Options) consoleURL() string {
	if o.AppURL != "" {
		return o.AppURL
	}
	return o.BaseURL
}

// consoleProtection returns the protection of the forms of the console. Only pages of its own host may send them.
func (o *Options) consoleProtection() (*http.CrossOriginProtection, error) {
	p := http.NewCrossOriginProtection()
	if err := p.AddTrustedOrigin(o.consoleURL()); err != nil {
		return nil, errors.Join(errors.New("api: trust the origin of the console"), err)
	}
	return p, nil
}
