package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// testRename renames a link with every setting in both ways.
func testRename(t *testing.T, newServer opener) {
	s := newServer(t)
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	patch := func(code, body string, headers ...string) answer {
		t.Helper()
		return s.send(http.MethodPatch, "/api/v1/links/"+code, body, headers...)
	}
	s.create(`{"url":"https://example.com/taken","alias":"taken"}`, owner...)
	before := s.create(map[string]any{
		"url": "https://example.com/a?b=c", "alias": "spring", "title": "Spring", "tags": []string{"a"}, "status": 307, "forward_query": "override",
		"expires_at": s.clock.Now().Add(time.Hour), "max_clicks": 3,
	}, owner...)
	if got := s.get("/spring", "User-Agent", "curl/8.0").header.Get("Location"); got != "https://example.com/a?b=c" {
		t.Fatalf("Location = %q, want the target", got)
	}

	patch("spring", `{"alias":"summer"}`, s.owner("other")...).problem(http.StatusNotFound)
	patch("spring", `{"alias":"summer"}`).problem(http.StatusUnauthorized)
	patch("spring", `{"alias":"taken"}`, owner...).problem(http.StatusConflict)
	patch("spring", `{"alias":"summer"}`, append(owner, "If-Match", `"9"`)...).problem(http.StatusPreconditionFailed)
	for body, want := range map[string]string{
		`{"alias":"login"}`:    "alias",
		`{"alias":"spring"}`:   "alias",
		`{"alias":"a/b"}`:      "alias",
		`{"alias":""}`:         "alias",
		`{"alias":null}`:       "alias",
		`{"alias":7}`:          "alias",
		`{"old_alias":"gone"}`: "old_alias",
		`{"alias":"x_","old_alias":"keep","url":"nope"}`: "alias old_alias url",
	} {
		a := patch("spring", body, owner...)
		if got := fieldsOf(t, &a, "body."); got != want {
			t.Errorf("PATCH %s names %q, want %q", body, got, want)
		}
	}

	for range 2 { // the repetition finds that it is done
		a := patch("spring", `{"alias":"summer"}`, append(owner, "If-Match", `"1"`)...)
		got := a.link()
		if a.status != http.StatusOK || a.header.Get("Location") != baseURL+"/summer" || got.ShortURL != baseURL+"/summer" || got.URL != before.URL ||
			got.Title != "Spring" || len(got.Tags) != 1 || got.Status != 307 || got.ForwardQuery != "override" || !got.ExpiresAt.Equal(*before.ExpiresAt) ||
			got.MaxClicks != 3 || got.UsedClicks != 1 || got.StartsAt != nil || got.Owner != before.Owner {
			t.Fatalf("rename = %d %s to %q, want the whole link under its new code", a.status, a.body, a.header.Get("Location"))
		}
	}
	if a := s.get("/spring?b=d", "User-Agent", "curl/8.0"); a.status != 307 || a.header.Get("Location") != baseURL+"/summer?b=d" {
		t.Errorf("visit of the old code = %d to %q, want the new short URL with the query", a.status, a.header.Get("Location"))
	}
	if a := s.get("/summer?b=d", "User-Agent", "curl/8.0"); a.status != 307 || a.header.Get("Location") != "https://example.com/a?b=d" {
		t.Errorf("visit of the new code = %d to %q, want the target", a.status, a.header.Get("Location"))
	}

	// The old link can still be edited, disabled and enabled.
	old := s.get("/api/v1/links/spring", owner...).link()
	for _, a := range []answer{
		patch("spring", `{"title":"moved","url":"`+old.URL+`"}`, owner...),
		s.send(http.MethodPost, "/api/v1/links/spring/disable", `{"reason":"spam"}`, admin...),
		s.send(http.MethodPost, "/api/v1/links/spring/enable", ``, admin...),
	} {
		if a.status != http.StatusOK {
			t.Errorf("change of the old link = %d %s, want 200", a.status, a.body)
		}
	}
	if got := s.get("/spring").header.Get("Location"); got != baseURL+"/summer" {
		t.Errorf("Location of the edited old link = %q", got)
	}
	patch("spring", `{"url":"`+baseURL+`/taken"}`, owner...).problem(http.StatusUnprocessableEntity)

	// The other way: the old code is gone.
	a := patch("summer", `{"alias":"autumn","old_alias":"gone","title":"Autumn","max_clicks":null,"password":"p"}`, owner...)
	if l := a.link(); a.status != http.StatusOK || l.Code != "autumn" || l.Title != "Autumn" || l.MaxClicks != 0 || !l.PasswordProtected {
		t.Fatalf("rename with an edit = %d %s, want both", a.status, a.body)
	}
	s.get("/summer").problem(http.StatusGone)
	if a := s.get("/autumn"); a.status != http.StatusOK || a.header.Get("Location") != "" {
		t.Errorf("visit of a link with a password = %d, want a page that asks for it", a.status)
	}

	// A disabled link does not become live under another name.
	s.send(http.MethodPost, "/api/v1/links/autumn/disable", `{"reason":"spam"}`, admin...)
	patch("autumn", `{"alias":"winter"}`, owner...).problem(http.StatusUnprocessableEntity)
	s.get("/winter").problem(http.StatusNotFound)

	// An admin renames links of others. A key that must not read gets no link.
	if a := patch("taken", `{"alias":"given"}`, admin...); a.status != http.StatusOK || a.link().Owner != before.Owner {
		t.Errorf("rename by an admin = %d %s, want the owner's link", a.status, a.body)
	}
	writer := s.key("writer", store.ScopeLinksWrite)
	s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com","alias":"blind"}`, writer...)
	if a := patch("blind", `{"alias":"blind2"}`, writer...); a.status != http.StatusNoContent || a.header.Get("Location") != baseURL+"/blind2" {
		t.Errorf("rename by a key without links:read = %d %q, want 204 and the address", a.status, a.header.Get("Location"))
	}

	// A link that a rename left can be exported and imported.
	page := s.get("/api/v1/archive", admin...)
	body := strings.Replace(string(page.body), `,"next_cursor":""`, "", 1)
	to := newServer(t)
	for _, status := range []string{`"status":201`, `"status":200`} {
		a := to.send(http.MethodPost, "/api/v1/archive", body, to.key("admin", store.ScopeAdmin)...)
		if a.status != http.StatusOK || strings.Count(string(a.body), `{"status":`) != strings.Count(string(a.body), status) {
			t.Errorf("import of the archive = %d %s, want %s for every link", a.status, a.body, status)
		}
	}
	if got := to.get("/spring").header.Get("Location"); got != baseURL+"/summer" {
		t.Errorf("Location of the imported old code = %q", got)
	}
	moved := newServer(t, func(o *options) { o.BaseURL = "https://new.example" })
	moved.send(http.MethodPost, "/api/v1/archive", body, moved.key("admin", store.ScopeAdmin)...)
	if got := moved.get("/spring").header.Get("Location"); got != "https://new.example/summer" {
		t.Errorf("Location of the old code on a server with another address = %q", got)
	}
	wrong := []string{
		`{"code":"self","url":"` + baseURL + `/self","renamed_to":"self"}`, `{"code":"form","url":"` + baseURL + `/","renamed_to":"a/b"}`,
		`{"code":"other","url":"` + baseURL + `/x","renamed_to":"y"}`, `{"code":"plain","url":"` + baseURL + `/x"}`,
	}
	if a := to.send(http.MethodPost, "/api/v1/archive", `{"links":[`+strings.Join(wrong, ",")+`]}`, to.key("admin", store.ScopeAdmin)...); strings.Count(string(a.body), `{"status":422`) != len(wrong) {
		t.Errorf("import of links that no rename left = %s, want 422 for all", a.body)
	}
}

// TestVisitDuringARename checks that a link is unavailable until its rename is complete. Unlike a
// link that has not started, it is not unknown.
func TestVisitDuringARename(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	s.on("", "summer", func(l *store.Link) { l.StartsAt, l.MaxClicks, l.RequestID = last, 3, "rename/spring/1" })
	s.on("", "later", func(l *store.Link) { l.StartsAt = last })
	for code, want := range map[string]int{"summer": http.StatusServiceUnavailable, "later": http.StatusNotFound} {
		a := s.get("/" + code)
		if a.status != want || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Location") != "" {
			t.Errorf("GET /%s = %d, %q, want %d and no-store", code, a.status, a.header.Get("Cache-Control"), want)
		}
	}
}
