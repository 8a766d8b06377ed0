package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkAnonymous measures what a client without a key can ask for, in the process. Each
// route must take at most a millisecond, or have a limit for each client.
func BenchmarkAnonymous(b *testing.B) {
	s := newServer(b)
	l := s.create(`{"url":"https://example.com/` + strings.Repeat("x", 2000) + `"}`)
	secret := s.create(`{"url":"https://example.com/","password":"p"}`)
	for _, route := range []struct{ name, path, accept string }{
		{"redirect", "/" + l.Code, ""},
		{"unknown", "/nothing", ""},
		{"unknown page", "/nothing", "text/html"},
		{"preview", "/" + l.Code + "+", "text/html"},
		{"password page", "/" + secret.Code, "text/html"},
		{"home", "/", "text/html"},
		{"css", s.asset("app.css"), ""},
		{"QR SVG", "/api/v1/links/" + l.Code + "/qr", ""},
		{"QR PNG 256", "/api/v1/links/" + l.Code + "/qr?format=png", ""},
		{"QR PNG 1024", "/api/v1/links/" + l.Code + "/qr?format=png&size=1024", ""},
		{"OpenAPI", "/api/openapi.json", ""},
		{"OpenAPI 3.0", "/api/openapi-3.0.json", ""},
		{"docs", "/api/docs", "text/html"},
		{"docs bundle", "/api/docs/swagger-ui-bundle.js", ""},
		{"docs css", "/api/docs/swagger-ui.css", ""},
		{"a list without a key", "/api/v1/links", ""},
	} {
		for _, encoding := range []string{"gzip", "zstd, gzip, br", ""} {
			name := route.name + ", not compressed"
			if encoding != "" {
				name = route.name + ", " + encoding
			}
			b.Run(name, func(b *testing.B) {
				size := 0
				for b.Loop() {
					r := httptest.NewRequest(http.MethodGet, route.path, nil)
					r.Header.Set("Accept-Encoding", encoding)
					r.Header.Set("Accept", route.accept)
					w := httptest.NewRecorder()
					s.Config.Handler.ServeHTTP(w, r)
					size = w.Body.Len()
				}
				b.ReportMetric(float64(size), "bytes")
			})
		}
	}
}

// asset returns the path of a static file, as the home page names it.
func (s *server) asset(name string) string {
	s.t.Helper()
	page := string(s.get("/").body)
	stem, ext, _ := strings.Cut(name, ".")
	from := strings.Index(page, "/static/"+stem+".")
	if from < 0 {
		s.t.Fatalf("the home page does not name %s", name)
	}
	length := strings.Index(page[from:], "."+ext+`"`) + len(ext) + 1
	return page[from : from+length]
}
