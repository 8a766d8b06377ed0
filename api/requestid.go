package api

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// requestIDHeader carries the id of a request, both ways.
const requestIDHeader = "X-Request-Id"

// maxRequestIDLen is the longest id that is taken from a proxy.
const maxRequestIDLen = 128

type requestIDKey struct{}

// RequestID returns the id of the request to which ctx belongs, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// identify gives the request an id, and the answer the same: that which a trusted
// proxy sent, else a new one. Redirects from memory have one only when a proxy sent
// it: to make one would cost them as much as all the rest.
func (a *API) identify(w http.ResponseWriter, r *http.Request) *http.Request {
	id := a.sentID(r)
	if id == "" {
		id = rand.Text()
	}
	w.Header()[requestIDHeader] = []string{id}
	return r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
}

// identified gives the request of a page or a visit an id, unless it has one, and
// returns the request's context.
func (a *API) identified(c echo.Context) context.Context {
	if c.Response().Header()[requestIDHeader] == nil {
		c.SetRequest(a.identify(c.Response(), c.Request()))
	}
	return c.Request().Context()
}

// identifying gives requests an id before they are worked on, not only once they fail.
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

// isRequestID reports whether s can stand in logs and headers as it is.
func isRequestID(s string) bool {
	const signs = "-._~+/=:"
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.Contains(signs, string(c)) {
			return false
		}
	}
	return s != "" && len(s) <= maxRequestIDLen
}

// instanceOf returns what names the occurrence of a problem in an answer (RFC 9457
// section 3.1.5), or "" for a request without an id.
func instanceOf(id string) string {
	if id == "" {
		return ""
	}
	return "urn:terse:request:" + id
}
