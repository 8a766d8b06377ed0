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

// maxBodies bounds the memory of all bodies that are being read or worked on. Slow
// clients may be many, and each may send MaxBodyLen.
const maxBodies = 64 << 20

// classOf returns what kind of work a route of the resources is, if it is any.
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

// oneLink is linkPath as echo writes it. What is below it belongs to one link as well.
var oneLink = strings.NewReplacer("{", ":", "}", "").Replace(linkPath)

// shedEarly refuses work that would find no room, before its body is read.
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

// leaveBody makes the answer go out at once: net/http would otherwise read the rest of
// the body first, to use the connection again.
func leaveBody(c echo.Context) { c.Response().Header().Set("Connection", "close") }

// admit does work of the resources once there is a place for it. It comes after the
// body was read, so that a client which is slow to send one takes no place meanwhile.
func (a *API) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		class, is := classOf(c.Request().Method, c.Path())
		if !is {
			return next(c)
		}
		return a.admitted(c.Request().Context(), class, func() error { return next(c) })
	}
}

// admitted does work of a class, or returns store.ErrShed.
func (a *API) admitted(ctx context.Context, class overload.Class, do func() error) error {
	done, err := a.opts.Guard.Admit(ctx, class)
	if err != nil {
		return err
	}
	defer done()
	return do()
}

// errBodies is why a body is not read to its end.
var errBodies = fmt.Errorf("%w: bodies take as much memory as they may", store.ErrShed)

// meteredBody is a body of which as much is read as there is memory for, beside those
// of other requests.
type meteredBody struct {
	io.Reader
	all   *atomic.Int64
	taken int64
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

// free gives the memory back.
func (m *meteredBody) free() { m.all.Add(-m.taken) }
