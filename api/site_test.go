package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/terse/terse/api"
)

func TestStrictTransportSecurity(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{"https://sho.test": "max-age=31536000", "http://sho.test": ""} {
		s := newServer(t, func(o *options) { o.BaseURL = base })
		l := s.create(`{"url":"https://example.com"}`)
		for _, path := range []string{"/", "/" + l.Code, "/" + l.Code + "+", "/unknown", "/a/b", "/favicon.ico", "/api/v1/links", "/api/docs"} {
			if got := s.get(path).header.Get("Strict-Transport-Security"); got != want {
				t.Errorf("Strict-Transport-Security of %s on %s = %q, want %q", path, base, got, want)
			}
		}
	}
}

func TestPagesNameTheContact(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.SiteName, o.Contact = "Acme & Co", "mailto:help@acme.example" })
	a := s.get("/unknown", "Accept", "text/html")
	if a.status != http.StatusNotFound || !contains(a.body, `<a href="mailto:help@acme.example">`) || !contains(a.body, "Acme &amp; Co") {
		t.Errorf("404 = %d, want a page with the name and the contact: %s", a.status, a.body)
	}
}

func TestParseSite(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "help@example.com": "mailto:help@example.com", "mailto:a.b+c@example.com": "mailto:a.b+c@example.com",
		"https://example.com/help?a=1": "https://example.com/help?a=1",
	} {
		if got, err := api.ParseContact(in); err != nil || got != want {
			t.Errorf("ParseContact(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"help", "@", "a@", "http://example.com", "javascript:alert(1)", "https://", "https://user:pw@example.com", "mailto:a@b?subject=x", "a b@c", "https://exa mple.com", "https:example.com", "Ann <a@b>"} {
		if got, err := api.ParseContact(in); err == nil {
			t.Errorf("ParseContact(%q) = %q, want an error", in, got)
		}
	}
	for in, want := range map[string]string{"": "", " ": "", " Acme GmbH ": "Acme GmbH", strings.Repeat("é", 50): strings.Repeat("é", 50)} {
		if got, err := api.ParseSiteName(in); err != nil || got != want {
			t.Errorf("ParseSiteName(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{strings.Repeat("a", 51), "a\nb", "a\u202eb", "\xff"} {
		if got, err := api.ParseSiteName(in); err == nil {
			t.Errorf("ParseSiteName(%q) = %q, want an error", in, got)
		}
	}
}
