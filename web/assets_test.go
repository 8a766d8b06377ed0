package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/terse/terse/web"
)

func getAsset(p *web.Pages, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	p.Static().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestStatic(t *testing.T) {
	t.Parallel()
	const forever, day = "public, max-age=31536000, immutable", "public, max-age=86400"
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192})
	tests := []struct{ name, path, contentType, cacheControl string }{
		{"app.css", `^/static/app\.([0-9a-f]{12})\.css$`, "text/css; charset=utf-8", forever},
		{"app.js", `^/static/app\.([0-9a-f]{12})\.js$`, "text/javascript; charset=utf-8", forever},
		{"uplot.js", `^/static/uplot\.([0-9a-f]{12})\.js$`, "text/javascript; charset=utf-8", forever},
		{"uplot.LICENSE", `^/static/uplot\.([0-9a-f]{12})\.LICENSE$`, "text/plain; charset=utf-8", forever},
		{"icon.svg", `^/static/icon\.([0-9a-f]{12})\.svg$`, "image/svg+xml", forever},
		{"favicon.ico", `^/favicon\.ico$`, "image/x-icon", day},
		{"robots.txt", `^/robots\.txt$`, "text/plain; charset=utf-8", day},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := p.Asset(test.name)
			match := regexp.MustCompile(test.path).FindStringSubmatch(path)
			if match == nil {
				t.Fatalf("Asset(%q) = %q, want %s", test.name, path, test.path)
			}
			w := getAsset(p, http.MethodGet, path)
			if w.Code != http.StatusOK || w.Body.Len() == 0 {
				t.Fatalf("GET %s = %d with %d bytes, want 200 with a body", path, w.Code, w.Body.Len())
			}
			sum := sha256.Sum256(w.Body.Bytes())
			if len(match) == 2 && !strings.HasPrefix(hex.EncodeToString(sum[:]), match[1]) {
				t.Errorf("%s lacks the hash of its content, %x", path, sum)
			}
			for name, want := range map[string]string{
				"Content-Type": test.contentType, "Cache-Control": test.cacheControl, "X-Content-Type-Options": "nosniff",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
			if w := getAsset(p, http.MethodHead, path); w.Code != http.StatusOK || w.Body.Len() != 0 {
				t.Errorf("HEAD %s = %d with %d bytes, want 200 without a body", path, w.Code, w.Body.Len())
			}
		})
	}
}

func TestStaticRefuses(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192})
	tests := []struct {
		name, method, path string
		want               int
	}{
		{"listing", http.MethodGet, "/static/", 404},
		{"listing without slash", http.MethodGet, "/static", 404},
		{"name without hash", http.MethodGet, "/static/app.css", 404},
		{"another hash", http.MethodGet, "/static/app.000000000000.css", 404},
		{"template", http.MethodGet, "/static/../templates/home.html", 404},
		{"escaped", http.MethodGet, "/static/%2e%2e/web.go", 404},
		{"post", http.MethodPost, "/favicon.ico", 405},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := getAsset(p, test.method, test.path)
			if w.Code != test.want {
				t.Errorf("%s %s = %d, want %d", test.method, test.path, w.Code, test.want)
			}
			if got := w.Header().Get("Cache-Control"); strings.Contains(got, "max-age") {
				t.Errorf("%s %s is cacheable: Cache-Control = %q", test.method, test.path, got)
			}
		})
	}
}
