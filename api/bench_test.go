package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// discard is a ResponseWriter that discards the answer and keeps one header map.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// TestRedirectAllocations bounds the allocations of a redirect from the in-process cache. It
// excludes net/http.
func TestRedirectAllocations(t *testing.T) { // not parallel: other tests would add allocations
	s := newServer(t)
	l := s.create(`{"url":"https://example.com/a/long/path?with=query"}`)
	r := httptest.NewRequest(http.MethodGet, "/"+l.Code, nil)
	handler, w := s.Config.Handler, &discard{http.Header{}}
	const most = 5
	got := testing.AllocsPerRun(1000, func() {
		clear(w.header)
		handler.ServeHTTP(w, r)
	})
	t.Logf("a redirect allocates %v times", got)
	if got > most || w.header.Get("Location") != l.URL {
		t.Errorf("a redirect to %q allocates %v times, want %d at most", w.header.Get("Location"), got, most)
	}
}

// BenchmarkRedirect measures a redirect from the in-process cache without net/http.
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
