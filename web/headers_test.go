package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/terse/terse/web"
)

const (
	ownForms = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	targetForms = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"form-action 'self' http: https:; base-uri 'none'; frame-ancestors 'none'"
)

func TestHeaders(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", AnonymousCreate: true, MaxURLLen: 8192})
	tests := []struct {
		name                   string
		write                  func(w http.ResponseWriter)
		status                 int
		policy, referrer, bots string
	}{
		{"home", func(w http.ResponseWriter) { p.Home(w, 422, web.Home{}) }, 422, ownForms, "same-origin", ""},
		{"result", func(w http.ResponseWriter) { p.Home(w, 200, web.Home{Result: &web.Result{}}) }, 200, ownForms, "same-origin", "noindex"},
		{"preview", func(w http.ResponseWriter) { p.Preview(w, 200, web.Preview{}) }, 200, ownForms, "same-origin", "noindex"},
		{"counted preview", func(w http.ResponseWriter) { p.Preview(w, 200, web.Preview{HiddenReason: web.HiddenByMaxClicks}) }, 200, targetForms, "same-origin", "noindex"},
		{"confirm", func(w http.ResponseWriter) { p.Confirm(w, 200, web.Confirm{}) }, 200, targetForms, "same-origin", "noindex"},
		{"password", func(w http.ResponseWriter) { p.Password(w, 403, web.Password{}) }, 403, targetForms, "same-origin", "noindex"},
		{"password of statistics", func(w http.ResponseWriter) { p.Password(w, 403, web.Password{Stats: true}) }, 403, ownForms, "no-referrer", "noindex"},
		{"statistics", func(w http.ResponseWriter) { p.Stats(w, 422, web.Stats{}) }, 422, ownForms, "no-referrer", "noindex"},
		{"error", func(w http.ResponseWriter) { p.Error(w, 410, web.Problem{}) }, 410, ownForms, "same-origin", "noindex"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			test.write(w)
			if w.Code != test.status {
				t.Errorf("status = %d, want %d", w.Code, test.status)
			}
			for name, want := range map[string]string{
				"Content-Type":               "text/html; charset=utf-8",
				"Content-Security-Policy":    test.policy,
				"X-Content-Type-Options":     "nosniff",
				"Referrer-Policy":            test.referrer,
				"Permissions-Policy":         "camera=(), clipboard-read=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
				"Cross-Origin-Opener-Policy": "same-origin",
				"X-Robots-Tag":               test.bots,
				"Cache-Control":              "no-store",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestCacheControlIsTheCallers(t *testing.T) {
	t.Parallel()
	p := newPages(t, web.Options{BaseURL: "https://sho.rt", MaxURLLen: 8192})
	w := httptest.NewRecorder()
	w.Header().Set("Cache-Control", "max-age=2")
	p.Error(w, 404, web.Problem{})
	if got := w.Header().Get("Cache-Control"); got != "max-age=2" {
		t.Errorf("Cache-Control = %q, want the caller's max-age=2", got)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		opts web.Options
		ok   bool
	}{
		{"complete", web.Options{BaseURL: "http://localhost:8080", MaxURLLen: 1}, true},
		{"no base URL", web.Options{MaxURLLen: 1}, false},
		{"base URL of another scheme", web.Options{BaseURL: "javascript:alert(1)", MaxURLLen: 1}, false},
		{"base URL without a host", web.Options{BaseURL: "https:///x", MaxURLLen: 1}, false},
		{"contact of another scheme", web.Options{BaseURL: "https://sho.rt", MaxURLLen: 1, Contact: "javascript:alert(1)"}, false},
		{"no longest URL", web.Options{BaseURL: "https://sho.rt"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := web.New(test.opts); (err == nil) != test.ok {
				t.Errorf("New(%+v) = %v, want success %t", test.opts, err, test.ok)
			}
		})
	}
}
