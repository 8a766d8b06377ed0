package api

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"
)

// MaxBodyLen is the longest request body in bytes.
const MaxBodyLen = 1 << 20

// readBody reads the whole body before any handler, so that one that is too
// large, too slow or broken on its way is answered alike everywhere.
func (a *API) readBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Body == nil || r.Body == http.NoBody {
			return next(c)
		}
		body, err := io.ReadAll(http.MaxBytesReader(c.Response().Writer, r.Body, MaxBodyLen))
		if err != nil {
			return bodyProblem(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return next(c)
	}
}

// bodyProblem tells why a body could not be read.
func bodyProblem(err error) *problem {
	var (
		tooLarge *http.MaxBytesError
		netErr   net.Error
	)
	switch {
	case errors.As(err, &tooLarge):
		return newProblem(http.StatusRequestEntityTooLarge, "The body must be at most 1 MiB.")
	case errors.As(err, &netErr) && netErr.Timeout():
		return newProblem(http.StatusRequestTimeout, "The body did not arrive in time.")
	}
	return newProblem(http.StatusBadRequest, "The body could not be read to its end.")
}
