package api_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
)

// role is a kind of caller and its headers.
type role struct {
	name    string
	headers []string
}

// roles returns the roles of roleCalls in their order, and roles with an invalid key.
func (s *server) roles() (known, refused []role) {
	s.t.Helper()
	token := func(k store.Key) []string {
		s.t.Helper()
		text, hash := store.NewToken()
		k.ID, k.Hash, k.Scopes, k.CreatedAt = store.NewKeyID(), hash, []store.Scope{store.ScopeAdmin}, s.clock.Now()
		must(s.t, s.store.CreateKey(context.Background(), k))
		return []string{"Authorization", "Bearer " + text}
	}
	known = []role{
		{"nobody", nil},
		{"owner", s.owner("owner")},
		{"reader", s.key("reader", store.ScopeLinksRead)},
		{"writer", s.key("writer", store.ScopeLinksWrite)},
		{"stats", s.key("stats", store.ScopeStatsRead)},
		{"other", s.owner("other")},
		{"admin", s.key("admin", store.ScopeAdmin)},
	}
	refused = []role{
		{"expired", token(store.Key{ExpiresAt: s.clock.Now()})},
		{"revoked", token(store.Key{RevokedAt: s.clock.Now().Add(-time.Hour)})},
		{"share", token(store.Key{Share: &store.Share{Kind: store.ClickAll}})},
		{"unknown", []string{"Authorization", "Bearer tk_" + strings.Repeat("0", 64)}},
		{"malformed", []string{"Authorization", "Bearer nonsense"}},
		{"empty", []string{"Authorization", "Bearer "}},
		{"basic", []string{"Authorization", "Basic dTpw"}},
		{"token alone", []string{"Authorization", s.owner("owner")[1][len("Bearer "):]}},
	}
	return known, refused
}

// roleCall is a route, the body of the request, and the expected status for each role.
type roleCall struct {
	route, body string
	want        [7]int
}

// everybody returns the same status for all roles.
func everybody(status int) (want [7]int) {
	for i := range want {
		want[i] = status
	}
	return want
}

// roleCalls are all routes. The roles are: no key, the owner of the link, a reader, a writer,
// a key for statistics, another owner, and an administrator. Only the owner and the
// administrator may see the link.
var roleCalls = []roleCall{
	{"POST /api/v1/links", `{"url":"https://example.com"}`, [7]int{401, 201, 403, 201, 403, 201, 201}},
	{"POST /api/v1/links/batch", `{"links":[{"url":"https://example.com"}]}`, [7]int{401, 200, 403, 200, 403, 200, 200}},
	{"GET /api/v1/links", ``, [7]int{401, 200, 200, 403, 403, 200, 200}},
	{"GET /api/v1/links/:code", ``, [7]int{401, 200, 404, 403, 403, 404, 200}},
	{"PATCH /api/v1/links/:code", `{"title":"x"}`, [7]int{401, 200, 403, 404, 403, 404, 200}},
	{"DELETE /api/v1/links/:code", ``, [7]int{401, 204, 403, 404, 403, 404, 204}},
	{"GET /api/v1/links/:code/history", ``, [7]int{401, 200, 404, 403, 403, 404, 200}},
	{"POST /api/v1/links/:code/rollback", `{"version":1}`, [7]int{401, 200, 403, 404, 403, 404, 200}},
	{"POST /api/v1/links/:code/explain", ``, [7]int{401, 200, 404, 403, 403, 404, 200}},
	{"POST /api/v1/links/:code/disable", `{"reason":"x"}`, [7]int{401, 403, 403, 403, 403, 403, 200}},
	{"POST /api/v1/links/:code/enable", ``, [7]int{401, 403, 403, 403, 403, 403, 200}},
	{"GET /api/v1/links/:code/qr", ``, everybody(200)},
	{"GET /api/v1/links/:code/stats", ``, [7]int{401, 403, 403, 403, 404, 403, 200}},
	{"DELETE /api/v1/links/:code/stats", ``, [7]int{401, 204, 403, 404, 403, 404, 204}},
	{"GET /api/v1/stats", ``, [7]int{401, 403, 403, 403, 200, 403, 200}},
	{"GET /api/v1/stats/links", ``, [7]int{401, 403, 403, 403, 200, 403, 200}},
	{"POST /api/v1/links/:code/share", ``, [7]int{401, 403, 403, 403, 404, 403, 201}},
	{"POST /api/v1/stats/share", ``, [7]int{401, 403, 403, 403, 201, 403, 201}},
	{"GET /api/v1/archive", ``, [7]int{401, 403, 403, 403, 403, 403, 200}},
	{"POST /api/v1/archive", `{"links":[{"code":"archived","url":"https://example.com"}]}`, [7]int{401, 403, 403, 403, 403, 403, 200}},
	{"GET /api/v1/domains", ``, [7]int{401, 403, 403, 403, 403, 403, 200}}, // no role but the last has the scope
	{"POST /api/v1/domains", `{"host":"new.example"}`, [7]int{401, 403, 403, 403, 403, 403, 201}},
	{"GET /api/v1/domains/:host", ``, [7]int{401, 403, 403, 403, 403, 403, 404}}, // the domain does not exist
	{"PATCH /api/v1/domains/:host", `{}`, [7]int{401, 403, 403, 403, 403, 403, 404}},
	{"DELETE /api/v1/domains/:host", ``, [7]int{401, 403, 403, 403, 403, 403, 404}},
	{"POST /api/v1/domains/:host/verify", ``, [7]int{401, 403, 403, 403, 403, 403, 404}},
	{"GET /api/v1/workspaces", ``, [7]int{401, 403, 403, 403, 403, 403, 200}}, // as above
	{"GET /api/v1/members", ``, [7]int{401, 403, 403, 403, 403, 403, 200}},
	{"POST /api/v1/members", `{"name":"Ann","role":"viewer"}`, [7]int{401, 403, 403, 403, 403, 403, 201}},
	{"PATCH /api/v1/members/:id", `{"role":"viewer"}`, [7]int{401, 403, 403, 403, 403, 403, 404}}, // the member does not exist
	{"DELETE /api/v1/members/:id", ``, [7]int{401, 403, 403, 403, 403, 403, 404}},
	{"GET /api/v1/blocklist", ``, [7]int{401, 403, 403, 403, 403, 403, 200}},
	{"POST /api/v1/blocklist", `{"host":"evil.example"}`, [7]int{401, 403, 403, 403, 403, 403, 201}},
	{"DELETE /api/v1/blocklist/:host", ``, [7]int{401, 403, 403, 403, 403, 403, 404}}, // the host is not blocked
	{"GET /api/v1/reports", ``, [7]int{401, 403, 403, 403, 403, 403, 200}},
	{"POST /api/v1/reports/:id/resolve", ``, [7]int{401, 403, 403, 403, 403, 403, 404}}, // the report does not exist
	{"GET /api/openapi.json", ``, everybody(200)},
	{"GET /api/openapi-3.0.json", ``, everybody(200)},
	{"GET /api/docs", ``, everybody(200)},
	{"GET /api/docs/init.js", ``, everybody(200)},
	{"GET /api/docs/swagger-ui.css", ``, everybody(200)},
	{"GET /api/docs/swagger-ui-bundle.js", ``, everybody(200)},
	{"GET /:code", ``, everybody(302)},
	{"POST /:code", ``, everybody(303)},
	{"GET /:code/*", ``, everybody(302)},
	{"POST /:code/*", ``, everybody(303)},
	{"GET /", ``, everybody(200)},
	{"POST /", `url=https://example.com`, everybody(401)}, // the form ignores keys
	{"GET /~/s/:token", ``, everybody(404)},               // the token does not exist
	{"POST /~/s/:token", ``, everybody(404)},
	{"GET /~/s/:token/total", ``, everybody(404)},
	{"GET /~/", ``, everybody(303)}, // the console ignores API keys in headers
	{"GET /~/sign-in", ``, everybody(200)},
	{"POST /~/sign-in", `key=tk_`, everybody(401)},
	{"POST /~/sign-in/passkey", `passkey=x`, everybody(403)},
	{"POST /~/sign-in/passkey/options", ``, everybody(200)},
	{"POST /~/sessions/passkeys", `passkey=x`, everybody(401)},
	{"POST /~/sessions/passkeys/options", ``, everybody(401)},
	{"POST /~/sessions/passkeys/remove/:id", ``, everybody(401)},
	{"POST /~/in/:token/passkey", `passkey=x`, everybody(403)},
	{"POST /~/in/:token/passkey/options", ``, everybody(404)},
	{"POST /~/sign-out", ``, everybody(401)},
	{"GET /~/in/:token", ``, everybody(410)}, // no one-time link has the token
	{"POST /~/in/:token", ``, everybody(410)},
	{"GET /~/with/:provider", ``, everybody(404)}, // there is no identity provider
	{"GET /~/with/:provider/back", ``, everybody(404)},
	{"GET /~/links", ``, everybody(303)},
	{"GET /~/links.csv", ``, everybody(303)},
	{"GET /~/tags", ``, everybody(303)},
	{"GET /~/stats", ``, everybody(303)},
	{"GET /~/stats/total", ``, everybody(303)},
	{"GET /~/domains", ``, everybody(303)},
	{"POST /~/domains", `host=new.example`, everybody(401)},
	{"GET /~/domains/:host", ``, everybody(303)},
	{"POST /~/domains/:host/verify", ``, everybody(401)},
	{"GET /~/domains/:host/edit", ``, everybody(303)},
	{"POST /~/domains/:host/edit", `host=new.example`, everybody(401)},
	{"GET /~/domains/:host/remove", ``, everybody(303)},
	{"POST /~/domains/:host/remove", ``, everybody(401)},
	{"GET /~/manifest.webmanifest", ``, everybody(200)},
	{"GET /~/opensearch.xml", ``, everybody(200)},
	{"GET /~/import", ``, everybody(303)},
	{"POST /~/import", `file=url`, everybody(401)},
	{"POST /~/import/rows", `data=`, everybody(401)},
	{"GET /~/reports", ``, everybody(303)},
	{"POST /~/reports/disable/:id", ``, everybody(401)},
	{"POST /~/reports/close/:id", ``, everybody(401)},
	{"GET /~/blocklist", ``, everybody(303)},
	{"POST /~/blocklist", `host=evil.example`, everybody(401)},
	{"POST /~/blocklist/remove", `host=evil.example`, everybody(401)},
	{"GET /~/new", ``, everybody(303)},
	{"POST /~/new", `url=https://example.com`, everybody(401)},
	{"POST /~/bulk", ``, everybody(401)},
	{"GET /~/links/:host/:code", ``, everybody(303)},
	{"GET /~/links/:host/:code/edit", ``, everybody(303)},
	{"POST /~/links/:host/:code/edit", ``, everybody(401)},
	{"GET /~/links/:host/:code/delete", ``, everybody(303)},
	{"POST /~/links/:host/:code/delete", ``, everybody(401)},
	{"GET /~/links/:host/:code/history", ``, everybody(303)},
	{"GET /~/links/:host/:code/qr", ``, everybody(303)},
	{"GET /~/links/:host/:code/explain", ``, everybody(303)},
	{"POST /~/links/:host/:code/rollback", ``, everybody(401)},
	{"POST /~/links/:host/:code/disable", ``, everybody(401)},
	{"POST /~/links/:host/:code/enable", ``, everybody(401)},
	{"GET /~/links/:host/:code/stats", ``, everybody(303)},
	{"GET /~/links/:host/:code/stats/total", ``, everybody(303)},
	{"GET /~/keys", ``, everybody(303)},
	{"POST /~/keys", `name=x`, everybody(401)},
	{"POST /~/keys/revoke/:id", ``, everybody(401)},
	{"GET /~/members", ``, everybody(303)},
	{"POST /~/members", `name=x`, everybody(401)},
	{"POST /~/members/role/:id", `role=viewer`, everybody(401)},
	{"POST /~/members/remove/:id", ``, everybody(401)},
	{"GET /~/sessions", ``, everybody(303)},
	{"POST /~/sessions/end/:id", ``, everybody(401)},
	{"GET /static/*", ``, everybody(404)},
	{"GET /favicon.ico", ``, everybody(200)},
	{"GET /robots.txt", ``, everybody(200)},
}

// TestRoles calls every route as every role, with anonymous creates off. It fails for a route
// that has no row.
func TestRoles(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.AnonymousCreate = false })
	for _, route := range s.Config.Handler.(*api.API).Routes() {
		if !slices.ContainsFunc(roleCalls, func(c roleCall) bool { return c.route == route }) {
			t.Errorf("%s has no row in roleCalls: add the expected status for each role", route)
		}
	}
	known, refused := s.roles()
	for _, call := range roleCalls {
		for i, who := range known {
			s.tryAs(t, call, who, call.want[i])
		}
		for _, who := range refused {
			want := http.StatusUnauthorized
			if !strings.HasPrefix(call.route[strings.Index(call.route, " ")+1:], "/api/v1/") {
				want = call.want[0]
			}
			s.tryAs(t, call, who, want)
		}
	}
}

// TestRoutesAreReserved checks that no alias can hide a route.
func TestRoutesAreReserved(t *testing.T) {
	t.Parallel()
	for _, route := range newServer(t).Config.Handler.(*api.API).Routes() {
		_, path, _ := strings.Cut(route, " /")
		first, _, _ := strings.Cut(path, "/")
		if first != "" && first[0] != ':' && !slices.Contains(api.Routes(), first) {
			t.Errorf("the first segment of %s is missing in Reserved", route)
		}
	}
}

// tryAs makes one call for a new link of the owner.
func (s *server) tryAs(t *testing.T, call roleCall, who role, want int) {
	t.Run(call.route+" as "+who.name, func(t *testing.T) {
		t.Parallel()
		l := s.create(`{"url":"https://example.com"}`, append(s.key("owner"), "Host", strings.TrimPrefix(baseURL, "https://"))...)
		method, pattern, _ := strings.Cut(call.route, " ")
		contentType := "application/json"
		if !strings.HasPrefix(pattern, "/api/") {
			contentType = "application/x-www-form-urlencoded"
		}
		a := s.in(t).do(method, strings.NewReplacer("/stats/links", "/stats/links?codes="+l.Code, ":code", l.Code, ":host", "other.example", ":id", "none").Replace(pattern), []byte(call.body), append([]string{"Content-Type", contentType, "Host", strings.TrimPrefix(baseURL, "https://")}, who.headers...)...)
		if a.status != want {
			t.Errorf("%s as %s = %d %.200s, want %d", call.route, who.name, a.status, a.body, want)
		}
		if a.status == http.StatusUnauthorized && strings.HasPrefix(pattern, "/api/") && a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("the 401 of %s as %s has no WWW-Authenticate", call.route, who.name)
		}
	})
}
