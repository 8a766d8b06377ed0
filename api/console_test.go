package api_test

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/access"
	"github.com/terse/terse/client/transfer"
	"github.com/terse/terse/store"
)

// cookieName is the name of the cookie of sessions with an https base URL.
const cookieName = "__Host-terse"

// visitor is a browser on the console.
type visitor struct {
	*server
	headers []string
}

// signIn signs in with the API key of an Authorization header.
func (s *server) signIn(key []string) visitor {
	s.t.Helper()
	a := s.postTo("/~/sign-in", url.Values{"key": {strings.TrimPrefix(key[1], "Bearer ")}})
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/~/links" {
		s.t.Fatalf("sign-in = %d to %q, want 303 to the links: %.300s", a.status, a.header.Get("Location"), a.body)
	}
	return visitor{s, a.cookie()}
}

// cookie returns the header Cookie with the session that an answer begins.
func (a answer) cookie() []string {
	a.t.Helper()
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 {
		a.t.Fatalf("the answer has the cookies %v, want one", cookies)
	}
	c := cookies[0]
	if c.Name != cookieName || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 24*60*60 {
		a.t.Errorf("the cookie is %v", c)
	}
	return []string{"Cookie", c.Name + "=" + c.Value}
}

// postTo sends a form.
func (s *server) postTo(path string, form url.Values, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, path, []byte(form.Encode()), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

func (v visitor) open(path string) answer {
	v.t.Helper()
	return v.get(path, v.headers...)
}

func (v visitor) submit(path string, form url.Values) answer {
	v.t.Helper()
	return v.postTo(path, form, v.headers...)
}

// linkFields returns the fields that the form of a link sends, with changes.
func linkFields(change url.Values) url.Values {
	f := url.Values{"url": {"https://example.com/new"}, "status": {"302"}, "forward_query": {"off"}}
	maps.Copy(f, change)
	return f
}

// TestScreensByRole opens every page of the console, and sends every form, in every role.
func TestScreensByRole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.key("owner", store.ScopeLinksRead, store.ScopeLinksWrite, store.ScopeStatsRead)
	oneTime, err := s.access.Redeem(t.Context(), s.access.OneTimeLink())
	must(t, err)
	visitors := map[string]visitor{
		"owner":  s.signIn(owner),
		"reader": s.signIn(s.key("reader", store.ScopeLinksRead)),
		"writer": s.signIn(s.key("writer", store.ScopeLinksWrite)),
		"other":  s.signIn(s.key("other", store.ScopeLinksRead, store.ScopeLinksWrite, store.ScopeStatsRead)),
		"admin":  {s, []string{"Cookie", cookieName + "=" + oneTime}},
	}
	type want struct{ owner, reader, writer, other, admin int }
	for _, tt := range []struct {
		route string
		form  url.Values
		want
	}{
		{"GET /~/", nil, want{303, 303, 303, 303, 303}},
		{"GET /~/sign-in", nil, want{303, 303, 303, 303, 303}},
		{"GET /~/links", nil, want{200, 200, 403, 200, 200}},
		{"GET /~/tags", nil, want{200, 200, 403, 200, 200}},
		{"GET /~/tags?after=%00", nil, want{422, 422, 403, 422, 422}},
		{"GET /~/tags?owner=marketing", nil, want{403, 403, 403, 403, 200}},
		{"GET /~/stats", nil, want{200, 403, 403, 200, 200}},
		{"GET /~/stats?tag=spring", nil, want{200, 403, 403, 200, 422}},
		{"GET /~/stats?tag=spring&domain=go.terse.example", nil, want{422, 403, 403, 422, 422}},
		{"GET /~/stats?domain=nowhere.example&from=then", nil, want{422, 403, 403, 422, 422}},
		{"GET /~/stats?owner=marketing", nil, want{403, 403, 403, 403, 200}},
		{"GET /~/stats/total", nil, want{200, 403, 403, 200, 200}},
		{"GET /~/stats/total?tag=%00", nil, want{422, 403, 403, 422, 422}},
		{"GET /~/domains", nil, want{403, 403, 403, 403, 200}},
		{"POST /~/domains", url.Values{"host": {"a b"}, "aliases": {"com\n127.0.0.1"}}, want{403, 403, 403, 403, 422}},
		{"GET /~/domains/none.example", nil, want{403, 403, 403, 403, 404}},
		{"POST /~/domains/none.example/verify", nil, want{403, 403, 403, 403, 404}},
		{"GET /~/domains/none.example/edit", nil, want{403, 403, 403, 403, 404}},
		{"POST /~/domains/none.example/edit", nil, want{403, 403, 403, 403, 404}},
		{"GET /~/domains/none.example/remove", nil, want{403, 403, 403, 403, 404}},
		{"POST /~/domains/none.example/remove", nil, want{403, 403, 403, 403, 404}},
		{"GET /~/import", nil, want{200, 403, 200, 200, 200}},
		{"POST /~/import", url.Values{"file": {"url\nhttps://example.com/"}, "encoding": {"utf-8"}}, want{200, 403, 200, 200, 200}},
		{"POST /~/import/rows", url.Values{"data": {"!"}}, want{400, 403, 400, 400, 400}},
		{"GET /~/reports", nil, want{403, 403, 403, 403, 200}},
		{"GET /~/reports?state=x", nil, want{422, 422, 422, 422, 422}},
		{"GET /~/reports?cursor=x", nil, want{403, 403, 403, 403, 422}},
		{"POST /~/reports/disable/none", url.Values{"link": {"default/none"}, "reason": {"x"}}, want{403, 403, 403, 403, 404}},
		{"POST /~/reports/close/none", url.Values{"resolution": {"\x00"}}, want{403, 403, 403, 403, 422}},
		{"GET /~/blocklist", nil, want{403, 403, 403, 403, 200}},
		{"GET /~/blocklist?cursor=!", nil, want{403, 403, 403, 403, 422}},
		{"POST /~/blocklist", url.Values{"host": {"a b"}, "reason": {"\x00"}}, want{403, 403, 403, 403, 422}},
		{"POST /~/blocklist/remove", url.Values{"host": {"a b"}}, want{403, 403, 403, 403, 404}},
		{"GET /~/new", nil, want{200, 403, 200, 200, 200}},
		{"POST /~/new", linkFields(nil), want{303, 403, 303, 303, 303}},
		{"POST /~/bulk", url.Values{"action": {"tag"}, "tag": {"x"}, "link": {"default/none"}}, want{200, 403, 200, 200, 200}},
		{"POST /~/bulk", url.Values{"action": {"delete"}, "link": {"default/none"}}, want{200, 403, 200, 200, 200}},
		{"POST /~/bulk", url.Values{"action": {"disable"}, "link": {"default/none"}}, want{403, 403, 403, 403, 200}},
		{"POST /~/bulk", url.Values{"action": {"destroy"}, "link": {"default/none"}}, want{422, 422, 422, 422, 422}},
		{"POST /~/bulk", url.Values{"action": {"export"}, "link": {"default/:code"}}, want{200, 404, 403, 404, 200}},
		{"GET /~/links.csv", nil, want{200, 200, 403, 200, 200}},
		{"POST /~/bulk", url.Values{"action": {"delete"}}, want{422, 403, 422, 422, 422}},
		{"GET /~/links/default/:code", nil, want{200, 404, 403, 404, 200}},
		{"GET /~/links/default/:code/edit", nil, want{200, 403, 403, 404, 200}},
		{"POST /~/links/default/:code/edit", linkFields(url.Values{"version": {"1"}}), want{303, 403, 403, 404, 303}},
		{"GET /~/links/default/:code/delete", nil, want{200, 403, 403, 404, 200}},
		{"POST /~/links/default/:code/delete", url.Values{"version": {"1"}}, want{303, 403, 404, 404, 303}},
		{"GET /~/links/default/:code/history", nil, want{200, 404, 403, 404, 200}},
		{"GET /~/links/default/:code/qr", nil, want{200, 404, 403, 404, 200}},
		{"GET /~/links/default/:code/qr?size=1&margin=99&color=x", nil, want{422, 404, 403, 404, 422}},
		{"GET /~/links/default/:code/explain?user_agent=x", nil, want{200, 404, 403, 404, 200}},
		{"GET /~/links/default/:code/explain?ip=x&at=then", nil, want{422, 404, 403, 404, 422}},
		{"POST /~/links/default/:code/rollback", url.Values{"version": {"1"}, "current": {"1"}}, want{303, 403, 404, 404, 303}},
		{"POST /~/links/default/:code/disable", url.Values{"version": {"1"}, "reason": {"phishing"}}, want{403, 403, 403, 403, 303}},
		{"POST /~/links/default/:code/disable", url.Values{"version": {"1"}}, want{403, 403, 403, 403, 422}},
		{"POST /~/links/default/:code/enable", url.Values{"version": {"1"}}, want{403, 403, 403, 403, 303}},
		{"GET /~/links/default/:code/stats", nil, want{200, 403, 403, 404, 200}},
		{"GET /~/links/default/:code/stats/total", nil, want{200, 403, 403, 404, 200}},
		{"GET /~/links/nowhere.example/:code", nil, want{404, 404, 404, 404, 404}},
		{"GET /~/links/default/no~code", nil, want{404, 404, 403, 404, 404}},
		{"GET /~/keys", nil, want{403, 403, 403, 403, 200}},
		{"POST /~/keys", url.Values{"name": {"new"}, "scopes": {"links:read"}}, want{403, 403, 403, 403, 200}},
		{"POST /~/keys/revoke/key_none", nil, want{403, 403, 403, 403, 404}},
		{"GET /~/sessions", nil, want{200, 200, 200, 200, 200}},
		{"POST /~/sessions/end/key_none", nil, want{404, 404, 404, 404, 404}},
	} {
		for name, status := range map[string]int{"owner": tt.owner, "reader": tt.reader, "writer": tt.writer, "other": tt.other, "admin": tt.admin} {
			t.Run(tt.route+" as "+name, func(t *testing.T) {
				t.Parallel()
				who := visitors[name]
				who.server = s.in(t)
				l := who.create(`{"url":"https://example.com"}`, owner...)
				method, path, _ := strings.Cut(tt.route, " ")
				path = strings.ReplaceAll(path, ":code", l.Code)
				form, kind := []byte(strings.ReplaceAll(tt.form.Encode(), "%3Acode", l.Code)), "application/x-www-form-urlencoded"
				if strings.HasPrefix(path, "/~/import") {
					form, kind = multipartForm(t, tt.form)
				}
				a := who.do(method, path, form, append([]string{"Content-Type", kind}, who.headers...)...)
				if a.status != status {
					t.Errorf("%s as %s = %d %.600s, want %d", tt.route, name, a.status, a.body, status)
				}
				if got := a.header.Get("Cache-Control"); got != "private, no-store" {
					t.Errorf("Cache-Control = %q, want no-store", got)
				}
			})
		}
	}
}

func TestSignInRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Limits.Unknown = limit(t, "5/1m") })
	made := func(k store.Key) string {
		token, hash := store.NewToken()
		k.ID, k.Hash, k.Scopes, k.CreatedAt = store.NewKeyID(), hash, store.Scopes(), s.clock.Now()
		must(t, s.store.CreateKey(t.Context(), k))
		return token
	}
	session, err := s.access.SignIn(t.Context(), store.Key{ID: "key_a"})
	must(t, err)
	for name, token := range map[string]string{
		"empty": "", "noise": "tk_noise", "unknown": "tk_" + strings.Repeat("0", 64), "revoked": made(store.Key{RevokedAt: s.clock.Now()}),
		"expired": made(store.Key{ExpiresAt: s.clock.Now()}), "shared page": made(store.Key{Share: &store.Share{}}), "session": session,
	} {
		a := s.postTo("/~/sign-in", url.Values{"key": {token}})
		if a.status != http.StatusUnauthorized || a.header.Get("Set-Cookie") != "" {
			t.Errorf("sign-in with a key that is %s = %d with the cookie %q, want 401 without", name, a.status, a.header.Get("Set-Cookie"))
		}
		if token != "" && strings.Contains(string(a.body), token) {
			t.Errorf("the answer to a key that is %s shows it", name)
		}
	}
	var last answer
	for range 6 {
		last = s.postTo("/~/sign-in", url.Values{"key": {"tk_" + strings.Repeat("1", 64)}})
	}
	if last.status != http.StatusTooManyRequests || last.header.Get("Retry-After") == "" {
		t.Errorf("the last of many guesses = %d, want 429 with Retry-After", last.status)
	}
	other := newServer(t)
	key := other.key("busy", store.ScopeLinksRead)
	for range 61 {
		last = other.postTo("/~/sign-in", url.Values{"key": {strings.TrimPrefix(key[1], "Bearer ")}})
	}
	if last.status != http.StatusTooManyRequests {
		t.Errorf("the last of many sign-ins with a key = %d, want 429", last.status)
	}
}

func TestReturnTo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := strings.TrimPrefix(s.owner("owner")[1], "Bearer ")
	for to, want := range map[string]string{
		"": "/~/links", "/~/links?q=spring&tag=a%20b": "", "/~/links/default/abc/edit": "", "/~/new?url=https%3A%2F%2Fexample.com": "",
		"https://evil.example/": "/~/links", "//evil.example/": "/~/links", `/\evil.example`: "/~/links", "/~//evil.example": "/~/links", `/~/\evil.example`: "/~/links",
		"/~/../admin": "/~/links", "/~/%2e%2e/%2e%2e//evil.example": "/~/links", "javascript:alert(1)": "/~/links", "/~/links\r\nSet-Cookie: a=b": "/~/links",
		"/spring": "/~/links", "/~/s/tk_1": "/~/links", "/~/ü": "/~/links", "\x00": "/~/links", "/~/links/": "",
	} {
		if want == "" {
			want = to
		}
		a := s.postTo("/~/sign-in", url.Values{"key": {key}, "return_to": {to}})
		if got := a.header.Get("Location"); a.status != http.StatusSeeOther || got != want {
			t.Errorf("sign-in with return_to %q = %d to %q, want %q", to, a.status, got, want)
		}
		v := visitor{s, a.cookie()}
		if got := v.open("/~/sign-in?" + url.Values{"return_to": {to}}.Encode()).header.Get("Location"); got != want {
			t.Errorf("the sign-in page with return_to %q leads to %q, want %q", to, got, want)
		}
	}
	if got := s.get("/~/links?q=a%26b").header.Get("Location"); got != "/~/sign-in?return_to=%2F~%2Flinks%3Fq%3Da%2526b" {
		t.Errorf("a page without a session leads to %q", got)
	}
}

// TestOtherSites sends every form from another website.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	v := s.signIn(s.key("admin", store.ScopeAdmin))
	l := s.create(`{"url":"https://example.com"}`, s.owner("owner")...)
	paths := []string{
		"/~/sign-in", "/~/sign-out", "/~/bulk", "/~/in/" + s.access.OneTimeLink(), "/~/new", "/~/links/default/" + l.Code + "/edit", "/~/links/default/" + l.Code + "/delete",
		"/~/links/default/" + l.Code + "/rollback", "/~/links/default/" + l.Code + "/disable", "/~/links/default/" + l.Code + "/enable", "/~/keys", "/~/keys/revoke/key_none", "/~/members", "/~/members/role/key_none", "/~/members/remove/key_none",
		"/~/import", "/~/import/rows", "/~/reports/disable/none", "/~/reports/close/none", "/~/blocklist", "/~/blocklist/remove",
		"/~/domains", "/~/domains/none.example/verify", "/~/domains/none.example/edit", "/~/domains/none.example/remove",
		"/~/sessions/end/key_none",
	}
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		for _, path := range paths {
			a := v.postTo(path, linkFields(url.Values{"version": {"1"}, "name": {"x"}, "scopes": {"admin"}}), append(headers, v.headers...)...)
			if a.status != http.StatusForbidden || a.header.Get("Set-Cookie") != "" {
				t.Errorf("POST %s with %v = %d, want 403", path, headers, a.status)
			}
		}
	}
	if a := v.open("/~/links/default/" + l.Code); a.status != http.StatusOK {
		t.Errorf("the session after forms of other websites = %d, want it to live", a.status)
	}
}

func TestSessionsThatEnd(t *testing.T) {
	t.Parallel()
	admin := func(s *server) []string { return s.key("admin", store.ScopeAdmin) }
	for name, end := range map[string]func(s *server, v visitor){
		"signed out": func(_ *server, v visitor) { v.submit("/~/sign-out", nil) },
		"idle":       func(s *server, _ visitor) { s.clock.add(store.SessionIdle) },
		"another key": func(s *server, v visitor) {
			v.submit("/~/sign-in", url.Values{"key": {strings.TrimPrefix(s.owner("owner")[1], "Bearer ")}})
		},
		"key revoked": func(s *server, _ visitor) {
			_, err := s.store.RevokeKey(s.t.Context(), s.keyID("owner"), s.clock.Now())
			must(s.t, err)
		},
		"ended elsewhere": func(s *server, v visitor) {
			page := s.signIn(s.owner("owner"))
			id := regexp.MustCompile(`/~/sessions/end/(key_[a-z0-9]+)`).FindStringSubmatch(string(page.open("/~/sessions").body))
			if id == nil {
				s.t.Fatal("the page of sessions does not have the other session")
			}
			if a := page.submit("/~/sessions/end/"+id[1], nil); a.status != http.StatusSeeOther {
				s.t.Errorf("the end of another session = %d, want 303", a.status)
			}
		},
		"revoked by an administrator": func(s *server, _ visitor) {
			if a := s.signIn(admin(s)).submit("/~/keys/revoke/"+s.keyID("owner"), nil); a.status != http.StatusSeeOther {
				s.t.Errorf("the revocation = %d, want 303", a.status)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			v := s.signIn(s.owner("owner"))
			if a := v.open("/~/links"); a.status != http.StatusOK {
				t.Fatalf("a live session = %d, want 200", a.status)
			}
			end(s, v)
			if a := v.open("/~/links"); a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/~/sign-in") {
				t.Errorf("a page after the end = %d, want 303 to the sign-in", a.status)
			}
			if a := v.submit("/~/new", linkFields(nil)); a.status != http.StatusUnauthorized {
				t.Errorf("a form after the end = %d, want 401", a.status)
			}
		})
	}
}

// TestFixedTokens sends cookies without the token of a session. They must not sign in, and a sign-in
// must not keep them.
func TestFixedTokens(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.key("admin", store.ScopeAdmin)
	token := strings.TrimPrefix(key[1], "Bearer ")
	other, hash := store.NewToken()
	must(t, s.store.CreateKey(t.Context(), store.Key{ // a session of a key that does not exist
		ID: store.NewKeyID(), Hash: hash, Scopes: store.Scopes(), CreatedAt: s.clock.Now(), Session: &store.Session{Key: "key_none", Hash: hash},
	}))
	for _, value := range []string{"", "x", token, other, "tk_" + strings.Repeat("0", 64)} {
		headers := []string{"Cookie", cookieName + "=" + value}
		if a := s.get("/~/links", headers...); a.status != http.StatusSeeOther {
			t.Errorf("the cookie %q = %d, want 303 to the sign-in", value, a.status)
		}
		a := s.postTo("/~/sign-in", url.Values{"key": {token}}, headers...)
		if got := a.cookie()[1]; got == headers[1] {
			t.Errorf("the sign-in keeps the cookie %q", value)
		}
	}
	v := s.signIn(key)
	session := strings.TrimPrefix(v.headers[1], cookieName+"=")
	if a := s.get("/api/v1/links", "Authorization", "Bearer "+session); a.status != http.StatusUnauthorized {
		t.Errorf("the API with the token of a session = %d, want 401", a.status)
	}
	if a := s.get("/api/v1/links", v.headers...); a.status != http.StatusUnauthorized {
		t.Errorf("the API with the cookie of a session = %d, want 401", a.status)
	}
	if a := s.get("/~/links", "Cookie", "terse_session="+session); a.status != http.StatusSeeOther {
		t.Errorf("a cookie without the prefix __Host- = %d, want 303 to the sign-in", a.status)
	}
}

func TestOneTimeLinkByForm(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	path := "/~/in/" + s.access.OneTimeLink()
	for range 3 { // programs that preview links
		if a := s.get(path); a.status != http.StatusOK || a.header.Get("Set-Cookie") != "" {
			t.Errorf("GET of a one-time link = %d with the cookie %q", a.status, a.header.Get("Set-Cookie"))
		}
	}
	a := s.postTo(path, nil)
	v := visitor{s, a.cookie()}
	if a.header.Get("Location") != "/~/links" || v.open("/~/keys").status != http.StatusOK {
		t.Errorf("POST of a one-time link leads to %q, want the links of an administrator", a.header.Get("Location"))
	}
	if again := s.postTo(path, nil); again.status != http.StatusGone || again.header.Get("Set-Cookie") != "" {
		t.Errorf("a second POST = %d, want 410", again.status)
	}
	out := v.submit("/~/sign-out", nil)
	if out.header.Get("Clear-Site-Data") != `"cache"` || !strings.Contains(out.header.Get("Set-Cookie"), cookieName+"=; ") || !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("the sign-out sends %v", out.header)
	}
	if again := s.postTo(path, nil); again.status != http.StatusGone {
		t.Errorf("a POST after the sign-out = %d, want 410", again.status)
	}
	late := "/~/in/" + s.access.OneTimeLink()
	s.clock.add(access.LinkLife)
	if a := s.get(late); a.status != http.StatusGone {
		t.Errorf("a one-time link after %v = %d, want 410", access.LinkLife, a.status)
	}
}

func TestCreateByConsole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.owner("owner")
	v := s.signIn(key)
	f := linkFields(url.Values{
		"alias": {"spring"}, "title": {"Spring & <b>"}, "tags": {"b,c\r\na <i>\r\n"}, "starts_at": {"2026-07-01T10:00"}, "expires_at": {"2026-08-01T10:00:30"},
		"max_clicks": {"7"}, "confirm": {"true"}, "status": {"307"}, "forward_query": {"append"}, "password": {"open sesame"}, "nonce": {"n"},
	})
	for range 2 { // a form that is sent twice makes one link
		if a := v.submit("/~/new", f); a.status != http.StatusSeeOther || a.header.Get("Location") != "/~/links/default/spring?done=created" {
			t.Fatalf("a new link = %d to %q %.600s", a.status, a.header.Get("Location"), a.body)
		}
	}
	l := s.get("/api/v1/links/spring", key...).link()
	if l.URL != "https://example.com/new" || l.Title != "Spring & <b>" || !slices.Equal(l.Tags, []string{"a <i>", "b,c"}) || l.Status != 307 || l.MaxClicks != 7 ||
		!l.Confirm || !l.PasswordProtected || l.ForwardQuery != "append" || l.ExpiresAt.Format(time.RFC3339) != "2026-08-01T10:00:30Z" {
		t.Errorf("the form made %+v", l)
	}
	page := string(v.open("/~/links/default/spring?done=created").body)
	for _, want := range []string{"Spring &amp; &lt;b&gt;", "a &lt;i&gt;", "The link is created.", "https://example.com/new"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of the link does not contain %q", want)
		}
	}
	if strings.Contains(string(v.open("/~/links?done=<script>").body), "<script>") {
		t.Error("the list shows a parameter")
	}
	a := v.submit("/~/new", linkFields(url.Values{
		"url": {"javascript:alert(1)"}, "alias": {"a b"}, "title": {"a\x00"}, "tags": {" a"}, "starts_at": {"tomorrow"}, "expires_at": {"never"}, "max_clicks": {"many"},
		"status": {"200"}, "forward_query": {"maybe"}, "domain": {"nowhere.example"},
	}))
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong form = %d, want 422", a.status)
	}
	for _, field := range []string{"url", "alias", "title", "tags", "starts_at", "expires_at", "max_clicks", "status", "forward_query", "domain"} {
		if !regexp.MustCompile(`id="` + field + `-error"[^>]*>[^<]`).Match(a.body) {
			t.Errorf("a wrong form has no error at %s", field)
		}
	}
	if a := v.submit("/~/new", linkFields(url.Values{"url": {"https://example.com/1", "https://example.com/2"}})); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a form with two targets = %d, want 422", a.status)
	}
	taken := v.submit("/~/new", linkFields(url.Values{"alias": {"spring"}, "password": {"secret text"}}))
	if taken.status != http.StatusConflict || !strings.Contains(string(taken.body), "is taken") || strings.Contains(string(taken.body), "secret text") {
		t.Errorf("a taken alias = %d %.300s, want 409 at the alias, without the password", taken.status, taken.body)
	}
	if got := string(v.open("/~/new?url=https%3A%2F%2Fexample.com%2F%22%3E").body); !strings.Contains(got, `value="https://example.com/&#34;&gt;"`) {
		t.Error("the form for a new link does not have the target of its address")
	}
}

// TestEditConflict edits a link in two browsers. The second sees what the first has changed, and
// chooses.
func TestEditConflict(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.owner("owner")
	first, second := s.signIn(key), s.signIn(key)
	s.create(`{"url":"https://example.com/","alias":"spring","title":"Old","expires_at":"2026-07-01T10:00:00.123456Z"}`, key...)
	form := func(title, target, version string) url.Values {
		return linkFields(url.Values{"url": {target}, "title": {title}, "version": {version}, "expires_at": {"2026-07-01T10:00"}})
	}
	const edit = "/~/links/default/spring/edit"
	if a := first.submit(edit, form("First", "https://example.com/", "1")); a.header.Get("Location") != "/~/links/default/spring?done=saved" {
		t.Fatalf("the first edit = %d to %q %.600s", a.status, a.header.Get("Location"), a.body)
	}
	a := second.submit(edit, form("Second", "https://example.com/second", "1"))
	if a.status != http.StatusPreconditionFailed {
		t.Fatalf("the second edit = %d, want 412", a.status)
	}
	for _, want := range []string{"First", "Second", "https://example.com/second", `name="version" value="2"`} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("the conflict does not show %q", want)
		}
	}
	if l := s.get("/api/v1/links/spring", key...).link(); l.Title != "First" {
		t.Errorf("the conflict has changed the link to %+v", l)
	}
	if a := second.submit(edit, form("Second", "https://example.com/second", "2")); a.status != http.StatusSeeOther {
		t.Errorf("the choice = %d, want 303", a.status)
	}
	l := s.get("/api/v1/links/spring", key...).link()
	if l.Title != "Second" || l.ExpiresAt.Nanosecond() != 123456000 {
		t.Errorf("the link is %+v, want the second title and the whole time", l)
	}
	if a := second.submit(edit, form("Second", "https://example.com/second", "3")); a.header.Get("Location") != "/~/links/default/spring?done=unchanged" {
		t.Errorf("an edit without a change leads to %q", a.header.Get("Location"))
	}
	back := second.submit("/~/links/default/spring/rollback", url.Values{"version": {"1"}, "current": {"3"}})
	if l := s.get("/api/v1/links/spring", key...).link(); back.status != http.StatusSeeOther || l.URL != "https://example.com/" {
		t.Errorf("the roll-back = %d, and the link is %+v", back.status, l)
	}
	for _, path := range []string{"/delete", "/rollback"} {
		if a := first.submit("/~/links/default/spring"+path, url.Values{"version": {"1"}, "current": {"1"}}); a.status != http.StatusPreconditionFailed {
			t.Errorf("%s of an old version = %d, want 412", path, a.status)
		}
	}
	if a := first.submit("/~/links/default/spring/delete", nil); a.status != http.StatusPreconditionFailed {
		t.Errorf("a delete without a version = %d, want 412", a.status)
	}
}

func TestListInTheConsole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.owner("owner")
	for i := range 55 {
		s.create(fmt.Sprintf(`{"url":"https://example.com/%d","alias":"link-%02d","tags":["t%d"]}`, i, i, i%2), key...)
		s.clock.add(time.Second)
	}
	s.create(`{"url":"https://example.com/","alias":"foreign"}`, s.owner("other")...)
	v := s.signIn(key)
	row := regexp.MustCompile(`href="/~/links/default/([a-z0-9-]+)"`)
	codes := func(a answer) (found []string) {
		for _, m := range row.FindAllSubmatch(a.body, -1) {
			found = append(found, string(m[1]))
		}
		return found
	}
	page := v.open("/~/links?tag=&q=link")
	first := codes(page)
	next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindSubmatch(page.body)
	if len(first) != 50 || first[0] != "link-54" || next == nil {
		t.Fatalf("the first page has %d links from %v, and the next page is %s", len(first), first[:1], next)
	}
	if got := codes(v.open(strings.ReplaceAll(string(next[1]), "&amp;", "&"))); len(got) != 5 || got[4] != "link-00" {
		t.Errorf("the second page has %v", got)
	}
	for path, want := range map[string]int{
		"/~/links?tag=t1": 27, "/~/links?q=LINK-07": 1, "/~/links?q=foreign": 0, "/~/links?domain=go.terse.example&q=link-0": 10,
		"/~/links?state=live&q=link-0": 10, "/~/links?state=expired": 0, "/~/links?created_from=2000-01-01&q=link-0": 10, "/~/links?created_until=2000-01-01": 0,
	} {
		if got := codes(v.open(path)); len(got) != want {
			t.Errorf("%s has %d links, want %d", path, len(got), want)
		}
	}
	admin := s.signIn(s.key("admin", store.ScopeAdmin))
	if got := codes(admin.open("/~/links?q=foreign")); len(got) != 1 {
		t.Errorf("an administrator finds %v, want the link of another workspace", got)
	}
	for path, want := range map[string]int{"/~/links?owner=" + s.keyID("other"): 403, "/~/links?domain=nowhere.example": 422, "/~/links?q=%00": 422, "/~/links?cursor=x": 422, "/~/links?q=a&q=b": 422, "/~/links?state=deleted": 422, "/~/links?created_from=then": 422, "/~/links?created_until=2026-02-30": 422, "/~/links.csv?state=x": 422, "/~/links?q=%zz": 400, "/~/links?q=" + strings.Repeat("a", 201): 422} {
		if a := v.open(path); a.status != want {
			t.Errorf("%s = %d, want %d", path, a.status, want)
		}
	}
}

// TestEveryFieldInTheEditor edits rules, a switch and the code of a link.
func TestEveryFieldInTheEditor(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.owner("owner")
	v := s.signIn(key)
	s.create(`{"url":"https://example.com/","alias":"spring"}`, key...)
	const edit = "/~/links/default/spring/edit"
	ruled := url.Values{"version": {"1"}, "no_visitors": {"true"}, "alias": {"spring"}, "rules": {"[ {\"if\": {\"device\": [\"ios\"]}, \"to\": \"https://example.com/app\"} ]"}}
	if a := v.submit(edit, linkFields(ruled)); a.header.Get("Location") != "/~/links/default/spring?done=saved" {
		t.Fatalf("the edit = %d %.900s", a.status, a.body)
	}
	var l struct {
		Rules      []struct{ To string } `json:"rules"`
		NoVisitors bool                  `json:"no_visitors"`
	}
	s.get("/api/v1/links/spring", key...).into(&l)
	if len(l.Rules) != 1 || l.Rules[0].To != "https://example.com/app" || !l.NoVisitors {
		t.Errorf("the link is %+v", l)
	}
	for query, want := range map[string]string{
		"?user_agent=Mozilla/5.0+(iPhone%3B+CPU+iPhone+OS+18_0+like+Mac+OS+X)+AppleWebKit/605.1.15+(KHTML,+like+Gecko)+Version/18.0+Mobile/15E148+Safari/604.1": "Rule 1 applies.", "?user_agent=x": "the condition <bdi>if.device</bdi> does not hold", "": "No rule applies",
	} {
		if page := string(v.open("/~/links/default/spring/explain" + query).body); !strings.Contains(page, want) {
			t.Errorf("the explanation for %s does not say %q: %.3000s", query, want, page)
		}
	}
	picture := regexp.MustCompile(`<img src="([^"]+)"`).FindStringSubmatch(string(v.open("/~/links/default/spring/qr?size=300&margin=2&color=%23112233&background=%23ffeedd").body))
	if picture == nil {
		t.Fatal("the page has no QR code")
	}
	if drawn := s.get(html.UnescapeString(picture[1])); drawn.status != http.StatusOK || !strings.Contains(string(drawn.body), `fill="#112233"`) || !strings.Contains(string(drawn.body), `width="300"`) {
		t.Errorf("%s = %d %.300s", picture[1], drawn.status, drawn.body)
	}
	if page := string(v.open("/~/links/default/spring").body); !strings.Contains(page, "If <bdi>the device is ios") || !strings.Contains(page, "Not counted") {
		t.Error("the page of the link does not show the rule and the switch")
	}
	shown := regexp.MustCompile(`(?s)<textarea id="rules"[^>]*>(.*?)</textarea>`).FindStringSubmatch(string(v.open(edit).body))
	if shown == nil || !strings.Contains(shown[1], "example.com/app") {
		t.Fatal("the editor does not show the rules")
	}
	again := linkFields(url.Values{"version": {"2"}, "no_visitors": {"true"}, "rules": {html.UnescapeString(shown[1])}})
	if a := v.submit(edit, again); a.header.Get("Location") != "/~/links/default/spring?done=unchanged" {
		t.Errorf("the rules as the editor shows them lead to %q: %.900s", a.header.Get("Location"), a.body)
	}
	for text, want := range map[string][]string{
		`[{"if": {"device": ["toaster"]}, "to": "x"}]`: {"rules[0].if.device[0] ", "rules[0].to "}, `[{"to": 1}]`: {"rules[0].to "},
		`{"to": "https://example.com"}`: {"rules must be a JSON list"}, `[`: {"rules must be a JSON list"}, `[]}, "url": "https://evil.example"`: {"rules must be a JSON list"}, `[] []`: {"rules must be a JSON list"},
		`[{"to":"https://example.com","too":1}]`: {"rules[0].too "},
	} {
		a := v.submit(edit, linkFields(url.Values{"version": {"2"}, "rules": {text}, "expires_at": {"then"}}))
		for _, message := range append(want, "must be a date and a time") {
			if a.status != http.StatusUnprocessableEntity || !strings.Contains(html.UnescapeString(string(a.body)), message) {
				t.Errorf("the rules %s = %d, without %q", text, a.status, message)
			}
		}
	}
	s.create(`{"url":"https://example.com/","alias":"taken"}`, key...)
	for alias, want := range map[string]int{"taken": 409, "": 422, "a b": 422, "login": 422} {
		if a := v.submit(edit, linkFields(url.Values{"version": {"2"}, "alias": {alias}, "old_alias": {"redirect"}})); a.status != want || !regexp.MustCompile(`id="alias-error"[^>]*>[^<]`).Match(a.body) {
			t.Errorf("a rename to %q = %d, want %d with an error at the field", alias, a.status, want)
		}
	}
	if a := v.submit(edit, linkFields(url.Values{"version": {"2"}, "alias": {"summer"}, "old_alias": {"keep"}})); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a rename with a wrong old_alias = %d, want 422", a.status)
	}
	if a := v.submit(edit, linkFields(url.Values{"version": {"2"}, "alias": {"summer"}, "old_alias": {"gone"}})); a.header.Get("Location") != "/~/links/default/summer?done=renamed" {
		t.Fatalf("the rename = %d to %q %.900s", a.status, a.header.Get("Location"), a.body)
	}
	if old, now := s.get("/spring").status, s.get("/summer").header.Get("Location"); old != http.StatusGone || now != "https://example.com/new" {
		t.Errorf("after the rename the old code = %d, and the new code leads to %q", old, now)
	}
}

// TestExportFromTheConsole exports links with texts that a spreadsheet would run, and imports them.
func TestExportFromTheConsole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.owner("owner")
	var batch []string
	for i := range exported {
		batch = append(batch, fmt.Sprintf(`{"url":"https://example.com/%d","alias":"link-%04d","title":"=1+%d","tags":["a,b","t%d"],"forward_path":"append"}`, i, i, i, i%2))
	}
	s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[`+strings.Join(batch, ",")+`]}`, key...)
	s.create(`{"url":"https://example.com/","alias":"foreign"}`, s.owner("other")...)
	v := s.signIn(key)
	for path, want := range map[string]int{"/~/links.csv": exported, "/~/links.csv?tag=t1": exported / 2, "/~/links.csv?q=link-0001": 1, "/~/links.csv?q=foreign": 0} {
		a := v.open(path)
		rows, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll()
		if err != nil || a.status != http.StatusOK || len(rows) != want+1 {
			t.Fatalf("%s = %d with %d rows, %v, want %d", path, a.status, len(rows), err, want+1)
		}
		if got := a.header.Get("Content-Disposition"); got != `attachment; filename="links.csv"` {
			t.Errorf("%s has the Content-Disposition %q", path, got)
		}
	}
	a := v.submit("/~/bulk", url.Values{"action": {"export"}, "link": {"default/link-0003", "default/link-0001"}})
	r, err := transfer.Open(bytes.NewReader(a.body), transfer.ReadOptions{Source: "terse"})
	must(t, err)
	for _, want := range []string{"link-0003", "link-0001"} {
		got, err := r.Next()
		if err != nil || got.Link.Code != want || got.Link.Title != "=1+"+want[len(want)-1:] || !slices.Equal(got.Link.Tags, []string{"a,b", "t1"}) || got.Link.ForwardPath != "append" {
			t.Errorf("the file has %+v, %v, want the link %s", got.Link, err, want)
		}
	}
}

// exported is more than a page of an export has.
const exported = 600

// TestBulk changes several links at once. An error of one link does not affect the others.
func TestBulk(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.owner("owner")
	v, admin := s.signIn(key), s.signIn(s.key("admin", store.ScopeAdmin))
	for _, alias := range []string{"one", "two"} {
		s.create(`{"url":"https://example.com/","alias":"`+alias+`","tags":["a"]}`, key...)
	}
	s.create(`{"url":"https://example.com/","alias":"foreign"}`, s.owner("other")...)
	tags := func(code string) string { return strings.Join(s.get("/api/v1/links/"+code, key...).link().Tags, " ") }
	all := func(action string, more url.Values) url.Values {
		f := url.Values{"action": {action}, "link": {"default/one", "default/two", "default/foreign", "nowhere.example/one"}}
		maps.Copy(f, more)
		return f
	}
	a := v.submit("/~/bulk", all("tag", url.Values{"tag": {"b"}}))
	if a.status != http.StatusOK || tags("one") != "a b" || tags("two") != "a b" || !strings.Contains(string(a.body), "Done for 2 links, failed for 2 links") {
		t.Errorf("tagging = %d, and the tags are %q and %q: %.2000s", a.status, tags("one"), tags("two"), a.body)
	}
	v.submit("/~/bulk", all("untag", url.Values{"tag": {"a"}}))
	if tags("one") != "b" || tags("two") != "b" {
		t.Errorf("after untagging the tags are %q and %q, want b", tags("one"), tags("two"))
	}
	if a := v.submit("/~/bulk", all("tag", nil)); a.status != http.StatusUnprocessableEntity {
		t.Errorf("tagging without a tag = %d, want 422", a.status)
	}
	if a := v.submit("/~/bulk", all("delete", nil)); a.status != http.StatusOK || !strings.Contains(string(a.body), "Delete 4 links?") || tags("one") != "b" {
		t.Errorf("a delete = %d, want a question", a.status)
	}
	if a := admin.submit("/~/bulk", all("disable", url.Values{"confirmed": {"true"}, "reason": {" "}})); a.status != http.StatusUnprocessableEntity {
		t.Errorf("disabling without a reason = %d, want 422", a.status)
	}
	if a := admin.submit("/~/bulk", all("disable", url.Values{"confirmed": {"true"}, "reason": {"phishing"}})); a.status != http.StatusOK || s.get("/foreign").status != http.StatusUnavailableForLegalReasons {
		t.Errorf("disabling = %d, and a link = %d", a.status, s.get("/foreign").status)
	}
	v.submit("/~/bulk", all("delete", url.Values{"confirmed": {"true"}}))
	for code, want := range map[string]int{"one": http.StatusGone, "two": http.StatusGone, "foreign": http.StatusUnavailableForLegalReasons} {
		if got := s.get("/" + code).status; got != want {
			t.Errorf("%s after the delete = %d, want %d", code, got, want)
		}
	}
}

func TestKeysInTheConsole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	v := s.signIn(s.key("admin", store.ScopeAdmin))
	a := v.submit("/~/keys", url.Values{"name": {"<b>Ann"}, "workspace": {"marketing"}, "scopes": {"links:read", "links:write"}, "expires_at": {"2026-07-01T10:00"}})
	token := regexp.MustCompile(`tk_[0-9a-f]{64}`).FindString(string(a.body))
	if a.status != http.StatusOK || token == "" {
		t.Fatalf("a new key = %d %.300s", a.status, a.body)
	}
	l := s.create(`{"url":"https://example.com/"}`, "Authorization", "Bearer "+token)
	if l.Owner != "marketing" {
		t.Errorf("the link of the new key has the owner %q", l.Owner)
	}
	page := string(v.open("/~/keys").body)
	if strings.Contains(page, token) || !strings.Contains(page, "&lt;b&gt;Ann") {
		t.Error("the page of keys shows a token, or does not show the key")
	}
	bad := v.submit("/~/keys", url.Values{"name": {""}, "workspace": {"a b"}, "scopes": {"everything"}, "expires_at": {"then"}})
	for _, field := range []string{"name", "workspace", "scopes", "expires_at"} {
		if bad.status != http.StatusUnprocessableEntity || !regexp.MustCompile(`id="`+field+`-error"[^>]*>[^<]`).Match(bad.body) {
			t.Errorf("a wrong key = %d, without an error at %s", bad.status, field)
		}
	}
}

// TestTagsInTheConsole goes from the list of tags to the links with a tag and to their clicks.
func TestTagsInTheConsole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.key("owner", store.ScopeLinksRead, store.ScopeLinksWrite, store.ScopeStatsRead)
	for i := range 3 {
		s.create(fmt.Sprintf(`{"url":"https://example.com/","tags":["t%d","a & b"]}`, i), key...)
	}
	s.create(`{"url":"https://example.com/","tags":["foreign"]}`, s.owner("other")...)
	v, admin := s.signIn(key), s.signIn(s.key("admin", store.ScopeAdmin))
	page := string(v.open("/~/tags").body)
	if strings.Contains(page, "foreign") || !strings.Contains(page, `<td class="number">3</td>`) || strings.Count(page, `<td class="number">1</td>`) != 3 {
		t.Errorf("the tags are %s", page)
	}
	if found := v.open("/~/links?tag=a+%26+b"); !strings.Contains(page, "/~/links?tag=a&#43;%26&#43;b") || strings.Count(string(found.body), `class="pick"><input`) != 3 {
		t.Error("a tag does not lead to its links")
	}
	if a := v.open("/~/stats?tag=t1&compare=true&interval=day"); a.status != http.StatusOK || !strings.Contains(string(a.body), "<bdi>t1</bdi>") || !strings.Contains(string(a.body), `value="t1"`) {
		t.Errorf("the statistics of a tag = %d %.2000s", a.status, a.body)
	}
	page = string(admin.open("/~/tags?owner=" + s.keyID("other")).body)
	if !strings.Contains(page, "foreign") || !strings.Contains(page, "/~/links?owner="+s.keyID("other")+"&amp;tag=foreign") {
		t.Errorf("an administrator sees the tags %s", page)
	}
	if a := admin.open("/~/stats?tag=foreign"); a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.body), "is required with a tag or a domain") {
		t.Errorf("the statistics of a tag of all workspaces = %d, want 422 at the workspace", a.status)
	}
	for i := range 120 {
		s.create(fmt.Sprintf(`{"url":"https://example.com/","tags":["many %03d"]}`, i), key...)
	}
	next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(string(v.open("/~/tags").body))
	if next == nil || !strings.Contains(string(v.open(html.UnescapeString(next[1])).body), "many 119") {
		t.Errorf("the next page of tags is %v, want the rest", next)
	}
}

// TestDomainsInTheConsole follows a domain from its addition to its removal.
func TestDomainsInTheConsole(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		o.Certificates = certificates{"go.example.com": {State: store.CertificateFailed, Problem: "port 80 <does> not answer"}}
	})
	s.host = "go.terse.example" // other hosts are unknown once there is a domain
	ann, bob, admin := s.signIn(s.manager("ann")), s.signIn(s.manager("bob")), s.signIn(s.key("admin", store.ScopeAdmin))
	contains := func(name string, a answer, status int, texts ...string) {
		t.Helper()
		body := html.UnescapeString(string(a.body))
		for _, text := range texts {
			if !strings.Contains(body, text) {
				t.Errorf("%s lacks %q: %s", name, text, body)
			}
		}
		if a.status != status {
			t.Errorf("%s = %d, want %d: %.900s", name, a.status, status, body)
		}
	}
	contains("a wrong addition", ann.submit("/~/domains", url.Values{"host": {"co.uk"}, "aliases": {"127.0.0.1"}}), 422, "must not be a public suffix", ">127.0.0.1</textarea>")
	a := ann.submit("/~/domains", url.Values{"host": {"Go.Example.com"}, "aliases": {"www.example.com\r\n*.example.com"}})
	const page = "/~/domains/go.example.com"
	if got := a.header.Get("Location"); got != page+"?done=added" {
		t.Fatalf("the addition leads to %q: %d %.900s", got, a.status, a.body)
	}
	contains("the list", ann.open("/~/domains"), 200, page, "Not verified")
	contains("the domain", ann.open(page), 200, "_terse.go.example.com", "CNAME", "go.terse.example", "*.example.com", "port 80 <does> not answer")
	contains("a check without DNS", ann.submit(page+"/verify", nil), 200, "The check found a problem", "_terse.go.example.com")
	contains("a taken host", bob.submit("/~/domains", url.Values{"host": {"go.example.com"}}), 409, "TXT record _terse.go.example.com", `value="go.example.com"`)

	form := func(version string, change url.Values) url.Values {
		f := url.Values{
			"host": {"go.example.com"}, "aliases": {"*.example.com\r\nwww.example.com"}, "robots": {"default"}, "version": {version},
			"root_status": {"302"}, "not_found_status": {"302"}, "ended_status": {"302"},
		}
		maps.Copy(f, change)
		return f
	}
	contains("wrong settings", ann.submit(page+"/edit", form("1", url.Values{"root_url": {"javascript:1"}, "ended_url": {"https://example.com"}, "ended_status": {"200"}, "robots": {"all"}})), 422,
		`value="javascript:1"`, "must be default or disallow", "must be 301, 302, 307 or 308")
	a = ann.submit(page+"/edit", form("1", url.Values{"root_url": {"https://example.com/"}, "root_status": {"301"}, "shared": {"true"}, "robots": {"disallow"}}))
	if got := a.header.Get("Location"); got != page+"?done=domain" {
		t.Fatalf("the settings lead to %q: %d %.900s", got, a.status, a.body)
	}
	contains("the edited domain", ann.open(page), 200, "https://example.com/", "Forbids everything", "Shared")
	contains("an old version", ann.submit(page+"/edit", form("1", url.Values{"off": {"true"}})), 412, "Somebody else has changed this domain", "https://example.com/", `name="version" value="2"`)
	contains("a shared domain of others", bob.open(page), 200, "go.example.com")
	if other := string(bob.open(page).body); strings.Contains(other, "_terse.") || strings.Contains(other, page+"/edit") || strings.Contains(other, "port 80") {
		t.Errorf("another owner sees %s", other)
	}
	contains("a vouched domain", admin.submit(page+"/edit", form("2", url.Values{"shared": {"true"}, "verified": {"true"}})), 303)
	contains("the active domain", ann.open(page), 200, "Active")
	d := s.get("/api/v1/domains/go.example.com", s.manager("ann")...).domain(http.StatusOK)
	s.on(d.ID, "spring", asIs)
	contains("the question", ann.open(page+"/remove"), 200, "Remove this domain?")
	contains("a removal with links", ann.submit(page+"/remove", url.Values{"version": {"3"}}), 409, "The domain has links.")
	contains("a removal of an old version", ann.submit(page+"/remove", url.Values{"version": {"1"}, "force": {"true"}}), 412)
	if a := ann.submit(page+"/remove", url.Values{"version": {"3"}, "force": {"true"}}); a.header.Get("Location") != "/~/domains?done=domain-removed" {
		t.Errorf("the removal = %d to %q: %.900s", a.status, a.header.Get("Location"), a.body)
	}
	contains("the removed domain", ann.open(page), 410)
}

// TestReportsInTheConsole handles reports: one by disabling the link, one by closing it.
func TestReportsInTheConsole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.owner("owner")
	for _, alias := range []string{"bad", "fine", "gone"} {
		s.create(`{"url":"https://example.com/?<b>","alias":"`+alias+`","title":"A title"}`, key...)
		s.clock.add(time.Second)
		s.report(alias, map[string]string{"reason": "phishing", "comment": "two\nlines <b>", "email": "ann@example.com"})
	}
	s.do(http.MethodDelete, "/api/v1/links/gone", nil, key...)
	v := s.signIn(s.key("admin", store.ScopeAdmin))
	page := html.UnescapeString(string(v.open("/~/reports").body))
	for _, want := range []string{"It pretends to be another person or company", "two\nlines <b>", "ann@example.com", "https://example.com/?%3Cb%3E", "The link was deleted."} {
		if !strings.Contains(page, want) {
			t.Errorf("the reports lack %q: %s", want, page)
		}
	}
	ids := map[string]string{}
	reports, _ := s.reports("")
	for _, r := range reports {
		ids[r.Code] = r.ID
	}
	disable := func(reason, version string) answer {
		return v.submit("/~/reports/disable/"+ids["bad"], url.Values{"link": {"default/bad"}, "version": {version}, "reason": {reason}})
	}
	if a := disable(" ", "1"); a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.body), `id="reason-`+ids["bad"]+`-error">must not be empty`) {
		t.Errorf("disabling without a reason = %d %.900s", a.status, a.body)
	}
	if a := disable("phishing", "7"); a.status != http.StatusPreconditionFailed || s.get("/bad").status != http.StatusFound {
		t.Errorf("disabling another version = %d, want 412", a.status)
	}
	if a := disable("phishing", "1"); a.header.Get("Location") != "/~/reports?done=reported-disabled" || s.get("/bad").status != http.StatusUnavailableForLegalReasons {
		t.Errorf("disabling = %d to %q, and the link = %d", a.status, a.header.Get("Location"), s.get("/bad").status)
	}
	for _, code := range []string{"fine", "gone"} {
		if a := v.submit("/~/reports/close/"+ids[code], url.Values{"resolution": {"a mistake"}}); a.status != http.StatusSeeOther {
			t.Errorf("closing = %d %.900s", a.status, a.body)
		}
	}
	if a := s.get("/fine"); a.status != http.StatusFound {
		t.Errorf("the link of a closed report = %d, want 302", a.status)
	}
	if open := string(v.open("/~/reports").body); !strings.Contains(open, "There are no open reports.") {
		t.Errorf("the open reports are %s", open)
	}
	if closed := string(v.open("/~/reports?state=resolved").body); strings.Count(closed, "a mistake") != 2 || !strings.Contains(closed, ": <bdi>phishing</bdi>") {
		t.Errorf("the closed reports are %s", closed)
	}
}

func TestBlocklistInTheConsole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	v := s.signIn(s.key("admin", store.ScopeAdmin))
	if a := v.submit("/~/blocklist", url.Values{"host": {"com"}, "reason": {"<b>"}}); a.status != http.StatusUnprocessableEntity || !regexp.MustCompile(`id="host-error"[^>]*>[^<]`).Match(a.body) || !strings.Contains(string(a.body), `value="&lt;b&gt;"`) {
		t.Errorf("a wrong host = %d %.900s", a.status, a.body)
	}
	for i := range 101 {
		if a := v.submit("/~/blocklist", url.Values{"host": {fmt.Sprintf("=Evil%03d.example", i)}, "reason": {"phishing"}}); a.header.Get("Location") != "/~/blocklist?done=blocked" {
			t.Fatalf("blocking = %d %.900s", a.status, a.body)
		}
	}
	page := string(v.open("/~/blocklist").body)
	next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(page)
	if !strings.Contains(page, "evil099.example") || !strings.Contains(page, "Without subdomains") || next == nil || !strings.Contains(string(v.open(html.UnescapeString(next[1])).body), "evil100.example") {
		t.Errorf("the blocked hosts are %s, then %v", page, next)
	}
	if a := v.submit("/~/blocklist/remove", url.Values{"host": {"=evil007.example"}}); a.status != http.StatusSeeOther || strings.Contains(string(v.open("/~/blocklist").body), "evil007.example") {
		t.Errorf("unblocking = %d, or the host is still blocked", a.status)
	}
}

// TestConsoleAsAnApp checks the files that browsers read to install the console and to search it.
func TestConsoleAsAnApp(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.SiteName = `Links & "More" <b> of us` })
	var manifest struct {
		Name  string `json:"name"`
		Icons []struct{ Src string }
		Share struct {
			Action, Method string
			Params         map[string]string
		} `json:"share_target"`
	}
	a := s.get("/~/manifest.webmanifest")
	a.into(&manifest)
	if a.header.Get("Content-Type") != "application/manifest+json" || manifest.Name != `Links & "More" <b> of us` || s.get(manifest.Icons[0].Src).status != http.StatusOK {
		t.Errorf("the manifest is %s", a.body)
	}
	v := s.signIn(s.owner("owner"))
	for query, want := range map[string]string{
		"url=https%3A%2F%2Fexample.com%2F%3Fa": "https://example.com/?a", "text=Look+at+https%3A%2F%2Fexample.com%2Fb+now": "https://example.com/b", "text=nothing": "",
	} {
		page := html.UnescapeString(string(v.open(manifest.Share.Action + "?title=A+title&" + query).body))
		if !strings.Contains(page, `name="url" type="text" value="`+want+`"`) || !strings.Contains(page, `value="A title"`) {
			t.Errorf("the form for %s lacks the target %q: %s", query, want, page)
		}
	}
	var search struct {
		ShortName string
		URL       struct {
			Template string `xml:"template,attr"`
		} `xml:"Url"`
	}
	a = s.get("/~/opensearch.xml")
	must(t, xml.Unmarshal(a.body, &search))
	if a.header.Get("Content-Type") != "application/opensearchdescription+xml" || search.ShortName != `Links & "More" <` || search.URL.Template != baseURL+"/~/links?q={searchTerms}" {
		t.Errorf("the description of the search is %s", a.body)
	}
}
