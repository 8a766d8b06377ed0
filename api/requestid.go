package api

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// requestIDHeader carries the id of a request, in the request and in the answer.
const requestIDHeader = "X-Request-Id"

// maxRequestIDLen is the longest id in bytes that is accepted from a proxy.
const maxRequestIDLen = 128

type requestIDKey struct{}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// identify gives the request and its answer an id: the id that a trusted proxy sent, else a
// new one. Redirects from memory have an id only if a proxy sent one: creating an id would
// double their cost.
func (a *API) identify(w http.ResponseWriter, r *http.Request) *http.Request {
	id := a.sentID(r)
	if id == "" {
		id = rand.Text()
	}
	w.Header()[requestIDHeader] = []string{id}
	return r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
}

// identified gives the request of a page or a visit an id if it has none. It returns the
// request's context.
func (a *API) identified(c echo.Context) context.Context {
	if c.Response().Header()[requestIDHeader] == nil {
		c.SetRequest(a.identify(c.Response(), c.Request()))
	}
	return c.Request().Context()
}

// identifying gives each request an id before next runs. Other requests of pages and visits
// get an id only when they fail.
func (a *API) identifying(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		a.identified(c)
		return next(c)
	}
}

// sentID returns the id that a trusted proxy sent with the request, or "".
func (a *API) sentID(r *http.Request) string {
	sent := r.Header[requestIDHeader]
	if len(sent) != 1 || !isRequestID(sent[0]) || !a.opts.Clients.FromProxy(r) {
		return ""
	}
	return sent[0]
}

// isRequestID reports whether s is safe in logs and headers.
func isRequestID(s string) bool {
	const signs = "-._~+/=:"
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.Contains(signs, string(c)) {
			return false
		}
	}
	return s != "" && len(s) <= maxRequestIDLen
}

// instanceOf returns the instance of a problem (RFC 9457 section 3.1.5), or "" for a request
// without an id.
func instanceOf(id string) string {
	if id == "" {
		return ""
	}
	return "urn:terse:request:" + id
}
