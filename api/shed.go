package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/store"
)

// maxBodies bounds the total bytes of all request bodies in memory. There may be many slow
// clients, and each may send MaxBodyLen.
const maxBodies = 64 << 20

// classOf returns the overload class of a route. It returns false for routes without a
// class, such as the documentation.
func classOf(method, pattern string) (overload.Class, bool) {
	reads := method == http.MethodGet || method == http.MethodHead
	switch {
	case reads && !strings.HasPrefix(pattern, apiPath):
		return 0, false
	case reads && strings.HasPrefix(pattern, oneLink):
		return overload.Read, true
	case reads:
		return overload.List, true
	}
	return overload.Write, true
}

// oneLink is linkPath in the syntax of echo. Paths below it also read only one link.
var oneLink = strings.NewReplacer("{", ":", "}", "").Replace(linkPath)

// shedEarly rejects a request before its body is read if its class is full.
func (a *API) shedEarly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		class, is := classOf(c.Request().Method, c.Path())
		if is && a.opts.Guard.Full(class) {
			leaveBody(c)
			return store.ErrShed
		}
		return next(c)
	}
}

// leaveBody closes the connection after the answer. Otherwise net/http would first read the
// rest of the body, in order to reuse the connection.
func leaveBody(c echo.Context) { c.Response().Header().Set("Connection", "close") }

// admit runs next when its class has a free place. The body is already read: a client that
// sends its body slowly occupies no place.
func (a *API) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		class, is := classOf(c.Request().Method, c.Path())
		if !is {
			return next(c)
		}
		return a.admitted(c.Request().Context(), class, func() error { return next(c) })
	}
}

// admitted runs do with a place of the class. It returns store.ErrShed if no place becomes
// free in time.
func (a *API) admitted(ctx context.Context, class overload.Class, do func() error) error {
	done, err := a.opts.Guard.Admit(ctx, class)
	if err != nil {
		return err
	}
	defer done()
	return do()
}

// errBodies rejects a body because all bodies together exceed maxBodies.
var errBodies = fmt.Errorf("%w: request bodies use too much memory", store.ErrShed)

// meteredBody counts the bytes of a body against maxBodies. Read fails when the total
// exceeds it.
type meteredBody struct {
	io.Reader
	all   *atomic.Int64 // bytes of all bodies
	taken int64         // bytes of this body
}

// Read implements io.Reader.
func (m *meteredBody) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.taken += int64(n)
	if m.all.Add(int64(n)) > maxBodies {
		return n, errBodies
	}
	return n, err
}

// free subtracts the body from the total.
func (m *meteredBody) free() { m.all.Add(-m.taken) }
