package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

// TestAllWrongFieldsAtOnce checks that one answer names every field with a wrong type, a wrong value
// or an unknown name, and every missing one. Each field is named once.
func TestAllWrongFieldsAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	s.create(`{"url":"https://example.com","alias":"spring"}`, admin...)
	for _, tt := range []struct{ name, body, created, edited string }{
		{"types", `{"url":1,"title":2,"max_clicks":"x"}`, "max_clicks title url", "max_clicks title url"},
		{"values", `{"url":"ftp://example.com","title":"a\nb","max_clicks":-1}`, "max_clicks title url", "max_clicks title url"},
		{"a type and values", `{"url":"ftp://example.com","title":2,"expires_at":"2001-01-01T00:00:00Z"}`, "expires_at title url", "title url"},
		{"a choice, an item, a name and a value", `{"url":"https://example.com","status":200,"tags":["a",1],"nonsense":1,"max_clicks":-1}`, "max_clicks nonsense status tags[1]", "max_clicks nonsense status tags[1]"},
		{"a time and a password", `{"url":"https://example.com","starts_at":"yesterday","password":""}`, "password starts_at", "password starts_at"},
		{"missing", `{"title":2}`, "title url", "title"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, call := range []struct{ method, path, want string }{
				{http.MethodPost, "/api/v1/links", tt.created}, {http.MethodPatch, "/api/v1/links/spring", tt.edited},
			} {
				a := s.send(call.method, call.path, tt.body, admin...)
				if got := fieldsOf(t, &a, "body."); got != call.want {
					t.Errorf("%s %s = %d %s, want errors of %s", call.method, tt.body, a.status, a.body, call.want)
				}
			}
			batch := s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[`+tt.body+`,{"url":"https://example.com"}]}`, admin...)
			var got batchJSON
			batch.into(&got)
			for field := range strings.FieldsSeq(tt.created) {
				if !strings.Contains(string(batch.body), `"location":"body.`+field+`"`) {
					t.Errorf("batch of %s = %s, want an error of %s", tt.body, batch.body, field)
				}
			}
			if got.Results[0].Status != http.StatusUnprocessableEntity || got.Results[1].Status != http.StatusCreated {
				t.Errorf("batch of %s = %s, want 422 and 201", tt.body, batch.body)
			}
		})
	}
}

// TestAllWrongFieldsOfEveryRoute checks the same for every route with a body. Each body has a
// member of the wrong type or a wrong value, and an unknown member.
func TestAllWrongFieldsOfEveryRoute(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	s.create(`{"url":"https://example.com","alias":"spring"}`, admin...)
	s.report("spring", map[string]string{"reason": "spam"})
	reports, _ := s.reports("")
	admin = append(admin, "Host", "go.terse.example") // with a domain, other hosts are unknown
	if a := s.send(http.MethodPost, "/api/v1/domains", `{"host":"go.example.com","verified":true}`, admin...); a.status != http.StatusCreated {
		t.Fatalf("adding a domain = %d %s, want 201", a.status, a.body)
	}
	const control = `"a\u0000b"`
	tests := []struct{ route, body, want string }{
		{"POST /api/v1/links", `{"url":1,"title":` + control + `,"x":1}`, "title url x"},
		{"PATCH /api/v1/links/{code}", `{"url":1,"title":` + control + `,"x":1}`, "title url x"},
		{"POST /api/v1/links/batch", `{"links":5,"x":1}`, "links x"},
		{"POST /api/v1/links/batch", `{"links":[],"x":1}`, "links x"},
		{"POST /api/v1/links/batch", `{"x":1,"y":2}`, "links x y"},
		{"POST /api/v1/archive", `{"links":5,"x":1}`, "links x"},
		{"POST /api/v1/archive", `{"links":[],"x":[],"y":{"z":[1]}}`, "links x y"},
		{"POST /api/v1/links/{code}/disable", `{"reason":1,"x":1}`, "reason x"},
		{"POST /api/v1/links/{code}/disable", `{"reason":` + control + `,"x":1,"y":2}`, "reason x y"},
		{"POST /api/v1/links/{code}/disable", `{"x":1}`, "reason x"},
		{"POST /api/v1/links/{code}/enable", `{"reason":1,"x":1}`, "reason x"},
		{"POST /api/v1/links/{code}/enable", `{"reason":` + control + `,"x":1}`, "reason x"},
		{"POST /api/v1/links/{code}/rollback", `{"version":"1","x":1}`, "version x"},
		{"POST /api/v1/links/{code}/rollback", `{"version":0,"x":1}`, "version x"},
		{"POST /api/v1/links/{code}/rollback", `{"version":9,"x":1}`, "version x"},
		{"POST /api/v1/links/{code}/rollback", `{"x":1}`, "version x"},
		{"POST /api/v1/blocklist", `{"host":1,"reason":` + control + `,"x":1}`, "host reason x"},
		{"POST /api/v1/blocklist", `{"host":"com","reason":2,"x":1}`, "host reason x"},
		{"POST /api/v1/blocklist", `{"host":"","reason":` + control + `}`, "host reason"},
		{"POST /api/v1/blocklist", `{"reason":` + control + `}`, "host reason"},
		{"POST /api/v1/domains", `{"host":1,"root_url":"javascript:x","ended_status":200,"x":1}`, "ended_status host root_url x"},
		{"POST /api/v1/domains", `{"host":"com","aliases":["127.0.0.1"],"robots":"all"}`, "aliases[0] host robots"},
		{"PATCH /api/v1/domains/{host}", `{"host":1,"root_url":"javascript:x","off":1,"x":1}`, "host off root_url x"},
		{"PATCH /api/v1/domains/{host}", `{"host":"com","aliases":["127.0.0.1"],"shared":"yes"}`, "aliases[0] host shared"},
		{"POST /api/v1/reports/{id}/resolve", `{"resolution":1,"x":1}`, "resolution x"},
		{"POST /api/v1/reports/{id}/resolve", `{"resolution":` + control + `,"x":1}`, "resolution x"},
	}
	tested := map[string]bool{}
	for _, tt := range tests {
		tested[tt.route] = true
		method, path, _ := strings.Cut(tt.route, " ")
		path = strings.NewReplacer("{code}", "spring", "{id}", reports[0].ID, "{host}", "go.example.com").Replace(path)
		a := s.send(method, path, tt.body, admin...)
		if got := fieldsOf(t, &a, "body."); got != tt.want {
			t.Errorf("%s %s = %d %s, want errors of %s", tt.route, tt.body, a.status, a.body, tt.want)
		}
	}
	var document struct {
		Paths map[string]map[string]struct{ RequestBody any }
	}
	s.get("/api/openapi.json").into(&document)
	for path, operations := range document.Paths {
		for method, op := range operations {
			if route := strings.ToUpper(method) + " " + path; op.RequestBody != nil && !tested[route] {
				t.Errorf("%s takes a body, and is not in this test", route)
			}
		}
	}
}

// fieldsOf returns the locations of the errors of a 422, sorted, without a prefix.
func fieldsOf(t *testing.T, a *answer, prefix string) string {
	t.Helper()
	a.problem(http.StatusUnprocessableEntity)
	var p problemJSON
	a.into(&p)
	fields := make([]string, len(p.Errors))
	for i, e := range p.Errors {
		fields[i] = strings.TrimPrefix(e.Location, prefix)
	}
	slices.Sort(fields)
	return strings.Join(fields, " ")
}

// TestBodiesThatAreNoObject checks that the answer to a bare list names the member that takes it.
func TestBodiesThatAreNoObject(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	long := "[" + strings.Repeat(`{"url":"https://example.com"},`, 999) + `{"url":"https://example.com"}]`
	for _, path := range []string{"/api/v1/links/batch", "/api/v1/archive"} {
		for _, body := range []string{`[]`, ` [{"url":"https://example.com"}]`, long, `"text"`, `1`, `null`, `{}`, `{"links":{}}`, `{"links":null}`} {
			a := s.send(http.MethodPost, path, body, admin...)
			a.problem(http.StatusUnprocessableEntity)
			if !strings.Contains(string(a.body), "links") {
				t.Errorf("POST %s %.40s = %s, want the member links in it", path, body, a.body)
			}
		}
	}
	for _, body := range []string{`[]`, `[{"url":"https://example.com"}]`, `"text"`, `null`} {
		a := s.send(http.MethodPost, "/api/v1/links", body, admin...)
		a.problem(http.StatusUnprocessableEntity)
		if !strings.Contains(string(a.body), "must be an object with the member url") {
			t.Errorf("POST %s = %s, want the member url in it", body, a.body)
		}
	}
}

// TestAuthorizationWithoutBearer checks that the answer says how to send a key.
func TestAuthorizationWithoutBearer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	header := s.key("owner", store.ScopeLinksRead)[1]
	token := strings.TrimPrefix(header, "Bearer ")
	for _, tt := range []struct{ header, want string }{
		{token, "must begin with Bearer"},
		{"Basic " + token, "must begin with Bearer"},
		{"Token " + token, "must begin with Bearer"},
		{"Bearer", "no complete API key"},
		{"Bearer " + token[:len(token)-1], "no complete API key"},
		{"Bearer <" + token + ">", "no complete API key"},
		{"Bearer " + token[:len(token)-1] + "-", "unknown, revoked or expired"},
	} {
		a := s.get("/api/v1/links", "Authorization", tt.header)
		a.problem(http.StatusUnauthorized)
		if !strings.Contains(string(a.body), tt.want) || strings.Contains(string(a.body), token) {
			t.Errorf("answer to %s = %s, want %q and no token", tt.header, a.body, tt.want)
		}
	}
	if a := s.get("/api/v1/links", "Authorization", "bearer "+token); a.status != http.StatusOK {
		t.Errorf("bearer in small letters = %d, want 200", a.status)
	}
}
