package api_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
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

// BenchmarkCreate measures creates without net/http: a single one, one with an
// Idempotency-Key, and a batch of 100.
func BenchmarkCreate(b *testing.B) {
	const one = `{"url":"https://example.com/a/long/path?with=query"}`
	batch := `{"links":[` + strings.TrimSuffix(strings.Repeat(one+",", 100), ",") + `]}`
	for _, bb := range []struct {
		name, path, body string
		keyed            bool
		want             int
	}{
		{"single", "/api/v1/links", one, false, http.StatusCreated},
		{"keyed", "/api/v1/links", one, true, http.StatusCreated},
		{"batch", "/api/v1/links/batch", batch, false, http.StatusOK},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := newServer(b)
			owner := s.owner("owner")
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := httptest.NewRequest(http.MethodPost, bb.path, strings.NewReader(bb.body))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set(owner[0], owner[1])
				if bb.keyed {
					r.Header.Set("Idempotency-Key", strconv.Itoa(i))
				}
				w := httptest.NewRecorder()
				s.Config.Handler.ServeHTTP(w, r)
				if w.Code != bb.want {
					b.Fatalf("create = %d %s, want %d", w.Code, w.Body, bb.want)
				}
			}
		})
	}
}
