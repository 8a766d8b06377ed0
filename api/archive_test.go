package api_test

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/terse/terse/store"
)

// archiveJSON is a page of an export.
type archiveJSON struct {
	Links      []map[string]any `json:"links"`
	NextCursor string           `json:"next_cursor"`
}

// export returns all exported links, read in pages of limit links.
func (s *server) export(limit int, admin ...string) []map[string]any {
	s.t.Helper()
	var all []map[string]any
	cursor := ""
	for {
		a := s.get(fmt.Sprintf("/api/v1/archive?limit=%d&cursor=%s", limit, cursor), admin...)
		if a.status != http.StatusOK {
			s.t.Fatalf("export = %d %s, want 200", a.status, a.body)
		}
		var page archiveJSON
		a.into(&page)
		all = append(all, page.Links...)
		if page.NextCursor == "" {
			return all
		}
		cursor = page.NextCursor
	}
}

// put imports links and returns the results.
func (s *server) put(links any, admin ...string) batchJSON {
	s.t.Helper()
	a := s.send(http.MethodPost, "/api/v1/archive", map[string]any{"links": links}, admin...)
	if a.status != http.StatusOK {
		s.t.Fatalf("import = %d %s, want 200", a.status, a.body)
	}
	var got batchJSON
	a.into(&got)
	return got
}

// strangeLinks creates links of every kind and returns their number.
func strangeLinks(t *testing.T, s *server) int {
	t.Helper()
	owner := s.owner("owner")
	for i, body := range []map[string]any{
		{"title": "日本語 🙂 é", "tags": []string{"a,b", `"quoted"`, "日本"}},
		{"password": "secret"},
		{"max_clicks": 3},
		{"expires_at": "2026-06-01T12:00:01Z", "status": 308},
		{"starts_at": "2031-01-01T00:00:00.123456Z", "forward_query": "override", "forward_path": "append"},
		{"title": "to be disabled"},
		{"alias": "Case-Matters_1"},
		{"alias": "case-matters_1"},
	} {
		body["url"] = fmt.Sprintf("https://example.com/%d?a=%%25&b=c#d", i)
		l := s.create(body, owner...)
		switch {
		case body["max_clicks"] != nil:
			s.get("/" + l.Code)
		case body["title"] == "to be disabled":
			s.send(http.MethodPost, "/api/v1/links/"+l.Code+"/disable", `{"reason":"phishing"}`, s.key("admin", store.ScopeAdmin)...)
		case body["alias"] == "Case-Matters_1":
			s.clock.add(time.Minute)
			s.send(http.MethodPatch, "/api/v1/links/"+l.Code, `{"title":"edited"}`, owner...)
			s.get("/" + l.Code)
			s.get("/" + l.Code)
		}
	}
	s.create(`{"url":"https://example.com/anonymous"}`)
	gone := s.create(`{"url":"https://example.com/gone"}`, owner...)
	s.do(http.MethodDelete, "/api/v1/links/"+gone.Code, nil, owner...)
	return 10
}

// TestArchiveMakesAnEqualSystem exports all links of one system, imports them into an empty
// one, and compares the answers for owners and visitors.
func TestArchiveMakesAnEqualSystem(t *testing.T) {
	t.Parallel()
	from, to := newServer(t), newServer(t)
	var items []any
	for _, u := range realURLs(t) {
		items = append(items, map[string]any{"url": u})
	}
	made := strangeLinks(t, from)
	to.clock.add(from.clock.Now().Sub(to.clock.Now()))
	for len(items) > 0 {
		n := min(len(items), 1000)
		var got batchJSON
		from.send(http.MethodPost, "/api/v1/links/batch", map[string]any{"links": items[:n]}, from.owner("owner")...).into(&got)
		for _, r := range got.Results {
			if r.Status == http.StatusCreated {
				made++
			}
		}
		items = items[n:]
	}
	must(t, from.clicks.Close(t.Context()))

	fromAdmin, toAdmin := from.key("admin", store.ScopeAdmin), to.key("admin", store.ScopeAdmin)
	exported := from.export(300, fromAdmin...)
	if len(exported) != made {
		t.Fatalf("export has %d links, want %d", len(exported), made)
	}
	for round, want := range []int{http.StatusCreated, http.StatusOK} {
		for n := 0; n < len(exported); n += 500 {
			for i, r := range to.put(exported[n:min(n+500, len(exported))], toAdmin...).Results {
				if r.Status != want {
					t.Fatalf("import %d of %v = %+v, want %d", round, exported[n+i], r, want)
				}
			}
		}
	}
	if again := to.export(1000, toAdmin...); !reflect.DeepEqual(again, exported) {
		t.Error("the second system's export differs from the first one's")
	}
	for _, l := range exported {
		code := l["code"].(string)
		a, b := from.get("/api/v1/links/"+code, fromAdmin...), to.get("/api/v1/links/"+code, toAdmin...)
		want := http.StatusOK
		if l["deleted_at"] != nil {
			want, a.body, b.body = http.StatusGone, nil, nil // the bodies contain different request ids
		}
		if string(a.body) != string(b.body) || a.status != want || b.status != want {
			t.Fatalf("link %s is %d %s, was %s", code, b.status, b.body, a.body)
		}
		a, b = from.do(http.MethodHead, "/"+code, nil), to.do(http.MethodHead, "/"+code, nil)
		if a.status != b.status || a.header.Get("Location") != b.header.Get("Location") {
			t.Errorf("redirect of %s is %d %q, was %d %q", code, b.status, b.header.Get("Location"), a.status, a.header.Get("Location"))
		}
	}
}

func TestArchiveIsForAdministrators(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	body := `{"links":[{"code":"spring","url":"https://example.com"}]}`
	s.get("/api/v1/archive").problem(http.StatusUnauthorized)
	s.send(http.MethodPost, "/api/v1/archive", body).problem(http.StatusUnauthorized)
	all := s.key("all but admin", store.ScopeLinksRead, store.ScopeLinksWrite, store.ScopeStatsRead)
	s.get("/api/v1/archive", all...).problem(http.StatusForbidden)
	s.send(http.MethodPost, "/api/v1/archive", body, all...).problem(http.StatusForbidden)
	if a := s.get("/spring"); a.status != http.StatusNotFound {
		t.Errorf("redirect = %d, want 404", a.status)
	}
}

func TestImportDefaults(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	small := []any{map[string]any{"code": "spring", "url": "https://example.com", "clicks": 5}}
	got := s.put(small, admin...).Results[0]
	l := got.Link
	if got.Status != http.StatusCreated || l.Status != 302 || l.Version != 1 || l.Clicks != 5 ||
		!l.CreatedAt.Equal(s.clock.Now()) || !l.UpdatedAt.Equal(l.CreatedAt) || !l.LastClickAt.Equal(l.CreatedAt) || l.ForwardQuery != "off" {
		t.Errorf("import with only the required members = %+v, want the defaults", l)
	}
	s.clock.add(time.Hour)
	if again := s.put(small, admin...).Results[0]; again.Status != http.StatusOK {
		t.Errorf("the same import an hour later = %+v, want 200", again)
	}
	other := []any{map[string]any{"code": "spring", "url": "https://example.org"}}
	if got := s.put(other, admin...).Results[0]; got.Status != http.StatusConflict {
		t.Errorf("import of another link with that code = %+v, want 409", got)
	}
	if a := s.get("/spring"); a.header.Get("Location") != "https://example.com" {
		t.Errorf("redirect goes to %q", a.header.Get("Location"))
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	dear, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	must(t, err)
	for _, tt := range []struct {
		field string
		value any
		named string
	}{
		{"code", "a/b", "body.code"},
		{"code", "jT0xYqRm4/spring", "body.code"},
		{"code", "api", "body.code"},
		{"code", nil, "code"},
		{"url", "javascript:alert(1)", "body.url"},
		{"owner", "a\nb", "body.owner"},
		{"owner", strings.Repeat("a", 65), "body.owner"},
		{"owner", store.CanaryOwner, "body.owner"},
		{"password_hash", "secret", "body.password_hash"},
		{"password_hash", strings.Replace(string(dear), "$04$", "$15$", 1), "body.password_hash"},
		{"password_hash", "$2a$10$" + strings.Repeat("!", 53), "body.password_hash"},
		{"clicks", -1, "body.clicks"},
		{"clicks", "9223372036854775807", "body.clicks"},
		{"clicks", "many", "body.clicks"},
		{"used_clicks", -1, "body.used_clicks"},
		{"robots", -1, "body.robots"},
		{"version", -1, "body.version"},
		{"version", 1 << 31, "body.version"},
		{"created_at", "0001-01-01T00:00:00Z", "body.created_at"},
		{"created_at", "1066-01-01T00:00:00Z", "body.created_at"},
		{"created_at", "2999-01-01T00:00:00Z", "body.created_at"},
		{"updated_at", "2001-01-01T00:00:00Z", "body.updated_at"},
		{"disabled_reason", "phishing", "body.disabled_reason"},
		{"status", 200, "body.status"},
		{"nonsense", 1, "body.nonsense"},
		{"tags", "a", "body.tags"},
		{"deleted_at", "1066-01-01T00:00:00Z", "body.deleted_at"},
		{"deleted_at", "yesterday", "body.deleted_at"},
		{"deleted_at", "2036-01-01T00:00:00Z", "body.deleted_at"},
	} {
		l := map[string]any{"code": "fine", "url": "https://example.com", tt.field: tt.value}
		if tt.value == nil {
			delete(l, tt.field)
		}
		got := s.put([]any{l}, admin...).Results[0]
		if got.Status != http.StatusUnprocessableEntity || !strings.Contains(fmt.Sprintf("%+v", got.Error), tt.named) {
			t.Errorf("import with %s %v = %d %+v, want 422 naming %s", tt.field, tt.value, got.Status, got.Error, tt.named)
		}
	}
	for _, links := range []string{`[]`, `{}`, `[1`, `[` + strings.Repeat(`{},`, 1000) + `{}]`} {
		if a := s.send(http.MethodPost, "/api/v1/archive", `{"links":`+links+`}`, admin...); a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest {
			t.Errorf("import of %.20s = %d, want 400 or 422", links, a.status)
		}
	}
	s.get("/api/v1/archive?cursor=a/b", admin...).problem(http.StatusUnprocessableEntity)
	s.get("/api/v1/archive?limit=0", admin...).problem(http.StatusUnprocessableEntity)
}

// TestDatesOfDeletedLinks checks that an import rejects a deleted_at before created_at or in
// the future. The errors name only dates that were sent.
func TestDatesOfDeletedLinks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	const now, before, after = "2026-06-01T12:00:00Z", "2026-06-01T11:59:59Z", "2026-06-01T12:00:30Z"
	for i, tt := range []struct {
		created, updated, deleted string
		named                     []string
	}{
		{deleted: now},
		{deleted: after}, // within clockSkew
		{created: before, deleted: now},
		{created: now, updated: now, deleted: now},
		{deleted: "1066-01-01T00:00:00Z", named: []string{"body.deleted_at"}},
		{deleted: "2036-01-01T00:00:00Z", named: []string{"body.deleted_at"}},
		{created: now, deleted: "2036-01-01T00:00:00Z", named: []string{"body.deleted_at"}},
		{created: now, deleted: before, named: []string{"body.deleted_at"}},
		{created: now, updated: now, deleted: before, named: []string{"body.deleted_at"}},
		{updated: before, deleted: now, named: []string{"body.updated_at"}},
		{created: "2036-01-01T00:00:00Z", deleted: "2036-01-01T00:00:00Z", named: []string{"body.created_at", "body.deleted_at"}},
	} {
		l := map[string]any{"code": fmt.Sprintf("gone-%d", i), "url": ""}
		for field, value := range map[string]string{"created_at": tt.created, "updated_at": tt.updated, "deleted_at": tt.deleted} {
			if value != "" {
				l[field] = value
			}
		}
		got := s.put([]any{l}, admin...).Results[0]
		want, named := http.StatusCreated, []string(nil)
		if tt.named != nil {
			want = http.StatusUnprocessableEntity
		}
		if got.Error != nil {
			for _, e := range got.Error.Errors {
				named = append(named, e.Location)
			}
		}
		if got.Status != want || !slices.Equal(named, tt.named) {
			t.Errorf("import of %v = %d %+v, want %d naming %v", l, got.Status, got.Error, want, tt.named)
		}
	}
}

// TestCanariesAreImported checks that canary links can be imported, and that an import
// rejects any other combination of canary codes and the canary owner.
func TestCanariesAreImported(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	for _, tt := range []struct {
		code, owner string
		want        int
	}{
		{"__canary-5", store.CanaryOwner, http.StatusCreated},
		{"__canary-5", store.CanaryOwner, http.StatusOK},
		{"__canary-6", "", http.StatusUnprocessableEntity},
		{"__canary-7", "key_x", http.StatusUnprocessableEntity},
		{"__canary-/", store.CanaryOwner, http.StatusUnprocessableEntity},
		{"api", store.CanaryOwner, http.StatusUnprocessableEntity},
	} {
		link := map[string]any{"code": tt.code, "owner": tt.owner, "url": "https://example.com/", "created_at": "2026-05-01T00:00:00Z"}
		if got := s.put([]any{link}, admin...).Results[0]; got.Status != tt.want {
			t.Errorf("import of %q of %q = %d %+v, want %d", tt.code, tt.owner, got.Status, got.Error, tt.want)
		}
	}
}

// TestArchiveAway checks the 503 of an export, and of each link of an import, when the store
// is unavailable.
func TestArchiveAway(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Archive = awayArchive{} })
	admin := s.key("admin", store.ScopeAdmin)
	s.get("/api/v1/archive", admin...).problem(http.StatusServiceUnavailable)
	if got := s.put([]any{map[string]any{"code": "a", "url": "https://example.com"}}, admin...).Results[0]; got.Status != http.StatusServiceUnavailable {
		t.Errorf("import = %+v, want 503", got)
	}
}
