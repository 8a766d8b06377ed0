package api_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

// FuzzHTTP sends arbitrary methods, paths, headers and bodies. No request may cause a 5xx or
// a line break in a header. A relative Location must not lead to another host.
func FuzzHTTP(f *testing.F) {
	for _, seed := range []struct{ method, target, headers, body string }{
		{"GET", "/spring", "", ""},
		{"HEAD", "/spring?a=b", "Accept: text/html", ""},
		{"GET", "/spring+", "Referer: <script>", ""},
		{"GET", "//evil.example/", "Host: evil.example", ""},
		{"GET", "/%09/evil.example/", "", ""},
		{"POST", "/", "Content-Type: application/x-www-form-urlencoded", "url=https%3A%2F%2Fexample.com&alias=x"},
		{"POST", "/spring+", "Content-Type: application/x-www-form-urlencoded", "reason=spam"},
		{"POST", "/api/v1/links", "Content-Type: application/json", `{"url":"https://example.com","tags":["a"],"expires_at":"2030-01-01T00:00:00Z"}`},
		{"POST", "/api/v1/links/batch", "Content-Type: application/json", `{"links":[{"url":"https://example.com"},1]}`},
		{"POST", "/api/v1/archive", "Content-Type: application/json", `{"links":[{"code":"a","url":"https://example.com","clicks":"9"}]}`},
		{"PATCH", "/api/v1/links/spring", "Content-Type: application/json\nIf-Match: \"1\"", `{"title":"x"}`},
		{"GET", "/api/v1/links?limit=2&cursor=x&tag=y&q=z", "", ""},
		{"GET", "/api/v1/links/spring/qr?format=png&size=100", "Accept-Encoding: gzip", ""},
		{"OPTIONS", "/api/docs", "Origin: null", ""},
		{"DELETE", "/static/app.css", "Range: bytes=0-", ""},
	} {
		f.Add(seed.method, seed.target, seed.headers, seed.body)
	}
	s := newServer(f)
	admin := s.key("admin", store.ScopeAdmin)
	s.create(`{"url":"https://example.com","alias":"spring"}`, admin...)
	handler := s.Config.Handler
	f.Fuzz(func(t *testing.T, method, target, headers, body string) {
		raw := method + " " + target + " HTTP/1.1\r\nHost: go.terse.example\r\n" + strings.ReplaceAll(headers, "\n", "\r\n") + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return // net/http rejects it before the handler
		}
		with := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Body, r.ContentLength, r.RemoteAddr = with.Body, with.ContentLength, with.RemoteAddr
		if r.Header.Get("Authorization") == "" {
			r.Header.Set("Authorization", admin[1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%s %q with %q and %q = %d %s", method, target, headers, body, w.Code, w.Body)
		}
		for name, values := range w.Header() {
			for _, value := range values {
				if strings.ContainsAny(name+value, "\r\n\x00") {
					t.Errorf("%s %q answers the header %q: %q", method, target, name, value)
				}
			}
		}
		if to := w.Header().Get("Location"); w.Code >= 300 && w.Code < 400 && strings.HasPrefix(to, "/") &&
			(len(to) > 1 && (to[1] == '/' || to[1] == '\\')) {
			t.Errorf("%s %q redirects to another host: %q", method, target, to)
		}
	})
}
