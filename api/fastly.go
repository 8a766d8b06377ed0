package api

import (
	"net/http"
	"strings"
)

// ForFastly tells Fastly what answers tell other CDNs. Fastly does not know
// CDN-Cache-Control but Surrogate-Control, and of Cache-Control it takes private
// alone as a reason not to keep an answer, also where Surrogate-Control allows it:
// https://www.fastly.com/documentation/guides/concepts/cache/cache-freshness/
func ForFastly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&fastlyWriter{ResponseWriter: w}, r)
	})
}

// fastlyWriter changes headers when they are written.
type fastlyWriter struct {
	http.ResponseWriter
	written bool
}

// Unwrap is for http.ResponseController.
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
