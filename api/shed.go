package api

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// classOf returns the overload class of a route. It returns false for routes without a
// class, such as the documentation.
func classOf(method, pattern string) (overload.Class, bool) {
	reads := method == http.MethodGet || method == http.MethodHead
	switch {
	case pattern == exportScreen: // takes a place for each page of the list
		return 0, false
	case reads && strings.HasPrefix(pattern, web.ConsolePath): // also shared pages
		return overload.List, true
	case reads && !strings.HasPrefix(pattern, apiPath):
		return 0, false
	case reads && strings.HasPrefix(pattern, oneLink) && !strings.HasSuffix(pattern, "/stats"):
		return overload.Read, true
	case reads:
		return overload.List, true
	}
	return overload.Write, true
}

// oneLink is linkPath in the syntax of echo. Paths below it also read only one link.
var oneLink = strings.NewReplacer("{", ":", "}", "").Replace(linkPath)

// shedEarly rejects a request before its body is read if the caller gets no place of its class.
func (a *API) shedEarly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		class, is := classOf(c.Request().Method, c.Path())
		if is && a.opts.Guard.Full(class, a.senderOf(c.Request())) {
			leaveBody(c)
			return store.ErrShed
		}
		return next(c)
	}
}

// senderOf returns the caller of a request for overload protection.
func (a *API) senderOf(r *http.Request) overload.Caller {
	who, known := r.Context().Value(callerKey{}).(*caller)
	switch {
	case !known:
		return overload.Caller{ID: ratelimit.ClientKey(a.clientAddr(r))}
	case who.Key == nil:
		return overload.Caller{ID: ratelimit.ClientKey(who.addr)}
	}
	return overload.Caller{ID: who.Key.Author(), Admin: who.Key.Can(store.ScopeAdmin)}
}

// leaveBody closes the connection after the answer if the request has a body. Otherwise
// net/http would first read the rest of the body, in order to reuse the connection.
func leaveBody(c echo.Context) {
	if c.Request().ContentLength != 0 {
		c.Response().Header().Set("Connection", "close")
	}
}

// admit runs next when its class has a free place. The body is already read, and the answer is
// written after the place is free again: a client that sends or reads slowly occupies no place
// of other callers.
func (a *API) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		class, is := classOf(c.Request().Method, c.Path())
		if !is {
			return next(c)
		}
		place, err := a.opts.Guard.Admit(c.Request().Context(), class, a.senderOf(c.Request()))
		if err != nil {
			return err
		}
		defer place.Done()
		held := &heldAnswer{ResponseWriter: c.Response().Writer}
		err = held.run(c, next)
		place.Free()
		return errors.Join(err, held.write())
	}
}

// heldAnswer is an answer in memory.
type heldAnswer struct {
	http.ResponseWriter
	status int // 0 while there is no answer
	body   bytes.Buffer
}

// run runs next with h in place of the writer of the response.
func (h *heldAnswer) run(c echo.Context, next echo.HandlerFunc) error {
	response := c.Response()
	response.Writer = h
	defer func() { response.Writer = h.ResponseWriter }()
	return next(c)
}

// WriteHeader implements http.ResponseWriter.
func (h *heldAnswer) WriteHeader(status int) { h.status = cmp.Or(h.status, status) }

// Write implements http.ResponseWriter.
func (h *heldAnswer) Write(b []byte) (int, error) { return h.body.Write(b) }

// write sends the answer, if there is one.
func (h *heldAnswer) write() error {
	if h.status == 0 {
		return nil
	}
	h.ResponseWriter.WriteHeader(h.status)
	_, err := h.body.WriteTo(h.ResponseWriter)
	return err
}
