package api_test

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/abuse/blocklist"
	"github.com/terse/terse/store"
)

// blocking returns a change of options that blocks the hosts of a blocklist file.
func blocking(t *testing.T, hosts ...string) func(*options) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hosts")
	must(t, os.WriteFile(path, []byte(strings.Join(hosts, "\n")), 0o600))
	list, err := blocklist.New(t.Context(), blocklist.Options{
		File: path, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	must(t, err)
	return func(o *options) { o.Blocked = list }
}

func TestBlockedHostsAreRefusedEverywhere(t *testing.T) {
	t.Parallel()
	s := newServer(t, blocking(t, "evil.example", "bücher.example", "192.0.2.1", "[2001:db8::1]", "=alone.example"))
	for _, target := range []string{
		"https://evil.example", "http://evil.example/path?q#f", "https://EVIL.Example/", "https://evil.example./",
		"https://evil.example../", "https://evil.example:443/", "http://evil.example:8080", "https://www.evil.example/",
		"https://a.b.c.evil.example/", "https://ev%69l.example/", "https://ｅｖｉｌ.example/", "https://evil。example/",
		"https://bücher.example/", "https://BÜCHER.example/", "https://xn--bcher-kva.example/", "https://www.xn--BCHER-kva.example/",
		"http://192.0.2.1/", "http://3221225985/", "http://0xC0000201/", "http://0300.0.2.1/", "http://192.0.513/",
		"http://[2001:db8::1]/", "http://[2001:DB8:0::0:1]/", "http://[::ffff:192.0.2.1]/", "https://alone.example/",
	} {
		for _, e := range entries() {
			status, fields := e.post(t, s.in(t), map[string]any{"url": target})
			if status != http.StatusUnprocessableEntity || e.name != "form" && fields != "body.url" {
				t.Errorf("%s of %q = %d for %q, want 422 for body.url", e.name, target, status, fields)
			}
		}
	}
	for _, target := range []string{
		"https://notevil.example/", "https://evil.example.com/", "https://example.com/?u=https://evil.example",
		"https://www.alone.example/", "http://192.0.2.2/", "https://example.com/evil.example",
	} {
		s.create(map[string]any{"url": target})
	}
}

// switched is a Blocker that blocks nothing until on is set.
type switched struct {
	store.Blocker
	on atomic.Bool
}

func (s *switched) Blocks(host string) bool { return s.on.Load() && s.Blocker.Blocks(host) }

func TestBlockedLinksStayAsTheyAre(t *testing.T) {
	t.Parallel()
	late := &switched{}
	s := newServer(t, blocking(t, "evil.example"), func(o *options) {
		late.Blocker = o.Blocked
		o.Blocked = late
	})
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	const path = "/api/v1/links/late"
	s.create(`{"url":"https://www.evil.example/","alias":"late"}`, owner...)
	s.send(http.MethodPatch, path, `{"url":"https://example.com/"}`, owner...)
	s.send(http.MethodPatch, path, `{"url":"https://evil.example/"}`, owner...)
	s.send(http.MethodPost, path+"/disable", `{"reason":"phishing"}`, admin...)
	late.on.Store(true)
	for _, call := range []struct{ method, path, body string }{
		{http.MethodPost, "/rollback", `{"version":1}`},
		{http.MethodPost, "/enable", ``},
		{http.MethodPost, "/enable", `{"reason":"asked for it"}`},
		{http.MethodPatch, "", `{"title":"x"}`},
	} {
		got := s.send(call.method, path+call.path, call.body, admin...).problem(http.StatusUnprocessableEntity)
		if got != "body.url" {
			t.Errorf("%s %s names %q, want body.url", call.method, call.path, got)
		}
	}
	if a := s.send(http.MethodPost, path+"/rollback", `{"version":2}`, owner...); a.status != http.StatusOK {
		t.Errorf("rollback to a target that is allowed = %d %s, want 200", a.status, a.body)
	}
	if a := s.send(http.MethodPost, path+"/enable", ``, admin...); a.status != http.StatusOK || a.link().State != "live" {
		t.Errorf("enable with a target that is allowed = %d %s, want 200", a.status, a.body)
	}
}

func TestBlocklistResource(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	const path = "/api/v1/blocklist"
	for _, headers := range [][]string{nil, s.owner("owner")} {
		want := http.StatusForbidden
		if headers == nil {
			want = http.StatusUnauthorized
		}
		s.get(path, headers...).problem(want)
		s.send(http.MethodPost, path, `{"host":"evil.example"}`, headers...).problem(want)
		s.do(http.MethodDelete, path+"/evil.example", nil, headers...).problem(want)
	}
	type page struct {
		Hosts []struct {
			Host      string `json:"host"`
			Reason    string `json:"reason"`
			BlockedBy string `json:"blocked_by"`
		} `json:"hosts"`
		NextCursor string `json:"next_cursor"`
	}
	for _, host := range []string{"EVIL.example.", "=bücher.example", "http.example:80", ".zip"} {
		a := s.send(http.MethodPost, path, map[string]string{"host": host, "reason": "phishing"}, admin...)
		if a.status != http.StatusCreated {
			t.Errorf("block %q = %d %s, want 201", host, a.status, a.body)
		}
	}
	for body, field := range map[string]string{
		`{"host":"com"}`:                               "body.host",
		`{"host":"https://evil.example/"}`:             "body.host",
		`{"host":""}`:                                  "body.host",
		`{"host":"a.example","reason":"\u0000"}`:       "body.reason",
		`{"host":"a.example","reason":"\u202e upset"}`: "body.reason",
	} {
		if got := s.send(http.MethodPost, path, body, admin...).problem(http.StatusUnprocessableEntity); got != field {
			t.Errorf("block %s names %q, want %s", body, got, field)
		}
	}
	var hosts []string
	for cursor := ""; ; {
		var p page
		s.get(path+"?limit=3&cursor="+cursor, admin...).into(&p)
		for _, h := range p.Hosts {
			hosts = append(hosts, h.Host)
			if h.Reason != "phishing" || h.BlockedBy != s.keyID("admin") {
				t.Errorf("host = %+v, want its reason and the admin's key", h)
			}
		}
		if cursor = p.NextCursor; cursor == "" {
			break
		}
	}
	if want := []string{".zip", "=xn--bcher-kva.example", "evil.example", "http.example"}; !slices.Equal(hosts, want) {
		t.Errorf("hosts = %v, want %v", hosts, want)
	}
	s.get(path+"?cursor=%21", admin...).problem(http.StatusUnprocessableEntity)
	if a := s.do(http.MethodDelete, path+"/Evil.Example", nil, admin...); a.status != http.StatusNoContent {
		t.Errorf("unblock = %d %s, want 204", a.status, a.body)
	}
	s.do(http.MethodDelete, path+"/evil.example", nil, admin...).problem(http.StatusNotFound)
	s.do(http.MethodDelete, path+"/%00", nil, admin...).problem(http.StatusNotFound)
}
