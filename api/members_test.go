package api_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/access"
	"github.com/terse/terse/api"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// administrator may do everything.
func administrator() *links.Caller {
	return &links.Caller{Key: &store.Key{ID: store.AuthorAdmin, Scopes: []store.Scope{store.ScopeAdmin}}}
}

// join makes a new member. It returns the member and its sign-in key.
func (s *server) join(workspace string, role store.Role) (m store.Key, key string) {
	s.t.Helper()
	_, token, err := s.access.Invite(context.Background(), administrator(), access.NewInvitation{Name: "a " + string(role), Role: role, Workspace: workspace})
	must(s.t, err)
	key, _, err = s.access.Accept(context.Background(), token)
	must(s.t, err)
	hash, _ := store.HashToken(key)
	m, err = s.store.KeyByHash(context.Background(), hash)
	must(s.t, err)
	return m, key
}

// signInMember begins a session of a member.
func (s *server) signInMember(m store.Key) visitor {
	s.t.Helper()
	token, err := s.access.SignIn(context.Background(), m)
	must(s.t, err)
	return visitor{s, []string{"Cookie", cookieName + "=" + token}}
}

// workspaceKey returns the Authorization header of a new API key with the scopes of a role.
func (s *server) workspaceKey(workspace string, role store.Role) []string {
	s.t.Helper()
	_, token, err := s.access.CreateKey(context.Background(), administrator(), access.NewKey{Name: "key", Workspace: workspace, Scopes: role.Scopes()})
	must(s.t, err)
	return []string{"Authorization", "Bearer " + token}
}

// memberCall is a route and the expected statuses for: a viewer, an editor, a manager and an administrator in the
// workspace of the link and of the member, and a manager of another workspace.
type memberCall struct {
	route, body string
	want        [5]int
}

func all(status int) [5]int { return [5]int{status, status, status, status, status} }

var memberCalls = []memberCall{
	{"POST /api/v1/links", `{"url":"https://example.com"}`, [5]int{403, 201, 201, 201, 201}},
	{"POST /api/v1/links/batch", `{"links":[{"url":"https://example.com"}]}`, [5]int{403, 200, 200, 200, 200}},
	{"GET /api/v1/links", ``, all(200)},
	{"GET /api/v1/links/:code", ``, [5]int{200, 200, 200, 200, 404}},
	{"PATCH /api/v1/links/:code", `{"title":"x"}`, [5]int{403, 200, 200, 200, 404}},
	{"DELETE /api/v1/links/:code", ``, [5]int{403, 204, 204, 204, 404}},
	{"GET /api/v1/links/:code/history", ``, [5]int{200, 200, 200, 200, 404}},
	{"POST /api/v1/links/:code/rollback", `{"version":1}`, [5]int{403, 200, 200, 200, 404}},
	{"POST /api/v1/links/:code/explain", ``, [5]int{200, 200, 200, 200, 404}},
	{"POST /api/v1/links/:code/disable", `{"reason":"x"}`, [5]int{403, 403, 403, 200, 403}},
	{"POST /api/v1/links/:code/enable", ``, [5]int{403, 403, 403, 200, 403}},
	{"GET /api/v1/links/:code/qr", ``, all(200)},
	{"GET /api/v1/links/:code/stats", ``, [5]int{200, 200, 200, 200, 404}},
	{"DELETE /api/v1/links/:code/stats", ``, [5]int{403, 204, 204, 204, 404}},
	{"GET /api/v1/stats", ``, all(200)},
	{"GET /api/v1/stats/links?codes=:code", ``, all(200)},
	{"POST /api/v1/links/:code/share", ``, [5]int{201, 201, 201, 201, 404}},
	{"POST /api/v1/stats/share", ``, all(201)},
	{"GET /api/v1/archive", ``, [5]int{403, 403, 403, 200, 403}},
	{"POST /api/v1/archive", `{"links":[{"code":"archived","url":"https://example.com"}]}`, [5]int{403, 403, 403, 200, 403}},
	{"GET /api/v1/domains", ``, all(200)},
	{"POST /api/v1/domains", `{"host":":role.example"}`, [5]int{403, 403, 201, 201, 201}},
	{"GET /api/v1/domains/:host", ``, all(404)}, // the domain does not exist
	{"PATCH /api/v1/domains/:host", `{}`, [5]int{403, 403, 404, 404, 404}},
	{"DELETE /api/v1/domains/:host", ``, [5]int{403, 403, 404, 404, 404}},
	{"POST /api/v1/domains/:host/verify", ``, [5]int{403, 403, 404, 404, 404}},
	{"GET /api/v1/workspaces", ``, [5]int{403, 403, 200, 200, 200}},
	{"GET /api/v1/members", ``, [5]int{403, 403, 200, 200, 200}},
	{"GET /api/v1/members?workspace=marketing", ``, [5]int{403, 403, 200, 200, 404}},
	{"POST /api/v1/members", `{"name":"Ann","role":"viewer","workspace":"marketing"}`, [5]int{403, 403, 201, 201, 404}},
	{"POST /api/v1/members", `{"name":"Ann","role":"admin"}`, [5]int{403, 403, 403, 201, 403}},
	{"PATCH /api/v1/members/:id", `{"role":"viewer"}`, [5]int{403, 403, 200, 200, 404}},
	{"PATCH /api/v1/members/:id", `{"role":"admin"}`, [5]int{403, 403, 403, 200, 404}},
	{"PATCH /api/v1/members/:id", `{"role":"owner"}`, [5]int{403, 403, 422, 422, 404}},
	{"DELETE /api/v1/members/:id", ``, [5]int{403, 403, 204, 204, 404}},
	{"GET /api/v1/blocklist", ``, [5]int{403, 403, 403, 200, 403}},
	{"POST /api/v1/blocklist", `{"host":"evil.example"}`, [5]int{403, 403, 403, 201, 403}},
	{"DELETE /api/v1/blocklist/:host", ``, [5]int{403, 403, 403, 404, 403}},
	{"GET /api/v1/reports", ``, [5]int{403, 403, 403, 200, 403}},
	{"POST /api/v1/reports/none/resolve", ``, [5]int{403, 403, 403, 404, 403}},

	{"GET /~/", ``, all(303)},
	{"GET /~/sign-in", ``, all(303)},
	{"POST /~/sign-in", `key=tk_`, all(401)},
	{"POST /~/sign-out", ``, all(303)},
	{"POST /~/sign-in/passkey", `passkey=x`, all(403)},
	{"POST /~/sign-in/passkey/options", ``, all(200)},
	{"POST /~/in/:token/passkey", `passkey=x`, all(403)},
	{"POST /~/in/:token/passkey/options", ``, all(404)},
	{"GET /~/in/:token", ``, all(410)},
	{"POST /~/in/:token", ``, all(410)},
	{"GET /~/with/none", ``, all(404)},
	{"GET /~/with/none/back", ``, all(404)},
	{"GET /~/links", ``, all(200)},
	{"GET /~/links.csv", ``, all(200)},
	{"GET /~/tags", ``, all(200)},
	{"GET /~/tags?owner=marketing", ``, [5]int{200, 200, 200, 200, 403}},
	{"GET /~/tags?owner=*", ``, [5]int{403, 403, 403, 422, 403}},
	{"GET /~/stats", ``, all(200)},
	{"GET /~/stats?owner=marketing&tag=spring", ``, [5]int{200, 200, 200, 200, 403}},
	{"GET /~/stats/total?owner=marketing", ``, [5]int{200, 200, 200, 200, 403}},
	{"GET /~/domains", ``, all(200)},
	{"POST /~/domains", `host=:role-form.example`, [5]int{403, 403, 303, 303, 303}},
	{"POST /~/domains", `host=:role-new.example&verified=true`, [5]int{403, 403, 422, 303, 422}},
	{"GET /~/domains/go.marketing.example", ``, [5]int{200, 200, 200, 200, 404}},
	{"POST /~/domains/go.marketing.example/verify", ``, [5]int{403, 403, 200, 200, 404}},
	{"GET /~/domains/go.marketing.example/edit", ``, [5]int{403, 403, 200, 200, 404}},
	{"POST /~/domains/go.marketing.example/edit", `host=go.marketing.example&robots=default&root_status=302&version=0`, [5]int{403, 403, 412, 412, 404}},
	{"GET /~/domains/go.marketing.example/remove", ``, [5]int{403, 403, 200, 200, 404}},
	{"POST /~/domains/go.marketing.example/remove", `version=0`, [5]int{403, 403, 412, 412, 404}},
	{"GET /~/domains/shared.example", ``, all(200)},
	{"GET /~/domains/shared.example/edit", ``, [5]int{403, 403, 403, 200, 403}},
	{"POST /~/domains/shared.example/edit", `host=shared.example&robots=default&version=0`, [5]int{403, 403, 403, 412, 403}},
	{"POST /~/domains/shared.example/verify", ``, [5]int{403, 403, 403, 200, 403}},
	{"GET /~/domains/shared.example/remove", ``, [5]int{403, 403, 403, 200, 403}},
	{"POST /~/domains/shared.example/remove", `version=0`, [5]int{403, 403, 403, 412, 403}},
	{"GET /~/domains/a%20b", ``, all(404)},
	{"GET /~/manifest.webmanifest", ``, all(200)},
	{"GET /~/opensearch.xml", ``, all(200)},
	{"GET /~/import", ``, [5]int{403, 200, 200, 200, 200}},
	{"POST /~/import", `file=url%0Ahttps://example.com/&encoding=utf-8`, [5]int{403, 200, 200, 200, 200}},
	{"POST /~/import", `file=url&encoding=utf-8`, [5]int{403, 422, 422, 422, 422}},
	{"POST /~/import/rows", `data=dXJsCmh0dHBzOi8vZXhhbXBsZS5jb20v&map_url=url`, [5]int{403, 200, 200, 200, 200}},
	{"POST /~/import/rows", `data=dXJsCmh0dHBzOi8vZXhhbXBsZS5jb20v`, [5]int{403, 422, 422, 422, 422}},
	{"GET /~/reports", ``, [5]int{403, 403, 403, 200, 403}},
	{"GET /~/reports?state=resolved", ``, [5]int{403, 403, 403, 200, 403}},
	{"POST /~/reports/disable/none", `link=default/:code&version=1&reason=phishing`, [5]int{403, 403, 403, 404, 403}},
	{"POST /~/reports/disable/none", `link=default/:code&version=1`, [5]int{403, 403, 403, 422, 403}},
	{"POST /~/reports/close/none", ``, [5]int{403, 403, 403, 404, 403}},
	{"GET /~/blocklist", ``, [5]int{403, 403, 403, 200, 403}},
	{"POST /~/blocklist", `host=evil.example`, [5]int{403, 403, 403, 303, 403}},
	{"POST /~/blocklist/remove", `host=free.example`, [5]int{403, 403, 403, 404, 403}},
	{"GET /~/new", ``, [5]int{403, 200, 200, 200, 200}},
	{"POST /~/new", `url=https://example.com&status=302&forward_query=off`, [5]int{403, 303, 303, 303, 303}},
	{"POST /~/bulk", `action=delete&link=default/:code`, [5]int{403, 200, 200, 200, 200}},
	{"POST /~/bulk", `action=disable&link=default/:code`, [5]int{403, 403, 403, 200, 403}},
	{"GET /~/links/default/:code", ``, [5]int{200, 200, 200, 200, 404}},
	{"GET /~/links/default/:code/edit", ``, [5]int{403, 200, 200, 200, 404}},
	{"POST /~/links/default/:code/edit", `url=https://example.com/2&status=302&forward_query=off&version=1`, [5]int{403, 303, 303, 303, 404}},
	{"GET /~/links/default/:code/delete", ``, [5]int{403, 200, 200, 200, 404}},
	{"POST /~/links/default/:code/delete", `version=1`, [5]int{403, 303, 303, 303, 404}},
	{"GET /~/links/default/:code/history", ``, [5]int{200, 200, 200, 200, 404}},
	{"GET /~/links/default/:code/qr", ``, [5]int{200, 200, 200, 200, 404}},
	{"GET /~/links/default/:code/explain", ``, [5]int{200, 200, 200, 200, 404}},
	{"POST /~/links/default/:code/rollback", `version=1&current=1`, [5]int{403, 303, 303, 303, 404}},
	{"POST /~/links/default/:code/disable", `version=1&reason=phishing`, [5]int{403, 403, 403, 303, 403}},
	{"POST /~/links/default/:code/enable", `version=1`, [5]int{403, 403, 403, 303, 403}},
	{"GET /~/links/default/:code/stats", ``, [5]int{200, 200, 200, 200, 404}},
	{"GET /~/links/default/:code/stats/total", ``, [5]int{200, 200, 200, 200, 404}},
	{"GET /~/keys", ``, [5]int{403, 403, 200, 200, 200}},
	{"POST /~/keys", `name=x&scopes=links:read`, [5]int{403, 403, 200, 200, 200}},
	{"POST /~/keys", `name=x&scopes=admin`, [5]int{403, 403, 403, 200, 403}},
	{"POST /~/keys", `name=x&scopes=links:read&workspace=marketing`, [5]int{403, 403, 200, 200, 404}},
	{"POST /~/keys/revoke/:key", ``, [5]int{403, 403, 303, 303, 404}},
	{"GET /~/members", ``, [5]int{403, 403, 200, 200, 200}},
	{"GET /~/members?workspace=marketing", ``, [5]int{403, 403, 200, 200, 404}},
	{"POST /~/members", `name=Ann&role=viewer&workspace=marketing`, [5]int{403, 403, 200, 200, 404}},
	{"POST /~/members", `name=Ann&role=admin`, [5]int{403, 403, 403, 200, 403}},
	{"POST /~/members", `name=&role=owner&expires_at=soon`, [5]int{403, 403, 422, 422, 422}},
	{"POST /~/members/role/:id", `role=viewer`, [5]int{403, 403, 303, 303, 404}},
	{"POST /~/members/role/:id", `role=owner`, [5]int{403, 403, 422, 422, 404}},
	{"POST /~/members/remove/:id", ``, [5]int{403, 403, 303, 303, 404}},
	{"GET /~/sessions", ``, all(200)},
	{"POST /~/sessions/end/none", ``, all(404)},
	{"POST /~/sessions/passkeys", `passkey=x`, all(403)}, // no browser has asked for the options
	{"POST /~/sessions/passkeys/options", ``, all(200)},
	{"POST /~/sessions/passkeys/remove/none", ``, all(404)},
}

// TestMembersByRole calls every route of the console in a session of every role, and every route of the API with a
// key of the same scopes. It fails for a route that has no row.
func TestMembersByRole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.host = "go.terse.example" // other hosts are unknown once there is a domain
	for _, route := range s.Config.Handler.(*api.API).Routes() {
		_, path, _ := strings.Cut(route, " ")
		if !strings.HasPrefix(path, "/api/v1/") && !strings.HasPrefix(path, "/~/") || strings.HasPrefix(path, "/~/s/") {
			continue // not for members
		}
		pattern := regexp.MustCompile("^" + regexp.MustCompile(`:\w+`).ReplaceAllString(regexp.QuoteMeta(route), `[^/ ]+`) + `(\?.*)?$`)
		if !slices.ContainsFunc(memberCalls, func(c memberCall) bool { return pattern.MatchString(c.route) }) {
			t.Errorf("%s has no row in memberCalls: add the expected status for each role", route)
		}
	}
	callers := []struct {
		name, workspace string
		role            store.Role
		member          store.Key
		key             []string
	}{
		{name: "viewer", workspace: "marketing", role: store.RoleViewer},
		{name: "editor", workspace: "marketing", role: store.RoleEditor},
		{name: "manager", workspace: "marketing", role: store.RoleManager},
		{name: "admin", workspace: "marketing", role: store.RoleAdmin},
		{name: "stranger", workspace: "sales", role: store.RoleManager},
	}
	for i := range callers {
		callers[i].member, _ = s.join(callers[i].workspace, callers[i].role)
		callers[i].key = s.workspaceKey(callers[i].workspace, callers[i].role)
	}
	writer := callers[1].key
	for owner, body := range map[*[]string]string{&callers[2].key: `{"host":"go.marketing.example"}`, new(s.workspaceKey("hosts", store.RoleManager)): `{"host":"shared.example","shared":true}`} {
		s.send(http.MethodPost, "/api/v1/domains", body, *owner...).domain(http.StatusCreated)
	}
	for _, call := range memberCalls {
		for i, who := range callers {
			t.Run(call.route+" "+call.body+" as "+who.name, func(t *testing.T) {
				t.Parallel()
				s := s.in(t)
				l := s.create(`{"url":"https://example.com"}`, writer...)
				subject, _ := s.join("marketing", store.RoleEditor)
				fill := strings.NewReplacer(":code", l.Code, ":host", "other.example", ":id", subject.ID, ":role", who.name, ":token", "none", ":key", s.newKey("marketing"))
				method, path, _ := strings.Cut(call.route, " ")
				headers := append([]string{"Content-Type", "application/json"}, who.key...)
				if strings.HasPrefix(path, "/~/") {
					headers = append([]string{"Content-Type", "application/x-www-form-urlencoded"}, s.signInMember(who.member).headers...)
				}
				body := []byte(fill.Replace(call.body))
				if method == http.MethodPost && strings.HasPrefix(path, "/~/import") {
					fields, err := url.ParseQuery(string(body))
					must(t, err)
					body, headers[1] = multipartForm(t, fields)
				}
				a := s.do(method, fill.Replace(path), body, headers...)
				if a.status != call.want[i] {
					t.Errorf("%s as %s = %d %.600s, want %d", call.route, who.name, a.status, a.body, call.want[i])
				}
			})
		}
	}
}

// newKey creates an API key and returns its ID.
func (s *server) newKey(workspace string) string {
	s.t.Helper()
	k, _, err := s.access.CreateKey(context.Background(), administrator(), access.NewKey{Name: "key", Workspace: workspace, Scopes: store.RoleViewer.Scopes()})
	must(s.t, err)
	return k.ID
}

// TestMemberByForm follows a person from the invitation to the removal.
func TestMemberByForm(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	boss, _ := s.join("marketing", store.RoleManager)
	manager := s.signInMember(boss)
	a := manager.submit("/~/members", url.Values{"name": {"Ann <b>"}, "role": {"viewer"}})
	path := regexp.MustCompile(`https://[^<"]*(/~/in/tk_[0-9a-f]{64})`).FindSubmatch(a.body)
	if a.status != http.StatusOK || path == nil {
		t.Fatalf("the invitation = %d %.2000s, want 200 with its address", a.status, a.body)
	}
	link := string(path[1])
	for range 3 { // programs that preview links
		if a := s.get(link); a.status != http.StatusOK || a.header.Get("Set-Cookie") != "" || !strings.Contains(string(a.body), "marketing") {
			t.Errorf("GET of the invitation = %d with the cookie %q", a.status, a.header.Get("Set-Cookie"))
		}
	}
	a = s.postTo(link, nil)
	ann := visitor{s, a.cookie()}
	key := regexp.MustCompile(`>(tk_[0-9a-f]{64})<`).FindSubmatch(a.body)
	if a.status != http.StatusOK || key == nil || ann.open("/~/links").status != http.StatusOK || ann.open("/~/new").status != http.StatusForbidden {
		t.Fatalf("the accepted invitation = %d %.2000s, want the session of a viewer and a sign-in key", a.status, a.body)
	}
	for name, a := range map[string]answer{"GET": s.get(link), "POST": s.postTo(link, nil)} {
		if a.status != http.StatusGone || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s of the used invitation = %d, want 410", name, a.status)
		}
	}
	signIn := func() answer { return s.postTo("/~/sign-in", url.Values{"key": {string(key[1])}}) }
	if a := s.get("/api/v1/links", "Authorization", "Bearer "+string(key[1])); a.status != http.StatusUnauthorized {
		t.Errorf("the API with a sign-in key = %d, want 401", a.status)
	}
	idOf := func() string {
		page := html.UnescapeString(string(manager.open("/~/members").body))
		row := regexp.MustCompile(`Ann <b>.*\n.*\n.*(?s:.*?)/~/members/remove/(key_\w+)`).FindStringSubmatch(page)
		if row == nil {
			t.Fatalf("the list of members has no Ann: %s", page)
		}
		return row[1]
	}
	if a := manager.submit("/~/members/role/"+idOf(), url.Values{"role": {"editor"}}); a.status != http.StatusSeeOther {
		t.Errorf("the new role = %d, want 303", a.status)
	}
	if a := ann.open("/~/links"); a.status != http.StatusSeeOther {
		t.Errorf("the session after a new role = %d, want 303 to the sign-in", a.status)
	}
	ann = visitor{s, signIn().cookie()}
	if a := ann.open("/~/new"); a.status != http.StatusOK {
		t.Errorf("a page of the new role = %d, want 200", a.status)
	}
	if a := manager.submit("/~/members/remove/"+idOf(), nil); a.status != http.StatusSeeOther {
		t.Errorf("the removal = %d, want 303", a.status)
	}
	if a := ann.open("/~/links"); a.status != http.StatusSeeOther {
		t.Errorf("the session after the removal = %d, want 303 to the sign-in", a.status)
	}
	if a := signIn(); a.status != http.StatusUnauthorized || a.header.Get("Set-Cookie") != "" {
		t.Errorf("the sign-in after the removal = %d, want 401", a.status)
	}
	for name, a := range map[string]answer{
		"removal": manager.submit("/~/members/remove/"+boss.ID, nil),
		"role":    manager.submit("/~/members/role/"+boss.ID, url.Values{"role": {"viewer"}}),
	} {
		if a.status != http.StatusConflict || !strings.Contains(string(a.body), "last manager") {
			t.Errorf("the %s of the last manager = %d %.300s, want 409 with the reason", name, a.status, a.body)
		}
	}
}

// TestMemberResource invites, changes and removes a member by the API.
func TestMemberResource(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.workspaceKey("marketing", store.RoleManager)
	var invited struct {
		ID, Name, Role, State, Workspace, By, URL string
		ExpiresAt                                 *time.Time `json:"expires_at"`
	}
	s.send(http.MethodPost, "/api/v1/members", `{"name":"Ann","role":"editor"}`, key...).into(&invited)
	if invited.State != "invited" || invited.Workspace != "marketing" || invited.ExpiresAt == nil || !strings.HasPrefix(invited.URL, baseURL+"/~/in/tk_") {
		t.Errorf("the invitation is %+v", invited)
	}
	for body, field := range map[string]string{
		`{"name":"","role":"editor"}`: "body.name", `{"name":"x","role":"owner"}`: "body.role", `{"name":"x","role":"viewer","workspace":""}`: "body.workspace",
		`{"name":"x","role":"viewer","expires_at":"2020-01-01T00:00:00Z"}`: "body.expires_at", `{"name":"x"}`: "body.role", `{"name":"a\u0000","role":"viewer"}`: "body.name",
	} {
		if a := s.send(http.MethodPost, "/api/v1/members", body, key...); a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.body), field) {
			t.Errorf("POST %s = %d %s, want 422 that names %s", body, a.status, a.body, field)
		}
	}
	m, _ := s.join("marketing", store.RoleViewer)
	var changed struct{ ID, Role, State string }
	s.send(http.MethodPatch, "/api/v1/members/"+m.ID, `{"role":"manager"}`, key...).into(&changed)
	if changed.Role != "manager" || changed.ID == m.ID || changed.State != "member" {
		t.Errorf("the changed member is %+v", changed)
	}
	for id, want := range map[string]int{m.ID: 404, invited.ID: 204, changed.ID: 409} { // the last manager stays
		if a := s.send(http.MethodDelete, "/api/v1/members/"+id, nil, key...); a.status != want {
			t.Errorf("DELETE %s = %d %s, want %d", id, a.status, a.body, want)
		}
	}
}

// halfKeys are keys that can neither store sessions nor revoke them while down is true.
type halfKeys struct {
	store.Keys
	down atomic.Bool
}

func (h *halfKeys) CreateKey(ctx context.Context, k store.Key) error {
	if h.down.Load() && k.Session != nil && k.Session.Key != store.AuthorAdmin {
		return store.ErrUnavailable
	}
	return h.Keys.CreateKey(ctx, k)
}

func (h *halfKeys) RevokeKey(ctx context.Context, id string, at time.Time) (store.Key, error) {
	all, err := h.ListKeys(ctx)
	if err != nil {
		return store.Key{}, err
	}
	if h.down.Load() && slices.ContainsFunc(all, func(k store.Key) bool { return k.ID == id && k.Session != nil }) {
		return store.Key{}, store.ErrUnavailable
	}
	return h.Keys.RevokeKey(ctx, id, at)
}

// TestLinksThatWorkOnce uses a one-time link and an invitation while sessions cannot be stored or revoked: the visitor
// gets what the link gives, because it gives it once.
func TestLinksThatWorkOnce(t *testing.T) {
	t.Parallel()
	var keys *halfKeys
	s := newServer(t, func(o *options) {
		keys = &halfKeys{Keys: o.Keys}
		o.Keys = keys
	})
	v := s.signIn(s.owner("owner"))
	_, token, err := s.access.Invite(t.Context(), administrator(), access.NewInvitation{Name: "Ann", Role: store.RoleViewer, Workspace: "marketing"})
	must(t, err)
	keys.down.Store(true)
	a := v.submit("/~/in/"+s.access.OneTimeLink(), nil)
	if admin := (visitor{s, a.cookie()}); a.status != http.StatusSeeOther || admin.open("/~/links").status != http.StatusOK {
		t.Errorf("the one-time link = %d %.300s, want a session", a.status, a.body)
	}
	a = v.submit("/~/in/"+token, nil)
	key := regexp.MustCompile(`>(tk_[0-9a-f]{64})<`).FindSubmatch(a.body)
	if a.status != http.StatusOK || key == nil || a.header.Get("Set-Cookie") != "" {
		t.Fatalf("the invitation = %d %.2000s, want the sign-in key without a session", a.status, a.body)
	}
	keys.down.Store(false)
	if a := s.postTo("/~/sign-in", url.Values{"key": {string(key[1])}}); a.status != http.StatusSeeOther {
		t.Errorf("the sign-in with that key = %d, want 303", a.status)
	}
}
