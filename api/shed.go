package api

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/store"
)

// maxBodies bounds the memory of all bodies that are being read or worked on. Slow
// clients may be many, and each may send MaxBodyLen.
const maxBodies = 64 << 20

// quickFailure is how soon an error says nothing of how much there is to do.
const quickFailure = 100 * time.Millisecond

// classOf returns what kind of work a route of the resources is, if it is any.
func classOf(method, pattern string) (overload.Class, bool) {
	reads := method == http.MethodGet || method == http.MethodHead
	switch {
	case reads && !strings.HasPrefix(pattern, apiPath):
		return 0, false
	case reads && pattern != oneLink:
		return overload.Report, true
	}
	return overload.Write, true
}

// oneLink is linkPath as echo writes it.
var oneLink = strings.NewReplacer("{", ":", "}", "").Replace(linkPath)

// shedEarly refuses work that would find no room, before its body is read.
func (a *API) shedEarly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		class, is := classOf(c.Request().Method, c.Path())
		if !is || !a.opts.Guard.Short(class) {
			return next(c)
		}
		done, err := a.opts.Guard.Admit(class)
		if err == nil { // there is room again
			done(false)
			return next(c)
		}
		leaveBody(c)
		return err
	}
}

// leaveBody makes the answer go out at once: net/http would otherwise read the rest of
// the body first, to use the connection again.
func leaveBody(c echo.Context) { c.Response().Header().Set("Connection", "close") }

// admit does work of the resources as far as there is room. It comes after the body
// was read: whoever is slow to send one takes nobody's place meanwhile.
func (a *API) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		class, is := classOf(c.Request().Method, c.Path())
		if !is {
			return next(c)
		}
		return a.admitted(class, func() (failed bool, err error) {
			err = next(c)
			return c.Response().Status >= http.StatusInternalServerError, err
		})
	}
}

// admitted does work of a class, or refuses it at once. do reports whether it failed.
func (a *API) admitted(class overload.Class, do func() (failed bool, err error)) error {
	done, err := a.opts.Guard.Admit(class)
	if err != nil {
		return err
	}
	began, telling := time.Now(), false // a panic is not
	defer func() { done(telling) }()
	failed, err := do()
	telling = err == nil && !failed || time.Since(began) > quickFailure
	return err
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
