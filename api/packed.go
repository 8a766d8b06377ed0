package api

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo/v4"
)

// packed is a file in memory that is compressed once, not for each request. Safe for concurrent
// use.
type packed struct {
	contentType, cacheControl string
	gzip                      []byte
	plain                     func() ([]byte, error)
}

// pack compresses a file.
func pack(contentType, cacheControl string, plain []byte) (*packed, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(plain)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("api: compress a file: %w", err)
	}
	return &packed{contentType, cacheControl, b.Bytes(), func() ([]byte, error) { return plain, nil }}, nil
}

// packedAlready returns a file that is already compressed. It is decompressed when the first
// client that does not accept gzip asks for it.
func packedAlready(contentType, cacheControl string, compressed []byte) *packed {
	return &packed{contentType, cacheControl, compressed, sync.OnceValues(func() ([]byte, error) {
		z, err := gzip.NewReader(bytes.NewReader(compressed))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	})}
}

// serve answers a request for the file.
func (p *packed) serve(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Content-Type", p.contentType)
	h.Set("Cache-Control", p.cacheControl)
	h.Add("Vary", "Accept-Encoding")
	h.Set(gzhttp.HeaderNoCompression, "true") // for the middleware, which removes it
	body := p.gzip
	if acceptsGzip(c.Request()) {
		h.Set("Content-Encoding", "gzip")
	} else {
		var err error
		if body, err = p.plain(); err != nil {
			return err
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.Response().WriteHeader(http.StatusOK)
	_, err := c.Response().Write(body)
	return err
}

// acceptsGzip reports whether a client accepts gzip (RFC 9110 section 12.5.3). It ignores
// preferences except for q=0, which rejects a coding.
func acceptsGzip(r *http.Request) bool {
	accepts := false
	for coding := range strings.SplitSeq(strings.Join(r.Header["Accept-Encoding"], ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		name = strings.TrimSpace(name)
		if name != "*" && !strings.EqualFold(name, "gzip") {
			continue
		}
		_, q, weighted := strings.Cut(weight, "=")
		n, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		accepts = !weighted || err == nil && n > 0
		if name != "*" {
			return accepts
		}
	}
	return accepts
}
