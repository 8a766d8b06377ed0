package api_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

// countingStore counts calls of Resolve.
type countingStore struct {
	store.Store
	asked atomic.Int64
}

func (c *countingStore) Resolve(ctx context.Context, code string) (store.Link, error) {
	c.asked.Add(1)
	return c.Store.Resolve(ctx, code)
}

// counting puts c between a server and its store.
func counting(c *countingStore) func(*options) {
	return func(o *options) {
		links := o.Store.(*cache.Cache)
		c.Store, o.Store, o.Peek, o.Holds = links, c, links.Peek, links.Holds
	}
}

// cold creates a link that is not in memory.
func (s *server) cold(code string) {
	s.t.Helper()
	now := s.clock.Now()
	_, err := s.store.Create(context.Background(), store.Link{
		Code: code, URL: "https://example.com/", Status: http.StatusFound, CreatedAt: now, UpdatedAt: now,
	})
	must(s.t, err)
}

// scarce takes half of the places of the class Redirect.
func (s *server) scarce() {
	s.t.Helper()
	for !s.guard.Scarce(overload.Redirect) {
		_, err := s.guard.Admit(s.t.Context(), overload.Redirect, overload.Caller{})
		must(s.t, err)
	}
}

// TestRedirectsAreNotLimited checks that a client over its limit of unknown codes still gets
// all links while the server is not busy.
func TestRedirectsAreNotLimited(t *testing.T) {
	t.Parallel()
	s := newServer(t, limitsOf(t, "2/1m"))
	s.cold("cold")
	for i := range 4 {
		s.get(fmt.Sprintf("/none-%d", i))
	}
	s.get("/none").problem(http.StatusTooManyRequests)
	if a := s.get("/cold"); a.status != http.StatusFound {
		t.Errorf("a link that is not in memory = %d, want 302", a.status)
	}
}

// TestInventedCodesAskNobody sends a flood of invented codes while places are scarce, on
// every route. The flood causes no more queries than the limit allows. Other clients still
// get all links, and the client itself still gets links in memory.
func TestInventedCodesAskNobody(t *testing.T) {
	t.Parallel()
	const allowed, flood = 40, 500
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for name, ask := range map[string]func(s *server, code string) answer{
		"redirect":    func(s *server, code string) answer { return s.get("/" + code) },
		"punctuation": func(s *server, code string) answer { return s.get("/" + code + ")") },
		"preview":     func(s *server, code string) answer { return s.get("/" + code + "+") },
		"password": func(s *server, code string) answer {
			return s.do(http.MethodPost, "/"+code, []byte("password=x"), form...)
		},
		"report": func(s *server, code string) answer {
			return s.do(http.MethodPost, "/"+code+"+", []byte("reason=spam"), form...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asks := &countingStore{}
			s := newServer(t, limitsOf(t, fmt.Sprint(allowed, "/20s")), counting(asks))
			warm := s.create(`{"url":"https://example.com/"}`).Code
			if a := s.get("/" + warm); a.status != http.StatusFound {
				t.Fatalf("a live link = %d, want 302", a.status)
			}
			for i := range 3 {
				s.cold(fmt.Sprintf("cold-%d", i))
			}
			s.scarce()
			asks.asked.Store(0)
			answers := map[int]int{}
			for i := range flood {
				answers[ask(s, fmt.Sprintf("none-%d", i)).status]++
			}
			if got := asks.asked.Load(); answers[http.StatusNotFound] != allowed || answers[http.StatusTooManyRequests] != flood-allowed || got > allowed+1 {
				t.Errorf("%d invented codes were answered %v with %d queries, want 404 for only %d, and at most one query more", flood, answers, got, allowed)
			}
			if a := s.get("/" + warm); a.status != http.StatusFound {
				t.Errorf("a link in memory = %d, want 302", a.status)
			}
			refused := s.get("/cold-0")
			refused.problem(http.StatusTooManyRequests)
			if after, cc := refused.header.Get("Retry-After"), refused.header.Get("Cache-Control"); after != "1" || cc != "no-store" {
				t.Errorf("a link that is not in memory: Retry-After %q, Cache-Control %q, want 1 and no-store", after, cc)
			}
			if a := s.get("/cold-1", "X-Forwarded-For", "203.0.113.1"); a.status != http.StatusFound {
				t.Errorf("a link of another client = %d, want 302", a.status)
			}
			s.clock.add(time.Second)
			if a := s.get("/cold-2"); a.status != http.StatusFound {
				t.Errorf("a link that is not in memory, after Retry-After = %d, want 302", a.status)
			}
		})
	}
}

// TestHeldLinksAreForEverybody checks that a client over its limit still gets a link if
// memory has an expired entry for it.
func TestHeldLinksAreForEverybody(t *testing.T) {
	t.Parallel()
	s := newServer(t, limitsOf(t, "2/1m"), func(o *options) {
		o.Holds = func(code string) bool { return code == "held" }
	})
	for _, code := range []string{"held", "cold"} {
		s.cold(code)
	}
	s.scarce()
	for i := range 4 {
		s.get(fmt.Sprintf("/none-%d", i))
	}
	for code, want := range map[string]int{"held": http.StatusFound, "cold": http.StatusTooManyRequests} {
		if a := s.get("/" + code); a.status != want {
			t.Errorf("a client over its limit gets %d for the link %s, want %d", a.status, code, want)
		}
	}
}

// TestNetworkLimit checks that many clients of one network together cause as many queries as
// the limit of their network allows, while places are scarce.
func TestNetworkLimit(t *testing.T) {
	t.Parallel()
	asks := &countingStore{}
	s := newServer(t, limitsOf(t, "2/1m"), counting(asks))
	s.scarce()
	for i := range 200 {
		s.get(fmt.Sprintf("/none-%d", i), "X-Forwarded-For", fmt.Sprintf("2001:db8:1:%x::1", i))
	}
	if got := asks.asked.Load(); got > 2*16+1 {
		t.Errorf("a network caused %d queries for invented codes, want at most 33", got)
	}
	s.cold("cold")
	if a := s.get("/cold", "X-Forwarded-For", "2001:db8:2::1"); a.status != http.StatusFound {
		t.Errorf("a link of another network = %d, want 302", a.status)
	}
}
