package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/store"
)

// MaxBodyLen is the longest request body in bytes.
const MaxBodyLen = 1 << 20

// maxFields is the most fields of a form. The forms of the pages have far fewer.
const maxFields = 64

// maxFormLen is the longest form of the home page in bytes.
const maxFormLen = smallBody

// takeBody reads the body of a route with a precheck. Before that, it checks from the headers
// that the caller may call the route and has not reached a limit. The body of any other route
// is not read.
func (a *API) takeBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		check, takes := a.prechecks[c.Request().Method+" "+c.Path()]
		if !takes {
			return next(c)
		}
		r := c.Request()
		who := callerOf(r.Context())
		charged, err := a.beforeBody(r.Context(), who, check)
		if err != nil {
			leaveBody(c)
			return err
		}
		body, free, err := a.readAll(c, who, MaxBodyLen)
		defer free()
		if err == nil {
			charged, err = a.afterBody(r.Context(), who, check, charged, body)
		}
		if err != nil {
			return withLimits(charged.headers, a.problem(r.Context(), err))
		}
		r = r.WithContext(context.WithValue(r.Context(), chargeKey{}, charged))
		r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, body))
		r.Body = io.NopCloser(bytes.NewReader(body))
		c.SetRequest(r)
		return next(c)
	}
}

// readAll reads a body of at most limit bytes. The caller of this function calls free when it no
// longer uses the body, also after an error.
func (a *API) readAll(c echo.Context, who *caller, limit int64) (body []byte, free func(), err error) {
	sent := c.Request()
	if sent.Body == nil || sent.Body == http.NoBody {
		return nil, func() {}, nil
	}
	tooLong := newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body must be at most %d bytes.", limit))
	if sent.ContentLength > limit {
		leaveBody(c)
		return nil, func() {}, tooLong
	}
	in := a.largeBodies
	if sent.ContentLength >= 0 && sent.ContentLength <= smallBody {
		in = a.smallBodies
	}
	r := &meteredBody{Reader: http.MaxBytesReader(c.Response().Writer, sent.Body, limit), room: in, parts: in.partsOf(who)}
	body, err = io.ReadAll(r)
	var netErr net.Error
	switch {
	case err == nil:
		return body, r.free, nil
	case errors.Is(err, errBodies), errors.As(err, new(*problem)):
		leaveBody(c)
		return nil, r.free, err
	case errors.As(err, new(*http.MaxBytesError)):
		err = tooLong
	case errors.As(err, &netErr) && netErr.Timeout():
		err = newProblem(http.StatusRequestTimeout, "The body did not arrive in time.")
	default:
		err = newProblem(http.StatusBadRequest, "The body is incomplete.")
	}
	return nil, r.free, err
}

// readForm reads a form of at most limit bytes. Unlike Request.ParseForm it ignores the
// query, because the link may forward it to the target.
func (a *API) readForm(c echo.Context, limit int64) (url.Values, error) {
	if kind, _, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type")); err != nil || kind != echo.MIMEApplicationForm {
		return nil, newProblem(http.StatusUnsupportedMediaType, "Send the form as "+echo.MIMEApplicationForm+".")
	}
	body, free, err := a.readAll(c, a.newCaller(a.clientAddr(c.Request()), nil), limit)
	defer free()
	if err != nil {
		return nil, err
	}
	if bytes.Count(body, []byte("&")) >= maxFields {
		return nil, newProblem(http.StatusUnprocessableEntity, fmt.Sprintf("The form has more than %d fields.", maxFields))
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "The form is not correctly encoded.")
	}
	return form, nil
}

// jsonOnly rejects a body that is compressed, or that is not declared as JSON. Browsers send a
// page's JSON to another site only after the site has allowed it, see crossOrigin. Without a
// Content-Type they would not ask. jsonOnly normalizes the media type for comparison (RFC 9110
// section 8.3.1).
func jsonOnly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		h := r.Header
		if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
			leaveBody(c)
			return newProblem(http.StatusUnsupportedMediaType, "Send the body without a Content-Encoding.")
		}
		kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
		if err == nil {
			h.Set("Content-Type", kind)
		}
		takesBody := r.Method == http.MethodPost || r.Method == http.MethodPatch
		sends := r.ContentLength != 0 || h.Get("Content-Type") != ""
		if takesBody && sends && (err != nil || kind != echo.MIMEApplicationJSON && !strings.HasSuffix(kind, "+json")) {
			leaveBody(c)
			return newProblem(http.StatusUnsupportedMediaType, "Send the body as "+echo.MIMEApplicationJSON+".")
		}
		return next(c)
	}
}

// wholeQuery rejects a malformed query, and a query with a parameter twice. Go would drop the
// malformed part, and the second value. Either might be a filter.
func wholeQuery(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().URL.RawQuery == "" {
			return next(c)
		}
		query, err := url.ParseQuery(c.Request().URL.RawQuery)
		if err != nil {
			return newProblem(http.StatusBadRequest, "The query is not correctly encoded.")
		}
		var twice []error
		for _, name := range slices.Sorted(maps.Keys(query)) {
			if len(query[name]) > 1 {
				twice = append(twice, &store.FieldError{Field: name, Reason: "must not appear twice"})
			}
		}
		if err := store.JoinInvalid(twice...); err != nil {
			return ofQuery(err)
		}
		return next(c)
	}
}
