package api_test

import (
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"github.com/terse/terse/api"
	"github.com/terse/terse/domains"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

// goDomain and ioDomain are active domains with two hosts and one host.
var (
	goDomain = store.Domain{ID: "jT0xYqRm4", Host: "go.example.com", State: store.DomainActive}
	ioDomain = store.Domain{
		ID: "k7Qx9mB2a", Host: "links.example.net", State: store.DomainActive, Robots: store.RobotsDisallow,
		Root:     store.DomainRedirect{URL: "https://example.net/", Status: 301},
		NotFound: store.DomainRedirect{URL: "https://example.net/unknown", Status: 302},
		Ended:    store.DomainRedirect{URL: "https://example.net/ended", Status: 307},
	}
)

// withDomains gives a server domains. Each has its primary host and www. in front of it.
func withDomains(t *testing.T, all ...store.Domain) func(*options) {
	t.Helper()
	d := sqlitetest.Open(t)
	registry := domains.NewRegistry(d, time.Now)
	for _, one := range all {
		_, err := registry.Add(t.Context(), one, "www."+one.Host)
		must(t, err)
	}
	m, err := domains.New(t.Context(), domains.Options{
		Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Sources: []domains.Source{{Name: "embedded", Domains: d}},
	})
	must(t, err)
	return func(o *options) { o.Hosts = m }
}

// on adds a link under a code of a domain. An empty id means the default domain.
func (s *server) on(id, code string, change func(*store.Link)) {
	s.t.Helper()
	now := s.clock.Now()
	l := store.Link{Code: store.LinkKey(id, code), URL: "https://example.com/" + id, Status: 302, CreatedAt: now, UpdatedAt: now}
	change(&l)
	_, err := s.store.Create(s.t.Context(), l)
	must(s.t, err)
}

func asIs(*store.Link) {}

func TestDomainsHaveTheirOwnLinks(t *testing.T) {
	t.Parallel()
	s := newServer(t, withDomains(t, goDomain, ioDomain))
	for _, id := range []string{"", goDomain.ID, ioDomain.ID} {
		s.on(id, "spring", asIs)
	}
	s.on(goDomain.ID, "only", asIs)
	for _, tt := range []struct{ host, path, want string }{
		{"go.terse.example", "/spring", "https://example.com/"},
		{"GO.terse.example:443", "/spring", "https://example.com/"},
		{"go.terse.example.", "/spring", "https://example.com/"},
		{goDomain.Host, "/spring", "https://example.com/" + goDomain.ID},
		{"www." + goDomain.Host, "/spring.", "https://example.com/" + goDomain.ID},
		{"Go.Example.COM:8080", "/spring/", "https://example.com/" + goDomain.ID},
		{ioDomain.Host, "/spring", "https://example.com/" + ioDomain.ID},
		{goDomain.Host, "/only", "https://example.com/" + goDomain.ID},
		{"go.terse.example", "/only", ""},
		{ioDomain.Host, "/only", "https://example.net/unknown"},
		{ioDomain.Host, "/a/b", "https://example.net/unknown"},
		{ioDomain.Host, "/", "https://example.net/"},
		{goDomain.Host, "/", ""},
	} {
		a := s.get(tt.path, "Host", tt.host)
		if got := a.header.Get("Location"); got != tt.want || tt.want == "" && a.status != http.StatusNotFound {
			t.Errorf("GET %s of %s = %d to %q, want %q", tt.path, tt.host, a.status, got, tt.want)
		}
	}
	a := s.get("/spring", "Host", goDomain.Host)
	if got, want := a.header.Get("Cache-Tag"), "link-jT0xYqRm4/spring,domain-jT0xYqRm4"; got != want {
		t.Errorf("Cache-Tag = %q, want %q", got, want)
	}
	must(t, s.clicks.Close(t.Context()))
	for key, want := range map[string]int64{"spring": 3, "jT0xYqRm4/spring": 4, "k7Qx9mB2a/spring": 1} {
		if l, err := s.store.Get(t.Context(), key); err != nil || l.Clicks != want {
			t.Errorf("clicks of %s = %d, %v, want %d", key, l.Clicks, err, want)
		}
	}
}

// TestUnknownHosts checks that a host without a domain serves no link, once a domain is verified.
func TestUnknownHosts(t *testing.T) {
	t.Parallel()
	pending, off, removed := goDomain, ioDomain, goDomain
	pending.State, off.State = store.DomainPending, store.DomainOff
	removed.ID, removed.Host, removed.State = "m3Kd82LpX", "old.example.org", store.DomainRemoved
	active := store.Domain{ID: "n9Vb3cZaQ", Host: "active.example", State: store.DomainActive}
	s := newServer(t, withDomains(t, pending, off, removed, active))
	s.on("", "spring", asIs)
	for _, id := range []string{pending.ID, off.ID, removed.ID} {
		s.on(id, "spring", asIs)
	}
	for _, host := range []string{
		pending.Host, off.Host, "www." + off.Host, removed.Host, "unknown.example", "127.0.0.1", "go.terse.example.com", "terse.example", "go%2Eterse.example%00",
	} {
		for _, path := range []string{"/", "/spring", "/spring+", "/api/v1/links", "/api/openapi.json", "/robots.txt"} {
			a := s.get(path, "Host", host)
			if a.status != http.StatusMisdirectedRequest && a.status != http.StatusBadRequest || a.header.Get("Location") != "" || a.header.Get("Cache-Control") != "no-store" && a.status == 421 {
				t.Errorf("GET %s of %s = %d to %q, %q, want 421 and no-store", path, host, a.status, a.header.Get("Location"), a.header.Get("Cache-Control"))
			}
		}
	}
	s.get("/spring", "Host", "unknown.example").problem(http.StatusMisdirectedRequest)
	page := s.get("/spring", "Host", "unknown.example", "Accept", "text/html")
	style := regexp.MustCompile(`/static/app\.[0-9a-f]+\.css`).FindString(string(page.body))
	if a := s.get(style, "Host", "unknown.example"); style == "" || a.status != http.StatusOK {
		t.Errorf("style sheet %q of the page = %d, want 200", style, a.status)
	}
	if page.status != http.StatusMisdirectedRequest || strings.Contains(string(page.body), `href="/"`) {
		t.Errorf("page of an unknown host = %d %s, want 421 without a link to the home page", page.status, page.body)
	}
}

// TestEveryHostIsTheDefaultOne checks that every host serves the default domain while no other
// domain is verified, except for the hosts that domains claim.
func TestEveryHostIsTheDefaultOne(t *testing.T) {
	t.Parallel()
	pending := goDomain
	pending.State = store.DomainPending
	for name, s := range map[string]*server{"no domain": newServer(t), "a pending domain": newServer(t, withDomains(t, pending))} {
		s.on("", "spring", asIs)
		for _, host := range []string{"unknown.example", "127.0.0.1:8080", "[::1]"} {
			if a := s.get("/spring", "Host", host); a.header.Get("Location") != "https://example.com/" {
				t.Errorf("%s: GET of %s = %d, want the link of the default domain", name, host, a.status)
			}
		}
		if a := s.get("/spring", "Host", pending.Host); name != "no domain" && a.status != http.StatusMisdirectedRequest {
			t.Errorf("%s: GET of its host = %d, want 421", name, a.status)
		}
	}
}

// incomplete are Hosts of which some are not read yet.
type incomplete struct{ api.Hosts }

func (incomplete) Complete() bool { return false }

// TestHostsBeforeAllDomainsAreKnown checks that an unknown host is not answered 404 or 421 while
// it may have a domain.
func TestHostsBeforeAllDomainsAreKnown(t *testing.T) {
	t.Parallel()
	off := store.Domain{ID: "off000000", Host: "off.example.net", State: store.DomainOff}
	s := newServer(t, withDomains(t, goDomain, off), func(o *options) { o.Hosts = incomplete{o.Hosts} })
	s.on("", "spring", asIs)
	s.on(goDomain.ID, "spring", asIs)
	for host, want := range map[string]int{"go.terse.example": 302, goDomain.Host: 302, ioDomain.Host: 503, off.Host: 503} {
		if a := s.get("/spring", "Host", host); a.status != want {
			t.Errorf("GET of %s = %d, want %d", host, a.status, want)
		}
	}
}

// TestDomainsServeOnlyLinks checks that a custom domain serves neither the API nor the home page,
// and that its pages do not lead there.
func TestDomainsServeOnlyLinks(t *testing.T) {
	t.Parallel()
	s := newServer(t, withDomains(t, goDomain, ioDomain))
	s.on(goDomain.ID, "spring", asIs)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	must(t, err)
	s.on(goDomain.ID, "locked", func(l *store.Link) { l.PasswordHash = string(hash) })
	admin := s.key("admin", store.ScopeAdmin)
	for _, path := range []string{"/api/v1/links", "/api/openapi.json", "/api/docs", "/api/v1/links/spring", "/?created=spring"} {
		if a := s.get(path, append([]string{"Host", goDomain.Host}, admin...)...); a.status != http.StatusNotFound {
			t.Errorf("GET %s of a custom domain = %d, want 404", path, a.status)
		}
	}
	if a := s.send(http.MethodPost, "/api/v1/links", map[string]any{"url": "https://example.com"}, append([]string{"Host", goDomain.Host}, admin...)...); a.status/100 != 4 {
		t.Errorf("a create on a custom domain = %d, want an error", a.status)
	}
	if a := s.do(http.MethodPost, "/", []byte("url=https://example.com"), "Host", goDomain.Host, "Content-Type", "application/x-www-form-urlencoded"); a.status != http.StatusMethodNotAllowed {
		t.Errorf("the form on a custom domain = %d, want 405", a.status)
	}
	for path, want := range map[string]int{"/spring+": 200, "/locked": 200, "/nothing": 404} {
		a := s.get(path, "Host", goDomain.Host, "Accept", "text/html")
		body := string(a.body)
		if a.status != want || strings.Contains(body, `href="/"`) || strings.Contains(body, "/api/docs") || a.header.Get("Strict-Transport-Security") != "" {
			t.Errorf("GET %s = %d %s, want %d without links to the home page, and no HSTS", path, a.status, body, want)
		}
	}
	if body := string(s.get("/spring+", "Host", goDomain.Host, "Accept", "text/html").body); !strings.Contains(body, "https://go.example.com/spring") {
		t.Errorf("the preview lacks the short URL: %s", body)
	}
	unlocked := s.do(http.MethodPost, "/locked", []byte("password=secret"), "Host", goDomain.Host, "Origin", "https://"+goDomain.Host, "Content-Type", "application/x-www-form-urlencoded")
	if unlocked.status != http.StatusSeeOther {
		t.Errorf("the right password = %d %s, want 303", unlocked.status, unlocked.body)
	}
	for host, want := range map[string]string{goDomain.Host: "", ioDomain.Host: "User-agent: *\nDisallow: /\n"} {
		a := s.get("/robots.txt", "Host", host)
		if a.status != http.StatusOK || want != "" && string(a.body) != want {
			t.Errorf("robots.txt of %s = %d %q, want %q", host, a.status, a.body, want)
		}
	}
	// A change of the domain changes these answers, so a CDN has to purge them.
	for host, tag := range map[string]string{goDomain.Host: "domain-" + goDomain.ID, ioDomain.Host: "domain-" + ioDomain.ID} {
		for _, path := range []string{"/", "/robots.txt", "/unknown", "/a/b"} {
			a := s.get(path, "Host", host)
			if a.header.Get("Cache-Tag") != tag || a.header.Get("Surrogate-Key") != tag {
				t.Errorf("GET %s of %s has the tags %q and %q, want %q", path, host, a.header.Get("Cache-Tag"), a.header.Get("Surrogate-Key"), tag)
			}
		}
	}
	if a := s.get("/unknown", "Host", "go.terse.example"); a.header.Get("Cache-Tag") != "" {
		t.Errorf("unknown code of the default domain has the tag %q, want none", a.header.Get("Cache-Tag"))
	}
}

// TestEndedLinksOfDomains checks where a domain sends visits of ended links. A disabled link is
// always 451.
func TestEndedLinksOfDomains(t *testing.T) {
	t.Parallel()
	s := newServer(t, withDomains(t, goDomain, ioDomain))
	for _, id := range []string{goDomain.ID, ioDomain.ID} {
		s.on(id, "expired", func(l *store.Link) { l.ExpiresAt = s.clock.Now() })
		s.on(id, "disabled", func(l *store.Link) { l.DisabledAt, l.DisabledReason = s.clock.Now(), "phishing" })
		s.on(id, "deleted", asIs)
		_, err := s.store.Delete(t.Context(), store.LinkKey(id, "deleted"), 0, s.clock.Now())
		must(t, err)
	}
	for _, tt := range []struct {
		host, code string
		status     int
		location   string
	}{
		{goDomain.Host, "expired", 410, ""},
		{goDomain.Host, "deleted", 410, ""},
		{ioDomain.Host, "expired", 307, "https://example.net/ended"},
		{ioDomain.Host, "deleted", 307, "https://example.net/ended"},
		{ioDomain.Host, "disabled", 451, ""},
		{goDomain.Host, "disabled", 451, ""},
	} {
		a := s.get("/"+tt.code, "Host", tt.host)
		if a.status != tt.status || a.header.Get("Location") != tt.location {
			t.Errorf("GET /%s of %s = %d to %q, want %d to %q", tt.code, tt.host, a.status, a.header.Get("Location"), tt.status, tt.location)
		}
		if got := a.header.Get("Cache-Tag"); !strings.Contains(got, "link-") || !strings.Contains(got, "domain-") {
			t.Errorf("GET /%s of %s has the tag %q, want those of the link and the domain", tt.code, tt.host, got)
		}
	}
}
