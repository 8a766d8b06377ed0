package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

// openDomains are goDomain and ioDomain, on which every owner may create links.
func openDomains() []store.Domain {
	all := []store.Domain{goDomain, ioDomain}
	for i := range all {
		all[i].Shared = true
	}
	return all
}

// newBaseServer returns a server whose requests have the host of the base URL.
func newBaseServer(t *testing.T, change ...func(*options)) *server {
	t.Helper()
	s := newServer(t, change...)
	s.host = "go.terse.example"
	return s
}

// TestSameCodeOnThreeDomains creates, reads, edits, deletes, takes down, lists and draws links that
// differ only in their domain.
func TestSameCodeOnThreeDomains(t *testing.T) {
	t.Parallel()
	s := newBaseServer(t, withDomains(t, openDomains()...))
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	hosts := []string{"go.terse.example", goDomain.Host, ioDomain.Host}
	made := map[string]linkJSON{}
	for i, host := range hosts {
		domain := []string{"", strings.ToUpper(host), "www." + host}[i] // other spellings and a further host
		body := map[string]any{"url": "https://example.com/" + host, "alias": "spring", "tags": []string{"tag"}}
		if domain != "" {
			body["domain"] = domain
		}
		a := s.send(http.MethodPost, "/api/v1/links", body, owner...)
		l := a.link()
		if short := "https://" + host + "/spring"; a.status != http.StatusCreated || a.header.Get("Location") != short || l.Code != "spring" || l.Domain != host || l.ShortURL != short {
			t.Fatalf("create on %s = %d %s, want the short URL %s", domain, a.status, a.body, short)
		}
		s.send(http.MethodPost, "/api/v1/links", body, owner...).problem(http.StatusConflict)
		made[host] = l
	}
	path := func(host, rest, query string) string {
		return "/api/v1/links/spring" + rest + "?" + url.Values{"domain": {host}}.Encode() + query
	}
	for host, l := range made {
		if got := s.get(path(host, "", ""), owner...).link(); got.URL != l.URL || got.Version != 1 {
			t.Errorf("link on %s = %+v, want %+v", host, got, l)
		}
		for _, filter := range []string{"", "&tag=tag", "&q=spring"} {
			var page struct{ Links []linkJSON }
			s.get("/api/v1/links?domain="+host+filter, owner...).into(&page)
			if len(page.Links) != 1 || page.Links[0].ShortURL != l.ShortURL {
				t.Errorf("list of %s%s = %+v, want one link", host, filter, page.Links)
			}
		}
		picture := s.get(path(host, "/qr", "&format=svg"))
		if picture.status != http.StatusOK || !contains(picture.body, l.ShortURL) {
			t.Errorf("QR code on %s = %d %.300s, want the short URL %s", host, picture.status, picture.body, l.ShortURL)
		}
	}
	if l := s.get("/api/v1/links/spring", owner...).link(); l.Domain != hosts[0] {
		t.Errorf("link without a domain is on %q, want %q", l.Domain, hosts[0])
	}

	if l := s.send(http.MethodPatch, path(hosts[1], "", ""), `{"url":"https://example.com/2"}`, owner...).link(); l.Domain != hosts[1] || l.Version != 2 {
		t.Errorf("edited link = %+v, want version 2", l)
	}
	if l := s.send(http.MethodPost, path(hosts[1], "/rollback", ""), `{"version":1}`, owner...).link(); l.URL != made[hosts[1]].URL || l.Version != 3 {
		t.Errorf("rolled back link = %+v, want the first target", l)
	}
	var history struct{ Entries []struct{ Version int } }
	if s.get(path(hosts[1], "/history", ""), owner...).into(&history); len(history.Entries) != 3 {
		t.Errorf("history = %+v, want three versions", history)
	}
	if l := s.send(http.MethodPost, path(hosts[2], "/disable", ""), `{"reason":"phishing"}`, admin...).link(); l.State != "disabled" || l.Domain != hosts[2] {
		t.Errorf("disabled link = %+v, want it on %s", l, hosts[2])
	}
	if l := s.send(http.MethodPost, path(hosts[2], "/enable", ""), `{}`, admin...).link(); l.State != "live" {
		t.Errorf("enabled link = %+v, want it live", l)
	}
	if a := s.do(http.MethodDelete, path(hosts[0], "", ""), nil, owner...); a.status != http.StatusNoContent {
		t.Errorf("delete = %d %s, want 204", a.status, a.body)
	}
	for i, want := range []int{http.StatusGone, http.StatusFound, http.StatusFound} {
		if a := s.get("/spring", "Host", hosts[i]); a.status != want {
			t.Errorf("visit on %s = %d, want %d", hosts[i], a.status, want)
		}
	}
	if l := s.create(map[string]any{"url": "https://example.com/", "domain": hosts[1]}, owner...); l.Domain != hosts[1] || len(l.Code) != 9 {
		t.Errorf("create on %s = %+v, want a minted code", hosts[1], l)
	}
	for _, target := range []string{"https://" + hosts[1] + "/x", "http://www." + hosts[2] + ":8080/"} {
		a := s.send(http.MethodPost, "/api/v1/links", map[string]any{"url": target}, owner...)
		if got := fieldsOf(t, &a, "body."); got != "url" {
			t.Errorf("link to %s names %q, want url", target, got)
		}
	}
}

// TestDomainsThatAreRefused names domains that do not exist.
func TestDomainsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newBaseServer(t, withDomains(t, goDomain)) // not shared
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	for _, host := range []string{"unknown.example", "", goDomain.ID, "go.example.com@evil.example", "go.example.com\x00", strings.Repeat("a", 300), goDomain.Host} {
		a := s.send(http.MethodPost, "/api/v1/links", map[string]any{"url": "https://example.com/", "domain": host}, owner...)
		if got := fieldsOf(t, &a, "body."); got != "domain" {
			t.Errorf("create on %q names %q, want domain", host, got)
		}
		if host == "" || host == goDomain.Host {
			continue
		}
		for _, path := range []string{"/api/v1/links?", "/api/v1/links/spring?", "/api/v1/links/spring/history?", "/api/v1/links/spring/qr?"} {
			a := s.get(path+url.Values{"domain": {host}}.Encode(), admin...)
			if got := fieldsOf(t, &a, "query."); got != "domain" {
				t.Errorf("GET %sdomain=%q names %q, want domain", path, host, got)
			}
		}
	}
	s.get("/api/v1/links/spring?domain=unknown.example").problem(http.StatusUnauthorized)
	s.get("/api/v1/links/spring?domain="+goDomain.Host, owner...).problem(http.StatusNotFound)
	s.get("/api/v1/links/"+goDomain.ID+"%2Fspring", owner...).problem(http.StatusNotFound)
	a := s.send(http.MethodPost, "/api/v1/links/batch", fmt.Sprintf(`{"links":[{"url":"https://example.com/","domain":%q},{"url":"https://example.com/","domain":null}]}`, goDomain.Host), admin...)
	var batch batchJSON
	a.into(&batch)
	if len(batch.Results) != 2 || batch.Results[0].Link.Domain != goDomain.Host || batch.Results[1].Link.Domain != "go.terse.example" {
		t.Errorf("batch = %s, want a link on each domain", a.body)
	}
}

// TestArchiveOfDomains exports links with one code on three domains, and imports them into another
// system with the same domains.
func TestArchiveOfDomains(t *testing.T) {
	t.Parallel()
	from, to := newBaseServer(t, withDomains(t, openDomains()...)), newBaseServer(t, withDomains(t, openDomains()...))
	for _, id := range []string{"", goDomain.ID, ioDomain.ID} {
		from.on(id, "spring", asIs)
	}
	all := from.export(2, from.key("admin", store.ScopeAdmin)...)
	admin := to.key("admin", store.ScopeAdmin)
	domains := map[any]bool{}
	for _, l := range all {
		domains[l["domain"]] = true
	}
	if len(all) != 3 || !domains[""] || !domains[goDomain.Host] || !domains[ioDomain.Host] {
		t.Fatalf("export = %v, want a link of each domain", all)
	}
	for _, want := range []int{http.StatusCreated, http.StatusOK} {
		for i, r := range to.put(all, admin...).Results {
			if r.Status != want || r.Link.Domain == "" {
				t.Errorf("import of link %d = %+v, want %d", i, r, want)
			}
		}
	}
	if again := to.export(100, admin...); fmt.Sprint(again) != fmt.Sprint(all) {
		t.Errorf("export after the import = %v, want %v", again, all)
	}
	all[0]["domain"] = "unknown.example"
	if r := to.put(all[:1], admin...).Results[0]; r.Status != http.StatusUnprocessableEntity {
		t.Errorf("import on an unknown domain = %+v, want 422", r)
	}
}

// TestReportOnADomain reports a link of a domain.
func TestReportOnADomain(t *testing.T) {
	t.Parallel()
	s := newBaseServer(t, withDomains(t, goDomain))
	s.on(goDomain.ID, "spring", asIs)
	form := url.Values{"reason": {"phishing"}}.Encode()
	s.do(http.MethodPost, "/spring+", []byte(form), "Host", goDomain.Host, "Content-Type", "application/x-www-form-urlencoded")
	var page struct {
		Reports []struct {
			Code, Domain string
			ShortURL     string `json:"short_url"`
		}
	}
	s.get("/api/v1/reports", s.key("admin", store.ScopeAdmin)...).into(&page)
	if len(page.Reports) != 1 || page.Reports[0].Code != "spring" || page.Reports[0].Domain != goDomain.Host || page.Reports[0].ShortURL != "https://"+goDomain.Host+"/spring" {
		t.Errorf("reports = %+v, want one of the link on %s", page.Reports, goDomain.Host)
	}
}

// TestClaimsAreNotRevealed checks that a caller gets one answer for every host that is not active,
// whether another owner has claimed it or not.
func TestClaimsAreNotRevealed(t *testing.T) {
	t.Parallel()
	active := store.Domain{ID: "n9Vb3cZaQ", Host: "active.example", State: store.DomainActive}
	claimed := []store.Domain{active}
	for i, d := range []store.Domain{{State: store.DomainPending}, {State: store.DomainOff}, {State: store.DomainRemoved}, {State: store.DomainRemoved, Shared: true}} {
		d.ID, d.Host, d.Owner = fmt.Sprintf("claimed0%d", i), fmt.Sprintf("claimed%d.example", i), "key_other"
		claimed = append(claimed, d)
	}
	s := newServer(t, withDomains(t, claimed...))
	instance := regexp.MustCompile(`"instance":"[^"]*"`)
	keyed := s.key("ann", store.ScopeLinksRead, store.ScopeLinksWrite, store.ScopeDomainsRead, store.ScopeDomainsWrite)
	for _, d := range claimed {
		s.on(d.ID, "spring", asIs)
	}
	for _, call := range []struct {
		method, path, body string
		status             int
		header             []string
	}{
		{http.MethodGet, "/api/v1/links/spring?domain=HOST", "", 422, keyed},
		{http.MethodPatch, "/api/v1/links/spring?domain=HOST", `{"title":"x"}`, 422, keyed},
		{http.MethodDelete, "/api/v1/links/spring?domain=HOST", "", 422, keyed},
		{http.MethodGet, "/api/v1/links/spring/history?domain=HOST", "", 422, keyed},
		{http.MethodPost, "/api/v1/links/spring/rollback?domain=HOST", `{"version":1}`, 422, keyed},
		{http.MethodGet, "/api/v1/links/spring/qr?domain=HOST", "", 422, keyed},
		{http.MethodGet, "/api/v1/links/spring/qr?domain=HOST", "", 422, nil},
		{http.MethodGet, "/api/v1/links?domain=HOST", "", 422, keyed},
		{http.MethodPost, "/api/v1/links", `{"url":"https://example.com/","domain":"HOST"}`, 422, keyed},
		{http.MethodPost, "/api/v1/links", `{"url":"https://example.com/","domain":"HOST"}`, 422, nil},
		{http.MethodGet, "/api/v1/domains/HOST", "", 404, keyed},
		{http.MethodPatch, "/api/v1/domains/HOST", `{"off":true}`, 404, keyed},
		{http.MethodDelete, "/api/v1/domains/HOST", "", 404, keyed},
		{http.MethodPost, "/api/v1/domains/HOST/verify", "{}", 404, keyed},
		{http.MethodGet, "/spring", "", 421, nil},
		{http.MethodGet, "/.well-known/terse/wrong", "", 421, nil},
		{http.MethodGet, "/.well-known/security.txt", "", 421, nil},
	} {
		want := ""
		for _, host := range []string{"unknown0.example", "claimed0.example", "claimed1.example", "claimed2.example", "claimed3.example", "WWW.CLAIMED0.example"} {
			header := append([]string{"Host", "go.terse.example"}, call.header...)
			if call.status == 421 {
				header = []string{"Host", host}
			}
			a := s.send(call.method, strings.ReplaceAll(call.path, "HOST", host), strings.ReplaceAll(call.body, "HOST", host), header...)
			got := fmt.Sprintf("%d %s", a.status, instance.ReplaceAll(a.body, nil))
			if want == "" {
				want = got
			}
			if got != want || a.status != call.status {
				t.Errorf("%s %s of %s with key %t = %s, want %d and the answer for an unknown host: %s", call.method, call.path, host, call.header != nil, got, call.status, want)
			}
		}
	}
	if a := s.get("/api/v1/links/spring?domain=claimed0.example", append([]string{"Host", "go.terse.example"}, s.key("admin", store.ScopeAdmin, store.ScopeLinksRead)...)...); a.status != http.StatusOK {
		t.Errorf("link of a pending domain for an admin = %d %s, want 200", a.status, a.body)
	}
}
