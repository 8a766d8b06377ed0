package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/client"
	"github.com/terse/terse/store"
)

// manager returns the Authorization header of a key that may read and change domains.
func (s *server) manager(name string) []string {
	s.t.Helper()
	return s.key(name, store.ScopeDomainsRead, store.ScopeDomainsWrite, store.ScopeLinksRead, store.ScopeLinksWrite)
}

// domain decodes an answer with a domain.
func (a answer) domain(status int) (d client.Domain) {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("answer = %d %.500s, want %d", a.status, a.body, status)
	}
	a.into(&d)
	return d
}

// TestDomainsOverTheAPI adds, reads, changes and removes domains.
func TestDomainsOverTheAPI(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := []string{"Host", "go.terse.example"} // other hosts are unknown once there is a domain
	ann, admin, bob := append(s.manager("ann"), at...), append(s.key("admin", store.ScopeAdmin), at...), append(s.manager("bob"), at...)
	added := s.send(http.MethodPost, "/api/v1/domains", `{"host":"Bücher.Example.","aliases":["www.bücher.example"],"root_url":"https://example.com","root_status":301}`, ann...)
	d := added.domain(http.StatusCreated)
	if d.Host != "xn--bcher-kva.example" || d.State != "pending" || d.Version != 1 || len(d.Hosts) != 2 || d.RootURL == nil || *d.RootURL != "https://example.com" || d.VerifiedAt != nil {
		t.Errorf("added domain = %+v", d)
	}
	if added.header.Get("Location") != "/api/v1/domains/xn--bcher-kva.example" || added.header.Get("ETag") != `"1"` {
		t.Errorf("headers of an added domain = %v, want Location and ETag", added.header)
	}
	if len(d.DNS) != 4 || d.DNS[0].Type != "ALIAS" || d.DNS[0].Value != "go.terse.example" || d.DNS[1].Type != "TXT" || d.DNS[2].Type != "CNAME" {
		t.Errorf("records of an added domain = %+v, want the address and the proof of each host", d.DNS)
	}
	if got := s.get("/api/v1/domains/b%C3%BCcher.example", ann...).domain(http.StatusOK); got.ID != d.ID {
		t.Errorf("domain by another spelling = %+v, want %s", got, d.ID)
	}
	if a := s.get("/any", "Host", d.Host); a.status != http.StatusMisdirectedRequest {
		t.Errorf("visit of a pending domain = %d, want 421", a.status)
	}
	for _, path := range []string{"/.well-known/terse/wrong", "/.well-known/terse/", "/.well-known/terse/a/b"} {
		if a := s.get(path, "Host", d.Host); a.status == http.StatusOK {
			t.Errorf("GET %s of a pending domain = %d %s, want an error", path, a.status, a.body)
		}
	}

	path := "/api/v1/domains/" + d.Host
	edited := s.send(http.MethodPatch, path, `{"aliases":[],"shared":true,"root_url":null,"robots":"disallow"}`, append(ann, "If-Match", `"1"`)...)
	if got := edited.domain(http.StatusOK); got.Version != 2 || len(got.Hosts) != 1 || !got.Shared || got.RootURL != nil || got.Robots != "disallow" || edited.header.Get("ETag") != `"2"` {
		t.Errorf("edited domain = %+v", got)
	}
	s.send(http.MethodPatch, path, `{"off":true}`, append(ann, "If-Match", `"1"`)...).problem(http.StatusPreconditionFailed)
	if got := s.send(http.MethodPatch, path, `{"verified":true}`, admin...).domain(http.StatusOK); got.State != "active" || got.Hosts[0].VerifiedAt == nil {
		t.Errorf("domain that an admin verified = %+v, want it active", got)
	}
	s.on(d.ID, "spring", asIs)
	if a := s.get("/spring", "Host", d.Host); a.status != http.StatusFound {
		t.Errorf("visit of an active domain = %d, want 302", a.status)
	}

	if got := s.get(path, bob...).domain(http.StatusOK); len(got.DNS) != 0 {
		t.Errorf("shared domain as another owner sees it = %+v, want no records", got)
	}
	s.send(http.MethodPatch, path, `{"off":true}`, bob...).problem(http.StatusForbidden)
	var page client.DomainPage
	s.get("/api/v1/domains?limit=1", bob...).into(&page)
	if len(page.Domains) != 1 || page.Domains[0].ID != d.ID || page.NextCursor != "" {
		t.Errorf("domains of another owner = %+v, want the shared one", page)
	}

	a := s.do(http.MethodDelete, path, nil, ann...)
	if a.problem(http.StatusConflict); !strings.Contains(string(a.body), "force=true") {
		t.Errorf("removal of a domain with links = %s, want it to name force", a.body)
	}
	if a := s.do(http.MethodDelete, path+"?force=true", nil, ann...); a.status != http.StatusNoContent {
		t.Errorf("forced removal = %d %s, want 204", a.status, a.body)
	}
	s.get(path, ann...).problem(http.StatusGone)
	s.get(path, bob...).problem(http.StatusNotFound)
	a = s.send(http.MethodPost, "/api/v1/domains", `{"host":"xn--bcher-kva.example"}`, bob...)
	if a.problem(http.StatusConflict); !strings.Contains(string(a.body), "_terse.xn--bcher-kva.example") {
		t.Errorf("claim of another owner's host = %s, want the TXT record", a.body)
	}
	if got := s.send(http.MethodPost, "/api/v1/domains", `{"host":"xn--bcher-kva.example","verified":true}`, admin...).domain(http.StatusCreated); got.ID == d.ID {
		t.Error("an admin who takes the host over gets the links of its owner")
	}
}

// certificates are the certificates of hosts.
type certificates map[string]store.CertificateStatus

// Status implements api.Certificates.
func (c certificates) Status(host string) store.CertificateStatus { return c[host] }

// TestCertificatesOfDomains checks what the owner of a domain, and others, see of its certificates.
func TestCertificatesOfDomains(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, time.June, 1, 2, 3, 4, 0, time.UTC)
	known := certificates{
		"go.example.com":  {State: store.CertificateValid, Issuer: "R12", EndsAt: end},
		"new.example.com": {State: store.CertificateFailed, Problem: "port 80 does not answer", RetryAt: end},
	}
	at := []string{"Host", "go.terse.example"}
	for _, https := range []bool{true, false} {
		s := newServer(t, func(o *options) {
			if https {
				o.Certificates = known
			}
		})
		ann, bob := append(s.manager("ann"), at...), append(s.manager("bob"), at...)
		s.send(http.MethodPost, "/api/v1/domains", `{"host":"go.example.com","aliases":["new.example.com","*.go.example.com"],"shared":true}`, ann...).domain(http.StatusCreated)
		read := s.get("/api/v1/domains/go.example.com", ann...).domain(http.StatusOK)
		var page client.DomainPage
		s.get("/api/v1/domains", ann...).into(&page)
		for _, d := range []client.Domain{read, page.Domains[0]} {
			shown := map[string]*client.Certificate{}
			for _, h := range d.Hosts {
				shown[h.Host] = h.Certificate
			}
			if !https {
				if shown["go.example.com"] != nil {
					t.Errorf("certificate without HTTPS = %+v, want null", shown["go.example.com"])
				}
				continue
			}
			if c := shown["go.example.com"]; c == nil || c.State != "valid" || c.Issuer != "R12" || c.EndsAt == nil || !c.EndsAt.Equal(end) || c.Problem != "" || c.RetryAt != nil {
				t.Errorf("valid certificate = %+v", c)
			}
			if c := shown["new.example.com"]; c == nil || c.State != "failed" || c.EndsAt != nil || c.Problem != "port 80 does not answer" || c.RetryAt == nil || !c.RetryAt.Equal(end) {
				t.Errorf("missing certificate = %+v, want the reason", c)
			}
			if c := shown["*.go.example.com"]; c != nil {
				t.Errorf("certificate of a host with * = %+v, want null", c)
			}
		}
		for _, h := range s.get("/api/v1/domains/go.example.com", bob...).domain(http.StatusOK).Hosts {
			if h.Certificate != nil {
				t.Errorf("certificate of another owner = %+v, want null", h.Certificate)
			}
		}
	}
}

// TestWrongDomains checks that each wrong member of a request is named.
func TestWrongDomains(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ann := append(s.manager("ann"), "Host", "go.terse.example")
	s.send(http.MethodPost, "/api/v1/domains", `{"host":"go.example"}`, ann...).domain(http.StatusCreated)
	for _, tt := range []struct{ method, path, body, want string }{
		{http.MethodPost, "", `{}`, "body.host"},
		{http.MethodPost, "", `{"host":1,"aliases":"x","verified":"yes","shared":3,"root_status":303,"x":1}`, "body.aliases body.host body.root_status body.shared body.verified body.x"},
		{http.MethodPost, "", `{"host":"com","aliases":["127.0.0.1","co.uk"],"verified":true,"root_url":"javascript:1","ended_url":"https://go.terse.example/x"}`, "body.host body.aliases[0] body.aliases[1] body.root_url body.ended_url body.verified"},
		{http.MethodPost, "", `{"host":"a.example","not_found_url":"https://A.example./x"}`, "body.not_found_url"},
		{http.MethodPost, "", `{"host":"a.example","not_found_status":302}`, "body.not_found_status"},
		{http.MethodPatch, "/go.example", `{"host":null,"aliases":null,"off":null}`, "body.host body.aliases body.off"},
		{http.MethodPatch, "/go.example", `{"host":"*.x.example","robots":"all","verified":true}`, "body.host body.verified body.robots"},
		{http.MethodPatch, "/go.example", `{"aliases":["go.example"]}`, "body.aliases[0]"},
	} {
		if got := s.send(tt.method, "/api/v1/domains"+tt.path, tt.body, ann...).problem(http.StatusUnprocessableEntity); got != tt.want {
			t.Errorf("%s %s names %q, want %q", tt.method, tt.body, got, tt.want)
		}
	}
	if got := s.get("/api/v1/domains?cursor=!", ann...).problem(http.StatusUnprocessableEntity); got != "query.cursor" {
		t.Errorf("a wrong cursor names %q, want query.cursor", got)
	}
	s.get("/api/v1/domains/unknown.example", ann...).problem(http.StatusNotFound)
	s.get("/api/v1/domains/a%20b", ann...).problem(http.StatusNotFound)
	s.send(http.MethodPost, "/api/v1/domains", `{"host":"go.example"}`, ann...).problem(http.StatusConflict)
	var verified client.Verification
	s.do(http.MethodPost, "/api/v1/domains/go.example/verify", nil, ann...).into(&verified)
	if len(verified.Checks) != 1 || verified.Checks[0].OK || verified.Checks[0].Type != "TXT" || verified.Checks[0].Problem == "" || verified.Domain.State != "pending" {
		t.Errorf("verification without DNS = %+v, want the failed check of the TXT record", verified)
	}
}
