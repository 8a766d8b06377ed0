package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// testDeletedAliasIsCreatedAgain checks that an owner can create a deleted alias again by every
// kind of create, and that the history continues.
func testDeletedAliasIsCreatedAgain(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	const path = "/api/v1/links/back"
	s.create(`{"url":"https://example.com/0","alias":"back","title":"first","max_clicks":5}`, owner...)
	for i, create := range []struct{ path, body, key string }{
		{"/api/v1/links", `{"url":"https://example.com/1","alias":"back"}`, ""},
		{"/api/v1/links", `{"url":"https://example.com/2","alias":"back"}`, "one"},
		{"/api/v1/links/batch", `{"links":[{"url":"https://example.com/3","alias":"back"}]}`, ""},
		{"/api/v1/links/batch", `{"links":[{"url":"https://example.com/4","alias":"back"}]}`, "two"},
	} {
		s.clock.add(time.Second)
		if a := s.do(http.MethodDelete, path, nil, owner...); a.status != http.StatusNoContent {
			t.Fatalf("delete = %d %s, want 204", a.status, a.body)
		}
		s.get("/back").problem(http.StatusGone)
		s.clock.add(time.Second)
		headers := owner
		if create.key != "" {
			headers = append(slices.Clip(headers), "Idempotency-Key", create.key)
		}
		for range 1 + len(create.key) { // with a key, repetitions return the same link
			if a := s.send(http.MethodPost, create.path, create.body, headers...); a.status/100 != 2 || !strings.Contains(string(a.body), "example.com") {
				t.Fatalf("create %s = %d %s, want a link", create.body, a.status, a.body)
			}
		}
		if want, got := []string{"1", "2", "3", "4"}[i], s.get("/back").header.Get("Location"); got != "https://example.com/"+want {
			t.Errorf("Location = %q, want the target %s", got, want)
		}
		var l linkJSON
		s.get(path, owner...).into(&l)
		if l.Version != int64(3+2*i) || l.Title != "" {
			t.Errorf("the link is %+v, want version %d without the title of before", l, 3+2*i)
		}
	}
	var history struct {
		Entries []struct {
			Version int64
			Action  string
			Actor   string
		}
	}
	s.get(path+"/history", owner...).into(&history)
	var actions []string
	for _, e := range history.Entries {
		actions = append(actions, e.Action)
		if e.Actor != history.Entries[0].Actor {
			t.Errorf("version %d is by %q, want the owner", e.Version, e.Actor)
		}
	}
	if got := strings.Join(actions, " "); got != "created deleted created deleted created deleted created deleted created" {
		t.Errorf("the history is %s", got)
	}
	s.send(http.MethodPost, path+"/rollback", `{"version":2}`, owner...).problem(http.StatusUnprocessableEntity)
	s.send(http.MethodPost, path+"/rollback", `{"version":1}`, owner...)
	if got := s.get("/back").header.Get("Location"); got != "https://example.com/0" {
		t.Errorf("Location after a rollback to version 1 = %q", got)
	}
	s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com","alias":"back"}`, owner...).problem(http.StatusConflict)
}

// testDeletedAliasOfOthersStaysTaken checks that a deleted alias goes to no other owner, to no
// caller without a key, and not back to an owner whose link was taken down or deleted by an admin.
func testDeletedAliasOfOthersStaysTaken(t *testing.T, newServer opener) {
	s := newServer(t)
	owner, other, admin := s.owner("owner"), s.owner("other"), s.key("admin", store.ScopeAdmin)
	create := func(alias string, headers ...string) answer {
		return s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/","alias":"`+alias+`"}`, headers...)
	}
	remove := func(alias string, headers ...string) {
		t.Helper()
		s.clock.add(time.Second)
		if a := s.do(http.MethodDelete, "/api/v1/links/"+alias, nil, headers...); a.status != http.StatusNoContent {
			t.Fatalf("delete of %s = %d %s, want 204", alias, a.status, a.body)
		}
		s.clock.add(time.Second)
	}
	create("mine", owner...)
	remove("mine", owner...)
	for _, headers := range [][]string{other, admin, nil, append(slices.Clip(other), "Idempotency-Key", "k"), {"Idempotency-Key", "k"}} {
		create("mine", headers...).problem(http.StatusConflict)
	}
	create("nobodys")
	remove("nobodys", admin...)
	create("nobodys").problem(http.StatusConflict)
	create("nobodys", admin...).problem(http.StatusConflict)

	create("removed", owner...)
	remove("removed", admin...)
	create("removed", owner...).problem(http.StatusConflict)

	create("disabled", owner...)
	s.send(http.MethodPost, "/api/v1/links/disabled/disable", `{"reason":"phishing"}`, admin...)
	remove("disabled", owner...)
	create("disabled", owner...).problem(http.StatusConflict)
	s.get("/disabled").problem(http.StatusGone)
}

// testDelayedCreateRestoresNothing checks that a repeated create with an idempotency key does not
// restore the link that it created before, but that a new key does.
func testDelayedCreateRestoresNothing(t *testing.T, newServer opener) {
	s := newServer(t)
	owner := s.owner("owner")
	with := func(key string) []string { return append(slices.Clip(owner), "Idempotency-Key", key) }
	const body = `{"url":"https://example.com/","alias":"once"}`
	s.create(body, with("first")...)
	s.clock.add(time.Second)
	s.do(http.MethodDelete, "/api/v1/links/once", nil, owner...)
	s.clock.add(time.Second)
	s.send(http.MethodPost, "/api/v1/links", body, with("first")...).problem(http.StatusConflict)
	s.get("/once").problem(http.StatusGone)
	s.create(body, with("second")...)
	s.clock.add(time.Second)
	s.do(http.MethodDelete, "/api/v1/links/once", nil, owner...)
	s.clock.add(time.Second)
	for _, key := range []string{"first", "second"} {
		s.send(http.MethodPost, "/api/v1/links", body, with(key)...).problem(http.StatusConflict)
	}
}
