package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// discard is a ResponseWriter that keeps its header map, as a connection does
// within one request.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkRedirect is a redirect from the in-process cache without net/http
// below it.
func BenchmarkRedirect(b *testing.B) {
	s := newServer(b)
	l := s.create(`{"url":"https://example.com/a/long/path?with=query"}`)
	r := httptest.NewRequest(http.MethodGet, "/"+l.Code, nil)
	handler := s.Config.Handler
	handler.ServeHTTP(&discard{http.Header{}}, r)
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(&discard{http.Header{}}, r)
	}
}
