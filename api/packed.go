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

// packed is a file in memory. It is made and compressed once, when the first client asks for it.
// Safe for concurrent use.
type packed struct {
	contentType, cacheControl string
	gzip, plain               func() ([]byte, error)
}

// pack returns a file with the bytes that plain returns.
func pack(contentType, cacheControl string, plain func() ([]byte, error)) *packed {
	plain = sync.OnceValues(plain)
	return &packed{contentType, cacheControl, sync.OnceValues(func() ([]byte, error) {
		text, err := plain()
		if err != nil {
			return nil, err
		}
		return gzipped(text)
	}), plain}
}

// packedAlready returns a file that is already compressed.
func packedAlready(contentType, cacheControl string, compressed []byte) *packed {
	return &packed{contentType, cacheControl, func() ([]byte, error) { return compressed, nil }, sync.OnceValues(func() ([]byte, error) {
		z, err := gzip.NewReader(bytes.NewReader(compressed))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	})}
}

func gzipped(plain []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(plain); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// serve answers a request for the file.
func (p *packed) serve(c echo.Context) error {
	h := c.Response().Header()
	content, encoding := p.plain, ""
	if acceptsGzip(c.Request()) {
		content, encoding = p.gzip, "gzip"
	}
	body, err := content()
	if err != nil {
		return fmt.Errorf("api: make %s: %w", c.Path(), err)
	}
	h.Set("Content-Type", p.contentType)
	h.Set("Cache-Control", p.cacheControl)
	h.Add("Vary", "Accept-Encoding")
	h.Set(gzhttp.HeaderNoCompression, "true") // for the middleware, which removes it
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.Response().WriteHeader(http.StatusOK)
	_, err = c.Response().Write(body)
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
