package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

// TestDryRun checks that a dry run has the statuses of the real call that follows, and that it
// changes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	for _, alias := range []string{"taken", "gone"} {
		s.create(`{"url":"https://example.com","alias":"`+alias+`"}`, owner...)
	}
	s.do(http.MethodDelete, "/api/v1/links/gone", nil, owner...)
	for _, tt := range []struct {
		name, path, body string
		key              []string
		want             []int
	}{
		{"batch", "/api/v1/links/batch", `{"links":[{"url":"https://example.com","alias":"a"},{"url":"https://example.com"},{"url":"ftp://x","alias":"b"},
			{"url":"https://example.com","alias":"taken"},{"url":"https://example.com","alias":"gone"},{"url":"https://example.com","alias":"login"},
			{"url":"https://example.com/2","alias":"a"},{"url":"https://example.com","password":"p","idempotency_key":"k"}]}`, owner, []int{201, 201, 422, 409, 201, 422, 409, 201}},
		{"batch without a key", "/api/v1/links/batch", `{"links":[{"url":"https://example.com","alias":"c"},{"url":"https://example.com","alias":"a"},{"url":"https://example.com","reuse":true}]}`, nil, []int{201, 409, 422}},
		{"archive", "/api/v1/archive", `{"links":[{"code":"d","url":"https://example.com"},{"code":"taken","url":"https://example.com/2"},{"code":"e","url":"nope"},
			{"code":"d","url":"https://example.com/3"}]}`, admin, []int{201, 409, 422, 409}},
	} {
		statuses := func(query string) (got []int, links int) {
			a := s.send(http.MethodPost, tt.path+query, tt.body, tt.key...)
			if a.status != http.StatusOK {
				t.Fatalf("%s%s = %d %s, want 200", tt.name, query, a.status, a.body)
			}
			var b batchJSON
			a.into(&b)
			for _, r := range b.Results {
				got = append(got, r.Status)
			}
			return got, strings.Count(string(a.body), `"link":`)
		}
		count := func() string { return string(s.get("/api/v1/archive", admin...).body) }
		before := count()
		for _, query := range []string{"?dry_run=true", "?dry_run=true", ""} {
			got, links := statuses(query)
			if len(got) != len(tt.want) || (query != "") != (links == 0) {
				t.Fatalf("%s%s = %v with %d links, want %v", tt.name, query, got, links, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("%s%s: item %d = %d, want %d", tt.name, query, i, got[i], tt.want[i])
				}
			}
			if query != "" && count() != before {
				t.Errorf("%s%s changed the links", tt.name, query)
			}
		}
	}
	s.send(http.MethodPost, "/api/v1/links/batch?dry_run=maybe", `{"links":[{"url":"https://example.com"}]}`, owner...).problem(http.StatusUnprocessableEntity)
}
