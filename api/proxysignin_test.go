package api_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/access"
	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
)

// proxySignIn is the setting of the tests.
var proxySignIn = api.ProxySignIn{
	User: "Remote-User", Groups: "Remote-Groups", Grants: []access.Grant{
		{Group: "Sales", Workspace: "marketing", Role: store.RoleEditor}, {Group: "Guests", Workspace: "marketing", Role: store.RoleViewer},
	},
}

// sessionCookie returns the header Cookie with the session that an answer begins, or nil.
func sessionCookie(a answer) []string {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == cookieName && c.Value != "" {
			return []string{"Cookie", c.Name + "=" + c.Value}
		}
	}
	return nil
}

// TestSignInByProxy signs people in whom a trusted proxy names.
func TestSignInByProxy(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	s := newServer(t, func(o *options) {
		o.ProxySignIn, o.Clients, o.Logger = proxySignIn, proxies(t, "127.0.0.1/32"), slog.New(slog.NewJSONHandler(&logged, nil))
	})
	const page = "/~/sign-in?return_to=/~/new"
	ann := func(groups string) []string {
		return []string{"Remote-User", "ann@example.com", "Remote-Groups", groups}
	}
	status := func(name, path string, headers []string, want int) {
		t.Helper()
		if got := s.get(path, headers...).status; got != want {
			t.Errorf("%s: GET %s = %d, want %d", name, path, got, want)
		}
	}
	if a := s.get("/~/new", ann("Sales")...); a.status != http.StatusSeeOther || a.header.Get("Location") != "/~/sign-in?return_to=%2F~%2Fnew" {
		t.Fatalf("a page without a session = %d to %q", a.status, a.header.Get("Location"))
	}
	if a := s.do(http.MethodHead, page, nil, ann("Sales")...); sessionCookie(a) != nil {
		t.Errorf("HEAD = %d and begins a session", a.status)
	}
	a := s.get(page, ann("Other | Sales,More")...)
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/~/new" {
		t.Fatalf("the sign-in = %d to %q: %.600s", a.status, a.header.Get("Location"), a.body)
	}
	session := append(a.cookie(), ann("Sales")...)
	status("an editor", "/~/new", session, http.StatusOK)
	members, err := s.access.Members(t.Context(), administrator(), "marketing")
	if err != nil || len(members) != 1 || members[0].Name != "ann@example.com" || members[0].Member.Subject != "ann@example.com" || members[0].Member.Issuer != access.ProxyIssuer {
		t.Errorf("the members are %+v, %v, want Ann once", members, err)
	}

	// The session is valid only while the proxy names the same person.
	status("without the header", "/~/links", session[:2], http.StatusSeeOther)
	status("another person at the proxy", "/~/links", append(session[:2:2], "Remote-User", "bob", "Remote-Groups", "Sales"), http.StatusSeeOther)
	status("the same person again", "/~/links", session, http.StatusOK)

	// Other websites cannot use it.
	form := linkFields(nil)
	if a := s.postTo("/~/new", form, append(session, "Sec-Fetch-Site", "cross-site")...); a.status != http.StatusForbidden {
		t.Errorf("a form of another website = %d, want 403", a.status)
	}
	if a := s.postTo("/~/new", form, ann("Sales")...); a.status != http.StatusUnauthorized || !strings.Contains(string(a.body), "Continue as <bdi>ann@example.com</bdi>") {
		t.Errorf("a form without a session = %d, want 401 and the way back: %.900s", a.status, a.body)
	}
	if a := s.send(http.MethodGet, "/api/v1/links", "", ann("Sales")...); a.status != http.StatusUnauthorized {
		t.Errorf("the API with the header = %d, want 401", a.status)
	}

	// Signing out shows the page: a sign-in at once would undo it.
	a = s.postTo("/~/sign-out", nil, session...)
	if a.header.Get("Location") != "/~/sign-in" {
		t.Errorf("sign-out leads to %q", a.header.Get("Location"))
	}
	if a = s.get("/~/sign-in", ann("Sales")...); a.status != http.StatusOK || sessionCookie(a) != nil || !strings.Contains(string(a.body), `href="/~/sign-in?return_to=%2F~%2Flinks"`) {
		t.Errorf("the page after the sign-out = %d: %.900s", a.status, a.body)
	}
	for to, want := range map[string]string{"https://evil.example/": "/~/links", "//evil.example": "/~/links", `/~/\evil`: "/~/links", "/~/../x": "/~/links", "/~/keys": "/~/keys"} {
		if a := s.get("/~/sign-in?"+url.Values{"return_to": {to}}.Encode(), ann("Sales")...); a.header.Get("Location") != want {
			t.Errorf("return_to %q leads to %q, want %q", to, a.header.Get("Location"), want)
		}
	}

	// Roles follow the groups at every sign-in.
	session = append(s.get(page, ann("Sales")...).cookie(), ann("Guests")...)
	status("before the next sign-in", "/~/new", session, http.StatusOK)
	guest := append(s.get(page, ann("Guests")...).cookie(), ann("Guests")...)
	status("a guest", "/~/new", guest, http.StatusForbidden)
	status("the session of the role before", "/~/links", session, http.StatusSeeOther)
	if a = s.get(page, ann("")...); a.status != http.StatusForbidden || sessionCookie(a) != nil || !strings.Contains(string(a.body), "None of your groups at the proxy") {
		t.Errorf("a person without groups = %d: %.900s", a.status, a.body)
	}
	status("a person who lost the groups", "/~/links", guest, http.StatusSeeOther)
	session = append(s.get(page, ann("Sales")...).cookie(), ann("Sales")...)
	members, err = s.access.Members(t.Context(), administrator(), "marketing")
	must(t, err)
	_, err = s.access.Remove(t.Context(), administrator(), members[0].ID)
	must(t, err)
	status("a removed person", "/~/links", session, http.StatusSeeOther)

	// A key still signs in, and the session needs no header.
	status("the session of a key", "/~/links", s.signIn(s.owner("owner")).headers, http.StatusOK)
	if got := logged.String(); strings.Contains(got, "ignored") {
		t.Errorf("headers of the trusted proxy are logged as ignored: %s", got)
	}
}

// TestSignInByProxyRefuses sends headers that name nobody.
func TestSignInByProxyRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.ProxySignIn, o.Clients = proxySignIn, proxies(t, "127.0.0.1/32") })
	for name, headers := range map[string]http.Header{
		"two people":           {"Remote-User": {"ann", "bob"}, "Remote-Groups": {"Sales"}},
		"the same person":      {"Remote-User": {"ann", "ann"}, "Remote-Groups": {"Sales"}},
		"empty":                {"Remote-User": {""}, "Remote-Groups": {"Sales"}},
		"empty and a person":   {"Remote-User": {"", "ann"}, "Remote-Groups": {"Sales"}},
		"blanks":               {"Remote-User": {"  \u00a0"}, "Remote-Groups": {"Sales"}},
		"too long":             {"Remote-User": {strings.Repeat("a", 256)}, "Remote-Groups": {"Sales"}},
		"a line break":         {"Remote-User": {"ann\nbob"}, "Remote-Groups": {"Sales"}},
		"a zero byte":          {"Remote-User": {"ann\x00"}, "Remote-Groups": {"Sales"}},
		"a tab":                {"Remote-User": {"ann\tb"}, "Remote-Groups": {"Sales"}},
		"no UTF-8":             {"Remote-User": {"ann\xff"}, "Remote-Groups": {"Sales"}},
		"reversed text":        {"Remote-User": {"ann\u202e"}, "Remote-Groups": {"Sales"}},
		"two lists of groups":  {"Remote-User": {"ann"}, "Remote-Groups": {"Other", "Sales"}},
		"a zero byte in group": {"Remote-User": {"ann"}, "Remote-Groups": {"Sales,\x00"}},
		"too many groups":      {"Remote-User": {"ann"}, "Remote-Groups": {"Sales," + strings.Repeat("g", 8<<10)}},
		"no groups":            {"Remote-User": {"ann"}},
		"another spelling":     {"Remote-User": {"ann"}, "Remote-Groups": {"sales"}},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, baseURL+"/~/sign-in?return_to=/~/links", nil)
		r.Header, r.RemoteAddr = headers, "127.0.0.1:5000"
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		if got := w.Result(); got.StatusCode != http.StatusForbidden || len(got.Cookies()) > 0 || !strings.Contains(w.Body.String(), `name="key"`) {
			t.Errorf("%s: the sign-in = %d with the cookies %v, want 403 and the form for keys: %.600s", name, got.StatusCode, got.Cookies(), w.Body)
		}
	}
	if members, err := s.access.Members(t.Context(), administrator(), "marketing"); err != nil || len(members) != 0 {
		t.Errorf("the members are %+v, %v, want nobody", members, err)
	}
}

// TestUntrustedProxyHeader sends the header from a peer that is no trusted proxy. It counts for nothing.
func TestUntrustedProxyHeader(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	s := newServer(t, func(o *options) {
		o.ProxySignIn, o.Clients, o.Logger = proxySignIn, proxies(t, "192.0.2.0/24"), slog.New(slog.NewJSONHandler(&logged, nil))
	})
	forged := []string{"Remote-User", "admin", "Remote-Groups", "Sales", "X-Forwarded-For", "192.0.2.1", "Forwarded", "for=192.0.2.1"}
	for _, path := range []string{"/~/sign-in", "/~/sign-in?return_to=/~/links"} {
		if a := s.get(path, forged...); a.status != http.StatusOK || sessionCookie(a) != nil || strings.Contains(string(a.body), "admin<") {
			t.Errorf("GET %s with a forged header = %d, want the form without a person: %.900s", path, a.status, a.body)
		}
	}
	want := "# HELP terse_signin_untrusted_headers_total Requests for the page to sign in with the header of TERSE_PROXY_SIGN_IN from a peer that is not a trusted proxy. The header is ignored.\n# TYPE terse_signin_untrusted_headers_total counter\nterse_signin_untrusted_headers_total 2\n"
	if err := testutil.GatherAndCompare(s.registry, strings.NewReader(want), "terse_signin_untrusted_headers_total"); err != nil {
		t.Error(err)
	}
	if got := logged.String(); strings.Count(got, "sign-in header ignored") != 1 || strings.Contains(got, "admin") {
		t.Errorf("the log is %s, want one line without the person", got)
	}
	// A session that the real proxy began is of no use from here.
	token, err := s.access.SignInByProxy(t.Context(), access.Person{Subject: "ann", Name: "Ann", Roles: map[string]store.Role{"marketing": store.RoleEditor}})
	must(t, err)
	for _, headers := range [][]string{nil, {"Remote-User", "ann", "Remote-Groups", "Sales"}} {
		if a := s.get("/~/links", append([]string{"Cookie", cookieName + "=" + token}, headers...)...); a.status != http.StatusSeeOther {
			t.Errorf("a stolen session of the proxy with %v = %d, want 303 to the sign-in", headers, a.status)
		}
	}
}
