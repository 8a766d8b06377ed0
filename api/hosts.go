package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// Hosts finds the domains of short links besides the default one, in memory. The domains are
// shared: the caller must not change them.
type Hosts interface {
	// Find returns the domain that has a host, in any state. host is the Host of a request.
	// known is false if no domain has the host, or if it is not in memory yet, see Complete.
	Find(host string) (d *domains.Domain, known bool)

	// Domain returns the domain with an ID, in any state.
	Domain(id string) (d *domains.Domain, known bool)

	// Complete reports whether all domains are in memory.
	Complete() bool

	// AnyVerified reports whether a domain in memory, in any state, has a verified host.
	AnyVerified() bool
}

// errUnknownHost is the error for a host that no active domain has. Strangers must not learn
// whether a domain in another state has the host.
var errUnknownHost = errors.New("no active domain has this host")

// errConsoleHost is the error for the host of the console.
var errConsoleHost = errors.New("the console has this host")

// domainOfHost returns the domain of a request's host, and nil for the default domain. Until a
// host of a domain is verified, every host without a domain is the default one, so that a server
// on a laptop or behind a health check by address needs no setting. While some domains are not in
// memory, the error for a host without an active domain is store.ErrUnavailable.
// For the console on a host of its own it is errConsoleHost.
func (a *API) domainOfHost(host string) (*domains.Domain, error) {
	if host == a.host {
		return nil, nil
	}
	if a.app.isHost(host) {
		return nil, errConsoleHost
	}
	d, known := a.opts.Hosts.Find(host)
	switch {
	case known && d.State == store.DomainActive:
		return d, nil
	case known && !a.opts.Hosts.Complete():
		return d, store.ErrUnavailable // a domain that is not in memory may serve the host by a wildcard
	case known:
		return d, errUnknownHost
	case a.app.hasSpelling(host):
		return nil, errConsoleHost
	case a.isBaseHost(host):
		return nil, nil
	case !a.opts.Hosts.Complete():
		return nil, store.ErrUnavailable
	case !a.opts.Hosts.AnyVerified():
		return nil, nil
	}
	return nil, errUnknownHost
}

// isBaseHost reports whether host is another spelling of the host of the base URL. A server whose
// base URL is on this machine is reached under all names of the machine.
func (a *API) isBaseHost(host string) bool {
	canonical, err := store.CanonicalHost(host)
	return err == nil && (canonical == a.canonicalHost || store.IsLoopback(canonical) && store.IsLoopback(a.canonicalHost))
}

// refuseHost answers a request for a host without links. Only the files of its error page are
// served.
func (a *API) refuseHost(w http.ResponseWriter, r *http.Request, err error) {
	if strings.HasPrefix(r.URL.Path, "/static/") {
		a.pages.Static().ServeHTTP(w, r)
		return
	}
	r = a.identify(w, r)
	a.ignore(r.Context(), a.answerWith(a.domainPages, a.visitors.NewContext(r, w), policyError, a.hostProblem(r, err)))
}

func (a *API) hostProblem(r *http.Request, err error) *problem {
	if errors.Is(err, errUnknownHost) {
		return newProblem(http.StatusMisdirectedRequest, "No short links are served under this host.")
	}
	return a.problem(r.Context(), err)
}

// domainKey is the key of the request's domain in an echo.Context.
const domainKey = "domain"

// onDomain calls next with the domain of the request's host, see domainOf.
func (a *API) onDomain(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		d, err := a.domainOfHost(c.Request().Host)
		if err == nil && d == nil {
			err = errUnknownHost // the domain was removed after the request was routed
		}
		if err != nil {
			return a.answerWith(a.domainPages, c, policyError, a.hostProblem(c.Request(), err))
		}
		c.Set(domainKey, d)
		return next(c)
	}
}

// domainOf returns the domain of the request, and nil for the default domain.
func domainOf(c echo.Context) *domains.Domain {
	d, _ := c.Get(domainKey).(*domains.Domain)
	return d
}

// keyOn returns the key of a code on a domain.
func keyOn(d *domains.Domain, code string) string {
	if d == nil {
		return code
	}
	return store.LinkKey(d.ID, code)
}

// domainRouter serves the hosts of custom domains: links, their pages, and files for programs.
// The API, the home page and everything with a cookie are only on the default domain.
func (a *API) domainRouter() *echo.Echo {
	e := a.newVisitorRouter(a.onDomain)
	page := func(h echo.HandlerFunc) echo.HandlerFunc { return a.page(a.onDomain(h)) }
	e.Match(getHead, "/", page(a.domainRoot))
	e.Match(getHead, "/robots.txt", page(a.domainRobots))
	e.Match(getHead, "/.well-known/apple-app-site-association", page(a.appleAssociation))
	e.Match(getHead, "/.well-known/assetlinks.json", page(a.assetLinks))
	e.Match(getHead, domains.ChallengePath+":token", a.page(a.challenge))
	return e
}

// serveDomain answers a request for the host of a custom domain. While the domain is not active,
// only the answers for verification are served. Other requests get the answer of an unknown host.
func (a *API) serveDomain(w http.ResponseWriter, r *http.Request, inactive error) {
	if inactive != nil {
		token, asks := strings.CutPrefix(r.URL.Path, domains.ChallengePath)
		if _, ok := a.opts.Domains.Challenge(r.Host, token); !asks || !ok {
			a.refuseHost(w, r, inactive)
			return
		}
	}
	a.onDomains.ServeHTTP(w, r)
}

// domainRoot answers the path / of a custom domain.
func (a *API) domainRoot(c echo.Context) error {
	if to := domainOf(c).Root; to.URL != "" {
		return a.redirectAway(c, to, policyGone)
	}
	return a.answer(c, policyUnknown, newProblem(http.StatusNotFound, "This host serves short links. It has no home page."))
}

// domainRobots answers /robots.txt of a custom domain.
func (a *API) domainRobots(c echo.Context) error {
	tagDomain(c)
	if domainOf(c).Robots == store.RobotsDefault {
		a.pages.Static().ServeHTTP(c.Response(), c.Request())
		return nil
	}
	a.setPolicy(c.Response().Header(), policyGone)
	return c.String(http.StatusOK, noRobots)
}

// appleAssociation answers with the file that opens links of the domain in apps of Apple devices.
func (a *API) appleAssociation(c echo.Context) error {
	return a.domainFile(c, domainOf(c).AppleAssociation)
}

// assetLinks answers with the file that opens links of the domain in apps of Android.
func (a *API) assetLinks(c echo.Context) error { return a.domainFile(c, domainOf(c).AssetLinks) }

// domainFile answers with a file of JSON of a domain, or 404 if text is empty.
func (a *API) domainFile(c echo.Context, text string) error {
	tagDomain(c)
	if text == "" {
		return a.answer(c, policyUnknown, newProblem(http.StatusNotFound, "This host has no such file."))
	}
	h := c.Response().Header()
	a.setPolicy(h, policyGone)
	h["X-Content-Type-Options"] = noSniffValue
	return c.Blob(http.StatusOK, "application/json", []byte(text))
}

// noRobots forbids robots all paths (RFC 9309).
const noRobots = "User-agent: *\nDisallow: /\n"

// redirectAway redirects a visit without a live link to an address of the domain. The caller may
// have set the tags of a link.
func (a *API) redirectAway(c echo.Context, to store.DomainRedirect, policy cachePolicy) error {
	a.setPolicy(c.Response().Header(), policy)
	tagDomain(c)
	return c.Redirect(to.Status, to.URL)
}

// tagDomain gives the answer the tag of its domain, unless it has the tags of a link, which
// include the domain. An answer of the default domain gets no tag.
func tagDomain(c echo.Context) {
	h, d := c.Response().Header(), domainOf(c)
	if d != nil && h["Cache-Tag"] == nil {
		tag := []string{"domain-" + d.ID}
		h["Surrogate-Key"], h["Cache-Tag"] = tag, tag
	}
}

// pagesOf returns the pages for the domain of the request.
func (a *API) pagesOf(c echo.Context) *web.Pages {
	if domainOf(c) == nil {
		return a.pages
	}
	return a.domainPages
}

// shortURL returns the short URL of the link with a key, on the primary host of its domain. It is
// empty if the domain is not in memory.
func (a *API) shortURL(key string) string {
	id, code := store.SplitKey(key)
	if id == "" {
		return a.opts.BaseURL + "/" + code
	}
	d, known := a.opts.Hosts.Domain(id)
	if !known {
		return ""
	}
	return a.scheme + "://" + d.Host + a.port + "/" + code
}

// noHosts are the Hosts of a server without custom domains.
type noHosts struct{}

func (noHosts) Find(string) (*domains.Domain, bool)   { return nil, false }
func (noHosts) Domain(string) (*domains.Domain, bool) { return nil, false }
func (noHosts) Complete() bool                        { return true }
func (noHosts) AnyVerified() bool                     { return false }
