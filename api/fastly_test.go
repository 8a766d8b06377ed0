package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/terse/terse/api"
)

// TestForFastly checks the headers for Fastly, see
// https://www.fastly.com/documentation/guides/concepts/cache/cache-freshness/
func TestForFastly(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.CDN = true })
	front := httptest.NewServer(api.ForFastly(s.Config.Handler))
	t.Cleanup(front.Close)
	behind := *s
	behind.Server = front
	front.Client().CheckRedirect = s.Client().CheckRedirect
	s = &behind

	const kept = "max-age=60, stale-while-revalidate=30, stale-if-error=86400"
	owner := s.owner("owner")
	live, permanent := s.create(`{"url":"https://example.com"}`), s.create(`{"url":"https://example.com","status":301}`)
	limited, secret := s.create(`{"url":"https://example.com","max_clicks":9}`), s.create(`{"url":"https://example.com","password":"long enough"}`)
	deleted := s.create(`{"url":"https://example.com"}`, owner...)
	s.do(http.MethodDelete, "/api/v1/links/"+deleted.Code, nil, owner...)
	for _, tt := range []struct {
		name, path         string
		status             int
		browser, surrogate string
	}{
		{"live", "/" + live.Code, 302, "max-age=0", kept},
		{"permanent", "/" + permanent.Code, 301, "max-age=90", kept},
		{"limited", "/" + limited.Code, 302, "private, no-store", ""},
		{"password", "/" + secret.Code, 200, "private, no-store", ""},
		{"unknown", "/nothing", 404, "no-store", "max-age=2"},
		{"deleted", "/" + deleted.Code, 410, "no-store", "max-age=60"},
		{"API", "/api/v1/links", 401, "private, no-store", ""},
		{"page", "/", 200, "private, no-store", ""},
		{"document", "/api/openapi.json", 200, "private, no-store", ""},
		{"icon", "/favicon.ico", 200, "public, max-age=86400", ""},
	} {
		a := s.get(tt.path)
		if got := a.header.Get("Cache-Control"); a.status != tt.status || got != tt.browser {
			t.Errorf("%s = %d, Cache-Control: %q, want %d, %q", tt.name, a.status, got, tt.status, tt.browser)
		}
		if got := a.header.Get("Surrogate-Control"); got != tt.surrogate {
			t.Errorf("%s: Surrogate-Control = %q, want %q", tt.name, got, tt.surrogate)
		}
	}
}

// TestRulesForFastly checks that Fastly keeps the answer of a link with rules if it sends what they ask about.
func TestRulesForFastly(t *testing.T) {
	t.Parallel()
	s, _ := newRuledServer(t, func(o *options) { o.CDNVaries, o.CountryHeader = true, "Terse-Country" })
	front := httptest.NewServer(api.ForFastly(s.Config.Handler))
	t.Cleanup(front.Close)
	front.Client().CheckRedirect = s.Client().CheckRedirect
	behind := *s
	behind.Server = front
	path := "/" + s.create(ruled("", rule(`{"device":["ios"],"country":["DE"]}`, "app"))).Code
	for _, tt := range []struct{ device, browser, surrogate string }{
		{"ios", "max-age=0", "max-age=60, stale-while-revalidate=30, stale-if-error=86400"},
		{"android", "private, no-store", ""},
		{"", "private, no-store", ""},
	} {
		a := behind.get(path, "User-Agent", iPhone, "Terse-Device", tt.device, "Terse-Country", "DE")
		if got := a.header.Get("Location"); got != "https://target.example/app" || a.header.Get("Vary") != "Terse-Device, Terse-Country" {
			t.Errorf("%q: Location %q and Vary %q, want the target of the rule and both headers", tt.device, got, a.header.Get("Vary"))
		}
		if browser, surrogate := a.header.Get("Cache-Control"), a.header.Get("Surrogate-Control"); browser != tt.browser || surrogate != tt.surrogate {
			t.Errorf("%q: Cache-Control %q and Surrogate-Control %q, want %q and %q", tt.device, browser, surrogate, tt.browser, tt.surrogate)
		}
	}
}
