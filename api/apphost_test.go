package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
)

// appURL is the address of the console on a host of its own.
const appURL = "https://console.terse.example"

// TestConsoleOnItsOwnHost serves the console on another host than the short URLs.
func TestConsoleOnItsOwnHost(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.AppURL = appURL })
	base, app := *s, *s
	base.host, app.host = strings.TrimPrefix(baseURL, "https://"), strings.TrimPrefix(appURL, "https://")
	key := s.key("admin", store.ScopeAdmin)
	l := base.create(`{"url":"https://example.com"}`, key...)
	v := app.signIn(key)

	for _, tt := range []struct {
		name, method, path string
		on                 *server
		status             int
		location           string
	}{
		{"start of the console", "GET", "/", &app, 303, "/~/links"},
		{"start of the pages", "GET", "/~/", &app, 303, "/~/links"},
		{"page to sign in", "GET", "/~/sign-in", &app, 200, ""},
		{"page without a session", "GET", "/~/links?q=x", &app, 303, "/~/sign-in?return_to=%2F~%2Flinks%3Fq%3Dx"},
		{"static file", "GET", "/favicon.ico", &app, 200, ""},
		{"short link", "GET", "/" + l.Code, &app, 404, ""},
		{"preview of a link", "GET", "/" + l.Code + "+", &app, 404, ""},
		{"form of visitors", "POST", "/", &app, 405, ""},
		{"API", "GET", "/api/v1/links", &app, 404, ""},
		{"QR code", "GET", "/api/v1/links/" + l.Code + "/qr?format=svg", &app, 200, ""},
		{"QR code", "HEAD", "/api/v1/links/" + l.Code + "/qr?format=png", &app, 200, ""},
		{"documentation of the API", "GET", "/api/docs", &app, 404, ""},
		{"shared statistics", "GET", "/~/s/tk_x", &app, 404, ""},
		{"short link", "GET", "/" + l.Code, &base, 302, "https://example.com"},
		{"page to sign in", "GET", "/~/sign-in?return_to=/~/new", &base, 302, appURL + "/~/sign-in?return_to=/~/new"},
		{"start of the pages", "HEAD", "/~/", &base, 302, appURL + "/~/"},
		{"one-time link", "GET", "/~/in/abc", &base, 302, appURL + "/~/in/abc"},
		{"other page", "GET", "/~//evil.example/..?x=%0d%0a", &base, 302, appURL + "/~//evil.example/..?x=%0d%0a"},
		{"form to sign in", "POST", "/~/sign-in", &base, 405, ""},
		{"one-time link", "POST", "/~/in/abc", &base, 405, ""},
		{"shared statistics", "GET", "/~/s/tk_x", &base, 404, ""},
	} {
		a := tt.on.do(tt.method, tt.path, nil)
		if a.status != tt.status || a.header.Get("Location") != tt.location {
			t.Errorf("%s: %s %s on %s = %d to %q, want %d to %q", tt.name, tt.method, tt.path, tt.on.host, a.status, a.header.Get("Location"), tt.status, tt.location)
		}
		if a.header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: %s on %s has no Strict-Transport-Security", tt.name, tt.path, tt.on.host)
		}
	}
	if a := app.get("/robots.txt"); string(a.body) != "User-agent: *\nDisallow: /\n" {
		t.Errorf("robots.txt of the console = %d %q", a.status, a.body)
	}
	for _, host := range []string{"CONSOLE.terse.example", "console.terse.example.", "console.terse.example:443"} {
		other := *s
		other.host = host
		if a := other.get("/~/sign-in"); a.status != http.StatusOK {
			t.Errorf("the console under %q = %d, want 200", host, a.status)
		}
	}
	if a := v.open("/~/new"); a.status != http.StatusOK {
		t.Errorf("a page of the console = %d, want 200", a.status)
	}
	if a := base.get("/~/new", v.headers...); a.status != http.StatusFound {
		t.Errorf("a page with a session on the host of short URLs = %d, want 302", a.status)
	}
	if a := base.get("/"); !strings.Contains(string(a.body), `href="`+appURL+`/~/"`) {
		t.Errorf("the form has no way to the console: %s", a.body)
	}

	// Pages of the host of short URLs are another website.
	form := linkFields(nil)
	for name, headers := range map[string][]string{
		"the origin of short URLs": {"Origin", baseURL, "Sec-Fetch-Site", "same-site"},
		"an old browser":           {"Origin", baseURL},
		"another website":          {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
	} {
		if a := v.postTo("/~/new", form, append(headers, v.headers...)...); a.status != http.StatusForbidden {
			t.Errorf("a form from %s = %d, want 403", name, a.status)
		}
	}
	if a := v.postTo("/~/new", form, append([]string{"Origin", appURL, "Sec-Fetch-Site", "same-origin"}, v.headers...)...); a.status != http.StatusSeeOther {
		t.Errorf("a form from the console = %d, want 303: %.600s", a.status, a.body)
	}

	var invited struct{ URL string }
	base.send(http.MethodPost, "/api/v1/members", `{"name":"Ann","role":"viewer"}`, key...).into(&invited)
	path, is := strings.CutPrefix(invited.URL, appURL)
	if !is || app.do(http.MethodPost, path, nil).status != http.StatusOK {
		t.Errorf("the invitation %q does not work on the host of the console", invited.URL)
	}
	for _, host := range []string{"console.terse.example", "Console.Terse.example."} {
		if a := base.send(http.MethodPost, "/api/v1/domains", map[string]string{"host": host}, key...); a.problem(http.StatusUnprocessableEntity) != "body.host" {
			t.Errorf("the domain %q = %s, want an error of its host", host, a.body)
		}
	}
	token, err := s.access.Redeem(t.Context(), s.access.OneTimeLink())
	must(t, err)
	if a := app.get("/~/links", "Cookie", cookieName+"="+token); a.status != http.StatusOK {
		t.Errorf("a session of a one-time link = %d, want 200", a.status)
	}
}

func TestParseAppURL(t *testing.T) {
	t.Parallel()
	base, err := url.Parse(baseURL)
	must(t, err)
	if u, err := api.ParseAppURL("https://Console.terse.example:8443", base); err != nil || u.Port() != "8443" {
		t.Errorf("ParseAppURL = %v, %v", u, err)
	}
	for _, wrong := range []string{
		"console.terse.example", "ftp://console.terse.example", "https://", "https://console.terse.example/", "https://console.terse.example/app",
		"https://ann@console.terse.example", "https://console.terse.example?x", "https://console.terse.example#x", "https://a b.example",
		baseURL, baseURL + ":8443", "https://GO.terse.example.", "http://console.terse.example",
	} {
		if u, err := api.ParseAppURL(wrong, base); err == nil {
			t.Errorf("ParseAppURL(%q) = %v, want an error", wrong, u)
		}
	}
}
