package api

import (
	"net/http"
	"strings"
)

// ForFastly translates the caching headers for Fastly. Fastly reads Surrogate-Control
// instead of CDN-Cache-Control. In Cache-Control only private prevents caching, and it does
// so even if Surrogate-Control allows caching. Source:
// https://www.fastly.com/documentation/guides/concepts/cache/cache-freshness/
func ForFastly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&fastlyWriter{ResponseWriter: w}, r)
	})
}

// fastlyWriter translates the headers just before they are sent.
type fastlyWriter struct {
	http.ResponseWriter
	written bool
}

// Unwrap lets http.ResponseController reach the original writer.
func (w *fastlyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *fastlyWriter) WriteHeader(status int) {
	if !w.written && status >= http.StatusOK {
		w.written = true
		forFastly(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *fastlyWriter) Write(b []byte) (int, error) {
	if !w.written {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

func forFastly(h http.Header) {
	browser, cdn := h.Get("Cache-Control"), h.Get("Cdn-Cache-Control")
	switch {
	case strings.Contains(cdn, "max-age"):
		h.Set("Surrogate-Control", cdn)
		h.Set("Cache-Control", strings.TrimPrefix(browser, "private, "))
	case !strings.Contains(browser, "public"):
		h.Set("Cache-Control", "private, no-store")
	}
}
