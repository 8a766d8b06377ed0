package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo/v4"
)

// RequestTimeout bounds an API request after its body was read. The store's own timeout of
// writes must be shorter, so that the store reports whether the write succeeded.
const RequestTimeout = 8 * time.Second

// Paths of the resources, in the syntax of OpenAPI.
const (
	apiPath       = "/api/v1/"
	linksPath     = apiPath + "links"
	linkPath      = linksPath + "/{code}"
	blocklistPath = apiPath + "blocklist"
	reportsPath   = apiPath + "reports"
)

// Routes of visits. Paths on longVisitRoute have a slash after the code, see resolveVisit; their
// requests are counted under visitRoute.
const (
	visitRoute     = "/:code"
	longVisitRoute = visitRoute + "/*"
)

// route builds the routers: for redirects and pages of the default domain and of others, for paths below /api, and for
// the host of the console.
func (a *API) route(base *url.URL) error {
	var err error
	if a.metrics, err = newMetrics(a.opts.Registerer, a.access); err != nil {
		return fmt.Errorf("api: register metrics: %w", err)
	}
	if a.app, err = a.newAppHost(base); err != nil {
		return fmt.Errorf("api: Options.AppURL: %w", err)
	}
	a.visitors = a.visitorRouter()
	a.onDomains = a.domainRouter()
	if a.resources, err = a.resourceRouter(); err != nil {
		return err
	}
	a.metrics.add(a.visitors.Routes())
	a.metrics.add(a.onDomains.Routes())
	if a.app != nil {
		a.metrics.add(a.app.router.Routes())
	}
	a.metrics.add(a.resources.Routes())
	return nil
}

// ServeHTTP answers requests of the public listener.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, err := a.domainOfHost(r.Host)
	onConsole := err != nil && errors.Is(err, errConsoleHost)
	switch {
	case d != nil:
		a.serveDomain(w, r, err)
		return
	case err != nil && !onConsole:
		a.refuseHost(w, r, err)
		return
	case a.scheme == "https":
		w.Header()["Strict-Transport-Security"] = httpsOnly
	}
	if r.Header[requestIDHeader] != nil && a.sentID(r) != "" {
		r = a.identify(w, r)
	}
	if onConsole {
		a.app.router.ServeHTTP(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		a.serveResources(w, r)
		return
	}
	a.visitors.ServeHTTP(w, r)
}

// serveResources answers a request below /api.
func (a *API) serveResources(w http.ResponseWriter, r *http.Request) {
	r = a.identify(w, r)
	if a.crossOrigin(w, r) {
		return
	}
	if r.Method == http.MethodHead { // handled as GET; net/http drops the body
		get := *r
		get.Method = http.MethodGet
		r = &get
	}
	a.resources.ServeHTTP(w, r)
}

// getHead are the methods that read.
var getHead = []string{http.MethodGet, http.MethodHead}

// visitorRouter serves redirects and pages of the default domain.
func (a *API) visitorRouter() *echo.Echo {
	e := a.newVisitorRouter(func(h echo.HandlerFunc) echo.HandlerFunc { return h })
	e.Match(getHead, "/", a.page(a.home))
	e.POST("/", a.page(a.identifying(a.shorten)))
	a.routeShares(e)
	if a.app == nil {
		a.routeConsole(e)
	} else {
		a.routeToApp(e)
	}
	e.Match(getHead, "/robots.txt", a.page(echo.WrapHandler(a.pages.Static())))
	return e
}

// newVisitorRouter returns a router with the routes that every host has: links and static
// files. around wraps the handlers of links. The router wraps each handler in its middleware
// once. Echo's own Use would wrap it again for every request.
func (a *API) newVisitorRouter(around echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = a.unrouted
	visit := func(h echo.HandlerFunc) echo.HandlerFunc { return a.metrics.visits(visitRoute, a.answered(around(h))) }
	for _, path := range []string{visitRoute, longVisitRoute} {
		e.Match(getHead, path, visit(a.redirect))
		e.POST(path, visit(a.identifying(a.unlock)))
	}
	static := a.page(echo.WrapHandler(a.pages.Static()))
	e.Match(getHead, "/static/*", static)
	e.Match(getHead, "/favicon.ico", static)
	if len(a.opts.SecurityContacts) > 0 {
		e.Match(getHead, securityTxtPath, a.page(a.securityTxt))
	}
	return e
}

// unrouted answers and counts a request without a route.
func (a *API) unrouted(err error, c echo.Context) {
	a.visitorError(err, c)
	a.metrics.unrouted.count(c.Response().Status)
}

// answered answers the errors and panics of a handler of redirects and pages.
func (a *API) answered(h echo.HandlerFunc) echo.HandlerFunc {
	return answering(a.visitorError, a.recover(h))
}

// page is the middleware of pages.
func (a *API) page(h echo.HandlerFunc) echo.HandlerFunc {
	return a.metrics.middleware(compress(a.answered(withTimeout(h))))
}

// visitorError answers an error on the routes of redirects and pages.
func (a *API) visitorError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	ctx := a.identified(c)
	p := a.routerProblem(ctx, err)
	policy := policyError
	if p.Status == http.StatusNotFound {
		policy = policyUnknown
	}
	a.ignore(ctx, a.answer(c, policy, p))
}

func (a *API) resourceRouter() (*echo.Echo, error) {
	e := echo.New()
	e.HTTPErrorHandler = a.resourceError
	answered := func(next echo.HandlerFunc) echo.HandlerFunc { return answering(a.resourceError, next) }
	e.Use(a.metrics.middleware, answered, a.recover, noStore, wholeQuery, jsonOnly, a.authenticate, a.shedEarly, a.takeBody, withTimeout, a.admit, compress)
	return e, a.describe(e)
}

// resourceError answers an error on the routes below /api.
func (a *API) resourceError(err error, c echo.Context) {
	if !c.Response().Committed {
		ctx := c.Request().Context()
		a.ignore(ctx, a.routerProblem(ctx, err).write(c.Response()))
	}
}

// compress compresses answers with gzip or zstd if the client accepts it.
func compress(next echo.HandlerFunc) echo.HandlerFunc {
	compressed := echo.WrapMiddleware(func(h http.Handler) http.Handler { return gzhttp.GzipHandler(h) })(next)
	return func(c echo.Context) error {
		response := c.Response()
		defer c.SetResponse(response) // an answer for an error of next is not compressed
		return compressed(c)
	}
}

// answering writes the answer for an error of next. The middleware around it then sees
// the status.
func answering(answer echo.HTTPErrorHandler, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := next(c); err != nil {
			answer(err, c)
		}
		return nil
	}
}

// ignore logs the error of writing an answer. It usually means that the client
// disconnected.
func (a *API) ignore(ctx context.Context, err error) {
	if err != nil {
		a.opts.Logger.DebugContext(ctx, "answer could not be sent", "err", err)
	}
}

// routerProblem returns the problem for an error, including errors of echo.
func (a *API) routerProblem(ctx context.Context, err error) *problem {
	var routing *echo.HTTPError
	if !errors.As(err, &routing) {
		return a.problem(ctx, err)
	}
	switch routing.Code {
	case http.StatusMethodNotAllowed:
		return newProblem(routing.Code, "This address does not support the method.")
	case http.StatusNotFound:
		return newProblem(routing.Code, "This address does not exist.")
	}
	return newProblem(routing.Code, "")
}

// recover turns a panic into a 500 and logs it with its stack.
func (a *API) recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v)
			default:
				a.opts.Logger.ErrorContext(a.identified(c), "request panicked", "route", c.Path(), "err", fmt.Sprint(v), "stack", string(debug.Stack()))
				err = newProblem(http.StatusInternalServerError, "Something went wrong on our side.")
			}
		}()
		return next(c)
	}
}

// withTimeout gives the request a deadline. A file of links has a deadline for each page of the list.
func withTimeout(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Path() == exportScreen {
			return next(c)
		}
		ctx, cancel := context.WithTimeout(c.Request().Context(), RequestTimeout)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// noStore forbids caches to store answers of the API. A handler may override it.
func noStore(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		setNoStore(c.Response().Header())
		return next(c)
	}
}

// httpsOnly makes browsers use https alone for this host, for a year after each answer. Other
// hosts of the domain are not concerned. Never modify it: all answers share it.
var httpsOnly = []string{"max-age=31536000"}

func setNoStore(h http.Header) {
	h["Cache-Control"], h["X-Content-Type-Options"] = noStoreValue, noSniffValue
}

// Values of setNoStore. Never modify them: all answers share them.
var noStoreValue, noSniffValue = []string{"no-store"}, []string{"nosniff"}
