package api_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// TestLinkTime runs a node with a clock one hour ahead of the database's time, or behind it.
// Links must start and expire by the database's time.
func TestLinkTime(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(o *options) {
				now := o.Now
				o.LinkTime = func() (time.Time, bool) { return now().Add(-ahead), true }
			})
			owner := s.owner("owner")
			at := func(d time.Duration) string { return s.clock.Now().Add(d - ahead).Format(time.RFC3339Nano) }
			ends := s.create(`{"url":"https://example.com","expires_at":"`+at(30*time.Minute)+`"}`, owner...)
			starts := s.create(`{"url":"https://example.com","starts_at":"`+at(30*time.Minute)+`"}`, owner...)
			if a := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com","expires_at":"`+at(-time.Minute)+`"}`); a.status != http.StatusUnprocessableEntity {
				t.Errorf("create of an expired link = %d, want 422", a.status)
			}
			check := func(when string, endsStatus, startsStatus int, endsState, startsState string) {
				t.Helper()
				for _, c := range []struct {
					name, code string
					status     int
					state      string
				}{{"ends", ends.Code, endsStatus, endsState}, {"starts", starts.Code, startsStatus, startsState}} {
					if a := s.get("/" + c.code); a.status != c.status {
						t.Errorf("%s, a link that %s in half an hour = %d, want %d", when, c.name, a.status, c.status)
					}
					var l linkJSON
					s.get("/api/v1/links/"+c.code, owner...).into(&l)
					if l.State != c.state {
						t.Errorf("%s, state of a link that %s = %q, want %q", when, c.name, l.State, c.state)
					}
				}
			}
			check("at first", 302, 404, "live", "not_started")
			s.clock.add(31 * time.Minute)
			check("after half an hour", 410, 302, "expired", "live")
		})
	}
}

// TestUnknownTime runs a node that does not know the database's time. Links with dates are
// answered 503, and everything else works.
func TestUnknownTime(t *testing.T) {
	t.Parallel()
	var unknown atomic.Bool
	s := newServer(t, func(o *options) {
		now := o.Now
		o.LinkTime = func() (time.Time, bool) { return now(), !unknown.Load() }
	})
	owner := s.owner("owner")
	at := s.clock.Now().Add(time.Hour).Format(time.RFC3339Nano)
	dated := `{"url":"https://example.com","expires_at":"` + at + `"}`
	ends, starts := s.create(dated, owner...), s.create(`{"url":"https://example.com","starts_at":"`+at+`"}`, owner...)
	plain, deleted := s.create(`{"url":"https://example.com"}`), s.create(dated, owner...)
	s.do(http.MethodDelete, "/api/v1/links/"+deleted.Code, nil, owner...)
	unknown.Store(true)
	for _, tt := range []struct {
		path string
		want int
	}{
		{"/" + ends.Code, 503},
		{"/" + starts.Code, 503},
		{"/" + ends.Code + "+", 503},
		{"/api/v1/links/" + starts.Code + "/qr", 503},
		{"/" + plain.Code, 302},
		{"/" + plain.Code + "+", 200},
		{"/" + deleted.Code, 410},
		{"/unknown", 404},
	} {
		if a := s.get(tt.path); a.status != tt.want {
			t.Errorf("GET %s while the time is unknown = %d, want %d", tt.path, a.status, tt.want)
		}
	}
	if a := s.send(http.MethodPost, "/api/v1/links", dated); a.status != 503 {
		t.Errorf("create with expires_at while the time is unknown = %d, want 503", a.status)
	}
	if a := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`); a.status != 201 {
		t.Errorf("create while the time is unknown = %d, want 201", a.status)
	}
	unknown.Store(false)
	if a := s.get("/" + ends.Code); a.status != 302 {
		t.Errorf("a link that ends once the time is known = %d, want 302", a.status)
	}
}
