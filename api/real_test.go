package api_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"

	"github.com/terse/terse/internal/testenv"
)

// realURLs returns real URLs that people have shared. With the race detector, it returns a
// part of them.
func realURLs(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile("../store/testdata/real-urls.txt")
	must(t, err)
	all := strings.Fields(string(content))
	var some []string
	for i := 0; i < len(all); i += len(all) / testenv.Rounds(len(all)) {
		some = append(some, all[i])
	}
	return some
}

// wantLocation returns the expected Location of a redirect to u. Non-ASCII parts are encoded
// as browsers do.
func wantLocation(t *testing.T, u string) string {
	t.Helper()
	for _, c := range u {
		if c > 0x7e {
			parsed, err := whatwg.Parse(u)
			must(t, err)
			return parsed.Href(false)
		}
	}
	return u
}

func (s *server) checkLocation(code, posted string) {
	s.t.Helper()
	if got, want := s.get("/"+code).header.Get("Location"), wantLocation(s.t.(*testing.T), posted); got != want {
		s.t.Errorf("Location of %q = %q, want %q", posted, got, want)
	}
}

func TestRealURLsByCreate(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, u := range realURLs(t) {
		s.checkLocation(s.create(map[string]string{"url": u}).Code, u)
	}
}

func TestRealURLsByBatch(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	urls := realURLs(t)
	for len(urls) > 0 {
		some := urls[:min(len(urls), 800)]
		urls = urls[len(some):]
		links := make([]map[string]string, len(some))
		for i, u := range some {
			links[i] = map[string]string{"url": u}
		}
		var got batchJSON
		s.send(http.MethodPost, "/api/v1/links/batch", map[string]any{"links": links}).into(&got)
		for i, r := range got.Results {
			if r.Status != http.StatusCreated {
				t.Errorf("batch with %q = %+v, want 201", some[i], r.Error)
				continue
			}
			s.checkLocation(r.Link.Code, some[i])
		}
	}
}

func TestRealURLsByForm(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, u := range realURLs(t) {
		a := s.do(http.MethodPost, "/", []byte(url.Values{"url": {u}}.Encode()), "Content-Type", "application/x-www-form-urlencoded")
		code, found := strings.CutPrefix(a.header.Get("Location"), "/?created=")
		if a.status != http.StatusSeeOther || !found {
			t.Errorf("form with %q = %d, want 303 and a link", u, a.status)
			continue
		}
		s.checkLocation(code, u)
	}
}
