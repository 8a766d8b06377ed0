package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.get("/api/openapi.json")
	var doc struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
		Servers []struct{ URL string }                `json:"servers"`
	}
	a.into(&doc)
	if doc.OpenAPI != "3.1.0" || len(doc.Servers) != 1 || doc.Servers[0].URL != "/" {
		t.Errorf("document is %s for %v, want 3.1.0 for /", doc.OpenAPI, doc.Servers)
	}
	for path, methods := range map[string][]string{
		"/api/v1/links":                 {"get", "post"},
		"/api/v1/links/batch":           {"post"},
		"/api/v1/links/{code}":          {"get", "patch", "delete"},
		"/api/v1/links/{code}/qr":       {"get"},
		"/api/v1/links/{code}/disable":  {"post"},
		"/api/v1/links/{code}/enable":   {"post"},
		"/api/v1/links/{code}/history":  {"get"},
		"/api/v1/links/{code}/rollback": {"post"},
		"/api/v1/links/{code}/stats":    {"get", "delete"},
		"/api/v1/stats":                 {"get"},
		"/api/v1/stats/links":           {"get"},
		"/api/v1/archive":               {"get", "post"},
		"/api/v1/domains":               {"get", "post"},
		"/api/v1/domains/{host}":        {"get", "patch", "delete"},
		"/api/v1/domains/{host}/verify": {"post"},
		"/api/v1/blocklist":             {"get", "post"},
		"/api/v1/blocklist/{host}":      {"delete"},
		"/api/v1/reports":               {"get"},
		"/api/v1/reports/{id}/resolve":  {"post"},
	} {
		for _, m := range methods {
			if doc.Paths[path][m] == nil {
				t.Errorf("document lacks %s %s", m, path)
			}
		}
	}
	if len(doc.Paths) != 25 {
		t.Errorf("document has %d paths, want 25", len(doc.Paths))
	}
}

func TestDocsPageLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.get("/api/docs")
	if csp := a.header.Get("Content-Security-Policy"); a.status != http.StatusOK || !strings.Contains(csp, "default-src 'none'; script-src 'self'") {
		t.Fatalf("docs = %d with the policy %q", a.status, csp)
	} else if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "base-uri 'none'") {
		t.Errorf("the policy %q of the docs lets other sites frame them or move their base", csp)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(string(a.body), -1) {
		if !strings.HasPrefix(m[1], "/") || strings.HasPrefix(m[1], "//") {
			t.Errorf("docs load %s from another server", m[1])
		}
	}
	for _, path := range []string{"/api/docs/swagger-ui.css", "/api/docs/swagger-ui-bundle.js", "/api/docs/init.js"} {
		if !strings.Contains(string(a.body), path) {
			t.Errorf("docs do not load %s", path)
		}
		if got := s.get(path).header.Get("Cache-Control"); strings.Contains(path, "swagger") && got != "public, max-age=3600" {
			t.Errorf("Cache-Control of %s = %q, want an hour", path, got)
		}
		if got := s.get(path); got.status != http.StatusOK || len(got.body) == 0 {
			t.Errorf("GET %s = %d with %d bytes, want 200", path, got.status, len(got.body))
		}
	}
}

func TestDocsHaveNothingElse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, path := range []string{"/api/docs/nope.js", "/api/docs/", "/api/docs/page.html"} {
		a := s.get(path)
		a.problem(http.StatusNotFound)
		if got := a.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control of %s = %q, want no-store", path, got)
		}
	}
}

func TestUnknownResources(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, path := range []string{"/api/", "/api/v1", "/api/v2/links", "/api/v1/links/a/b/c"} {
		s.get(path).problem(http.StatusNotFound)
	}
	a := s.do(http.MethodPut, "/api/v1/links", nil)
	a.problem(http.StatusMethodNotAllowed)
	if got := a.header.Get("Allow"); !strings.Contains(got, "POST") {
		t.Errorf("Allow = %q, want POST in it", got)
	}
}

// TestDrawingsAreLimited checks that one client cannot make the server draw any number of QR
// codes. Drawings in memory and other clients are not affected.
func TestDrawingsAreLimited(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Clients = proxies(t, "127.0.0.1/32") })
	path := "/api/v1/links/" + s.create(`{"url":"https://example.com"}`).Code + "/qr"
	const allowed = 200
	for i := range allowed {
		if a := s.get(fmt.Sprintf("%s?size=%d", path, 300+i)); a.status != http.StatusOK {
			t.Fatalf("QR code %d = %d, want 200", i+1, a.status)
		}
	}
	a := s.get(path + "?size=600")
	a.problem(http.StatusTooManyRequests)
	if got := a.header.Get("RateLimit-Policy"); got != `"draw";q=200;w=10` {
		t.Errorf("RateLimit-Policy = %q, want 200 in 10 s", got)
	}
	for _, again := range []answer{
		s.get(path + "?size=300"), s.get(path+"?size=600", s.owner("owner")...), s.get(path+"?size=601", "X-Forwarded-For", "203.0.113.1"),
	} {
		if again.status != http.StatusOK {
			t.Errorf("QR code in memory, of a key or of another client = %d, want 200", again.status)
		}
	}
}

func TestQR(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	l := s.create(`{"url":"https://example.com"}`)
	svg := s.get("/api/v1/links/" + l.Code + "/qr?format=svg&size=300")
	if svg.status != 200 || svg.header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(string(svg.body), `width="300"`) {
		t.Errorf("svg = %d %s %.80s", svg.status, svg.header.Get("Content-Type"), svg.body)
	}
	png := s.get("/api/v1/links/" + l.Code + "/qr?format=png&size=300")
	if png.status != 200 || png.header.Get("Content-Type") != "image/png" || !strings.HasPrefix(string(png.body), "\x89PNG") {
		t.Errorf("png = %d %s", png.status, png.header.Get("Content-Type"))
	}
	if got := svg.header.Get("Cache-Control"); got != "public, max-age=86400" {
		t.Errorf("Cache-Control of a QR code = %q, want a day", got)
	}
	for _, query := range []string{"?size=63", "?size=1025", "?size=x", "?format=gif"} {
		s.get("/api/v1/links/" + l.Code + "/qr" + query).problem(http.StatusUnprocessableEntity)
	}
	if got := s.get("/api/v1/links/" + l.Code + "/qr?size=64").problem(http.StatusUnprocessableEntity); got != "query.size" {
		t.Errorf("errors of a size that is too small = %q, want query.size", got)
	}
	s.get("/api/v1/links/nothing/qr").problem(http.StatusNotFound)
	owner := s.owner("owner")
	future := s.create(`{"url":"https://example.com","starts_at":"2031-01-01T00:00:00Z"}`, owner...)
	s.get("/api/v1/links/" + future.Code + "/qr").problem(http.StatusNotFound)
	s.get("/api/v1/links/"+future.Code+"/qr", s.owner("other")...).problem(http.StatusNotFound)
	if a := s.get("/api/v1/links/"+future.Code+"/qr", owner...); a.status != http.StatusOK {
		t.Errorf("owner's QR of a link that has not started = %d, want 200", a.status)
	}
	s.get("/api/v1/links/%00/qr").problem(http.StatusNotFound)
}
