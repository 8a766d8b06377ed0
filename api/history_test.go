package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// historyJSON is a history as a client reads it.
type historyJSON struct {
	Entries []struct {
		Version int64     `json:"version"`
		At      time.Time `json:"at"`
		Action  string    `json:"action"`
		Actor   string    `json:"actor"`
		Note    string    `json:"note"`
		Changes []struct {
			Field  string `json:"field"`
			Before any    `json:"before"`
			After  any    `json:"after"`
		} `json:"changes"`
	} `json:"entries"`
	NextCursor string `json:"next_cursor"`
}

// lines returns one line for each entry of the history, without times.
func (h historyJSON) lines() (lines []string) {
	for _, e := range h.Entries {
		line := fmt.Sprintf("%d %s by %s", e.Version, e.Action, e.Actor)
		if e.Note != "" {
			line += " (" + e.Note + ")"
		}
		for _, c := range e.Changes {
			line += fmt.Sprintf("; %s %v > %v", c.Field, c.Before, c.After)
		}
		lines = append(lines, line)
	}
	return lines
}

func (s *server) history(path string, headers ...string) (h historyJSON) {
	s.t.Helper()
	a := s.get("/api/v1/links/"+path, headers...)
	if a.status != http.StatusOK {
		s.t.Fatalf("history = %d %s, want 200", a.status, a.body)
	}
	a.into(&h)
	return h
}

// keyID returns the id of a key that s.key created.
func (s *server) keyID(name string) string {
	s.t.Helper()
	keys, err := s.store.ListKeys(s.t.Context())
	must(s.t, err)
	i := slices.IndexFunc(keys, func(k store.Key) bool { return k.Name == name && k.IsAPIKey() })
	if i < 0 {
		s.t.Fatalf("there is no key %q", name)
	}
	return keys[i].ID
}

func TestHistory(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	const path = "/api/v1/links/told"
	s.create(`{"url":"https://example.com/1","alias":"told","title":"One","password":"old secret"}`, owner...)
	for _, call := range []struct{ method, path, body string }{
		{http.MethodPatch, path, `{"url":"https://example.com/2","tags":["a"],"max_clicks":5}`},
		{http.MethodPatch, path, `{"password":"new secret"}`},
		{http.MethodPost, path + "/disable", `{"reason":"phishing"}`},
		{http.MethodPost, path + "/enable", `{"reason":"cleaned up"}`},
		{http.MethodPatch, path, `{"title":"One"}`}, // changes nothing, so it creates no version
		{http.MethodDelete, path, ``},
	} {
		s.clock.add(time.Minute)
		headers := owner
		if strings.HasSuffix(call.path, "able") {
			headers = admin
		}
		if a := s.send(call.method, call.path, call.body, headers...); a.status >= 300 {
			t.Fatalf("%s %s = %d %s, want success", call.method, call.path, a.status, a.body)
		}
	}
	mine, theirs := s.keyID("owner"), s.keyID("admin")
	want := []string{
		"6 deleted by " + mine + "; password *** > <nil>; url https://example.com/2 > <nil>; title One > <nil>; tags [a] > <nil>; max_clicks 5 > <nil>",
		"5 enabled by " + theirs + " (cleaned up); disabled_reason phishing > <nil>",
		"4 disabled by " + theirs + "; disabled_reason <nil> > phishing",
		"3 edited by " + mine + "; password *** > ***",
		"2 edited by " + mine + "; url https://example.com/1 > https://example.com/2; tags <nil> > [a]; max_clicks <nil> > 5",
		"1 created by " + mine + "; password <nil> > ***; url <nil> > https://example.com/1; title <nil> > One",
	}
	for _, headers := range [][]string{owner, admin} {
		if got := s.history("told/history", headers...).lines(); !slices.Equal(got, want) {
			t.Errorf("history =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if body := string(s.get(path+"/history", owner...).body); strings.Contains(body, "$2a$") || strings.Contains(body, "secret") {
		t.Errorf("history contains a password: %s", body)
	}
	at := s.history("told/history", owner...).Entries
	if got := at[0].At.Sub(at[5].At); got != 6*time.Minute {
		t.Errorf("times of the first and the last entry are %v apart, want 6 m", got)
	}

	var paged []string
	for cursor := ""; ; {
		page := s.history("told/history?limit=4&cursor="+cursor, owner...)
		paged = append(paged, page.lines()...)
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if !slices.Equal(paged, want) {
		t.Errorf("history in pages =\n%s\nwant\n%s", strings.Join(paged, "\n"), strings.Join(want, "\n"))
	}
	for _, cursor := range []string{"x", "-1", "0", "99999999999999999999"} {
		if got := s.get(path+"/history?cursor="+cursor, owner...).problem(http.StatusUnprocessableEntity); got != "query.cursor" {
			t.Errorf("history with the cursor %q names %q, want query.cursor", cursor, got)
		}
	}
	s.get("/api/v1/links/nope/history", owner...).problem(http.StatusNotFound)
}

func TestHistoryOfAnonymousLink(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	l := s.create(`{"url":"https://example.com/1"}`)
	got := s.history(l.Code+"/history", s.key("admin", store.ScopeAdmin)...).lines()
	if want := []string{"1 created by anonymous; url <nil> > https://example.com/1"}; !slices.Equal(got, want) {
		t.Errorf("history = %v, want %v", got, want)
	}
}

func TestRollBack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.owner("owner")
	const path = "/api/v1/links/turned/rollback"
	s.create(`{"url":"https://example.com/1","alias":"turned"}`, owner...)
	s.send(http.MethodPatch, "/api/v1/links/turned", `{"url":"https://example.com/2","title":"Two"}`, owner...)

	s.send(http.MethodPost, path, `{"version":1}`, append(owner, "If-Match", `"1"`)...).problem(http.StatusPreconditionFailed)
	for _, version := range []int{0, 3, 99} {
		body := fmt.Sprintf(`{"version":%d}`, version)
		if got := s.send(http.MethodPost, path, body, owner...).problem(http.StatusUnprocessableEntity); got != "body.version" {
			t.Errorf("rollback to version %d names %q, want body.version", version, got)
		}
	}
	s.send(http.MethodPost, path, `{"version":1}`, s.owner("other")...).problem(http.StatusNotFound)

	a := s.send(http.MethodPost, path, `{"version":1}`, append(owner, "If-Match", `"2"`)...)
	if l := a.link(); a.status != http.StatusOK || l.URL != "https://example.com/1" || l.Title != "Two" || l.Version != 3 {
		t.Fatalf("rollback = %d %s, want version 3 with the first target and the second title", a.status, a.body)
	}
	if got := s.get("/turned").header.Get("Location"); got != "https://example.com/1" {
		t.Errorf("Location after the rollback = %q, want the first target", got)
	}
	want := "3 edited by " + s.keyID("owner") + " (target of version 1); url https://example.com/2 > https://example.com/1"
	if got := s.history("turned/history", owner...).lines()[0]; got != want {
		t.Errorf("history of the rollback = %q, want %q", got, want)
	}
	s.do(http.MethodDelete, "/api/v1/links/turned", nil, owner...)
	s.send(http.MethodPost, path, `{"version":1}`, owner...).problem(http.StatusGone)
}
