package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
)

func TestReservedAliases(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Reserved = []string{"Jobs"} })
	for _, alias := range []string{"login", "LOGIN", "admin", "health", "healthz", "metrics", "sign-up", "jobs", "JOBS"} {
		for _, e := range entries() {
			if e.name == "import" {
				continue // TestReservedLinksKeepWorking
			}
			status, named := e.post(t, s, map[string]any{"url": "https://example.com", "alias": alias})
			if status != http.StatusUnprocessableEntity || e.name != "form" && named != "body.alias" {
				t.Errorf("%s of the alias %q = %d naming %q, want 422 naming body.alias", e.name, alias, status, named)
			}
		}
	}
	for _, alias := range []string{"logins", "my-admin", "job"} {
		s.create(`{"url":"https://example.com","alias":"` + alias + `"}`)
	}
}

// TestReservedLinksKeepWorking checks links that are older than the reservation of their alias.
func TestReservedLinksKeepWorking(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.owner("owner")
	who := s.create(`{"url":"https://example.com/mine"}`, owner...).Owner
	now := time.Now().UTC().Truncate(time.Microsecond)
	_, err := s.store.Create(context.Background(), store.Link{
		Code: "login", URL: "https://example.com/old", Status: http.StatusFound, Owner: who, CreatedAt: now, UpdatedAt: now,
	})
	must(t, err)
	if got := s.get("/login").header.Get("Location"); got != "https://example.com/old" {
		t.Errorf("the link leads to %q, want its target", got)
	}
	if a := s.send(http.MethodPatch, "/api/v1/links/login", `{"url":"https://example.com/new"}`, owner...); a.status != http.StatusOK {
		t.Errorf("an edit = %d, want 200: %s", a.status, a.body)
	}
	for alias, want := range map[string]int{"status": http.StatusCreated, "spring_": http.StatusCreated, "api": http.StatusUnprocessableEntity} {
		var got batchJSON
		s.send(http.MethodPost, "/api/v1/archive", `{"links":[{"code":"`+alias+`","url":"https://example.com"}]}`, s.key("admin", store.ScopeAdmin)...).into(&got)
		if got.Results[0].Status != want {
			t.Errorf("an import of the existing link %q = %+v, want %d", alias, got.Results[0], want)
		}
	}
	if a := s.send(http.MethodDelete, "/api/v1/links/login", nil, owner...); a.status != http.StatusNoContent {
		t.Errorf("a delete = %d, want 204: %s", a.status, a.body)
	}
}

func TestParseReserved(t *testing.T) {
	t.Parallel()
	if _, err := api.ParseReserved([]string{"jobs", "Press_1"}); err != nil {
		t.Errorf("ParseReserved of valid names = %v", err)
	}
	_, err := api.ParseReserved([]string{"a/b", "ok", "é"})
	if err == nil || !strings.Contains(err.Error(), `"a/b"`) || !strings.Contains(err.Error(), `"é"`) {
		t.Errorf("ParseReserved = %v, want both names that cannot be aliases", err)
	}
}
