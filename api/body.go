package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// MaxBodyLen is the longest request body in bytes.
const MaxBodyLen = 1 << 20

// maxFields is the most fields of a form. The forms of the pages have far fewer.
const maxFields = 64

// readBody reads the whole body before the handler runs. All routes then answer a body
// that is too large, too slow or incomplete in the same way.
func (a *API) readBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Body == nil || r.Body == http.NoBody {
			return next(c)
		}
		body, free, err := a.readAll(c, MaxBodyLen)
		defer free()
		if err != nil {
			return err
		}
		r.Body = &wholeBody{Reader: bytes.NewReader(body), all: body}
		return next(c)
	}
}

// wholeBody is a body in memory.
type wholeBody struct {
	io.Reader
	all []byte
}

// Close implements io.Closer.
func (*wholeBody) Close() error { return nil }

// bodyOf returns the body that readBody read; nil without a body.
func bodyOf(r *http.Request) []byte {
	if whole, ok := r.Body.(*wholeBody); ok {
		return whole.all
	}
	return nil
}

// readAll reads a body of at most limit bytes. The caller calls free when it no longer
// uses the body, also after an error.
func (a *API) readAll(c echo.Context, limit int64) (body []byte, free func(), err error) {
	r := &meteredBody{Reader: http.MaxBytesReader(c.Response().Writer, c.Request().Body, limit), all: &a.bodies}
	body, err = io.ReadAll(r)
	var netErr net.Error
	switch {
	case err == nil:
		return body, r.free, nil
	case errors.Is(err, errBodies):
		leaveBody(c)
		return nil, r.free, err
	case errors.As(err, new(*http.MaxBytesError)):
		err = newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body must be at most %d bytes.", limit))
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
	body, free, err := a.readAll(c, limit)
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

// jsonOnly rejects a body that is compressed or is not JSON. It normalizes the media type
// for comparison (RFC 9110 section 8.3.1).
func jsonOnly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Request().Header
		if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
			return newProblem(http.StatusUnsupportedMediaType, "Send the body without a Content-Encoding.")
		}
		kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
		if err == nil {
			h.Set("Content-Type", kind)
		}
		takesBody := c.Request().Method == http.MethodPost || c.Request().Method == http.MethodPatch
		if takesBody && h.Get("Content-Type") != "" && kind != echo.MIMEApplicationJSON && !strings.HasSuffix(kind, "+json") {
			return newProblem(http.StatusUnsupportedMediaType, "Send the body as "+echo.MIMEApplicationJSON+".")
		}
		return next(c)
	}
}

// wholeQuery rejects a malformed query. Go would drop the malformed part, which might be a
// filter.
func wholeQuery(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, err := url.ParseQuery(c.Request().URL.RawQuery); err != nil {
			return newProblem(http.StatusBadRequest, "The query is not correctly encoded.")
		}
		return next(c)
	}
}
