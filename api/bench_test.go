package api_test

import (
	"fmt"
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
	for _, link := range benchLinks {
		l := s.create(link.body)
		r := visitRequest(l.Code)
		handler, w := s.Config.Handler, &discard{http.Header{}}
		const most = 5
		got := testing.AllocsPerRun(1000, func() {
			clear(w.header)
			handler.ServeHTTP(w, r)
		})
		t.Logf("%s: a redirect allocates %v times", link.name, got)
		if got > most || w.header.Get("Location") != link.target {
			t.Errorf("%s: a redirect to %q allocates %v times, want %q and %d at most", link.name, w.header.Get("Location"), got, link.target, most)
		}
	}
}

// benchLinks are links without rules, with rules, and with 16 rules. The last of the first rules applies to
// visitRequest, and none of the 16.
var benchLinks = []struct{ name, body, target string }{
	{"plain", `{"url":"https://example.com/a/long/path?with=query"}`, "https://example.com/a/long/path?with=query"},
	{"rules", `{"url":"https://example.com/","rules":[{"if":{"device":["ios"]},"to":"https://example.com/app"},
		{"if":{"query":{"ref":["mail"]}},"to":"https://example.com/mail"},{"if":{"language":["de"],"device":["desktop"]},"to":"https://example.com/de"}]}`, "https://example.com/de"},
	{"misses", `{"url":"https://example.com/","rules":[` + strings.Join(misses(), ",") + `]}`, "https://example.com/"},
}

// misses returns 16 rules that do not apply to visitRequest.
func misses() (list []string) {
	for i := range 16 {
		conditions := []string{`"device":["ios"]`, `"language":["fr","it"]`, `"referrer":["example.org"]`, `"hours":["00:00-00:01"],"tz":"Europe/Berlin"`}
		list = append(list, fmt.Sprintf(`{"if":{%s,"query":{"n":["%d"]}},"to":"https://example.com/%d"}`, conditions[i%len(conditions)], i, i))
	}
	return list
}

// visitRequest returns a visit of a link by a browser.
func visitRequest(code string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/"+code, nil)
	r.Header.Set("User-Agent", chromium)
	r.Header.Set("Accept-Language", "de-DE,de;q=0.9,en;q=0.5")
	return r
}

// BenchmarkRedirect measures a redirect from the in-process cache without net/http.
func BenchmarkRedirect(b *testing.B) {
	s := newServer(b)
	for _, link := range benchLinks {
		r := visitRequest(s.create(link.body).Code)
		b.Run(link.name, func(b *testing.B) {
			handler := s.Config.Handler
			handler.ServeHTTP(&discard{http.Header{}}, r)
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(&discard{http.Header{}}, r)
			}
		})
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
