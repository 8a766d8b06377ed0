package api_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
)

// limitedCall is a call with a rate limit.
type limitedCall struct {
	name   string // of the limit in answers
	call   func(headers ...string) answer
	done   int  // status within the limit
	silent bool // only the 429 reports the limit
}

// limitedCalls returns all calls with a rate limit. All limits of s must be equal.
func limitedCalls(s *server) map[string]limitedCall {
	const link = `{"url":"https://example.com"}`
	secret := s.create(`{"url":"https://example.com","password":"right"}`, s.owner("maker")...)
	shown := s.create(link, s.owner("maker")...)
	form := func(path, body string) func(headers ...string) answer {
		return func(headers ...string) answer {
			return s.do(http.MethodPost, path, []byte(body), append(headers, "Content-Type", "application/x-www-form-urlencoded")...)
		}
	}
	send := func(path, body string) func(headers ...string) answer {
		return func(headers ...string) answer { return s.send(http.MethodPost, path, body, headers...) }
	}
	get := func(path string) func(headers ...string) answer {
		return func(headers ...string) answer { return s.get(path, headers...) }
	}
	return map[string]limitedCall{
		"create": {name: "create", call: send("/api/v1/links", link), done: http.StatusCreated},
		"create with more": {
			name: "create", call: send("/api/v1/links", `{"url":"https://example.com","title":"x"}`), done: http.StatusCreated,
		},
		"create that is refused": {name: "create", call: send("/api/v1/links", `{"url":"x"}`), done: http.StatusUnprocessableEntity},
		"batch":                  {name: "create", call: send("/api/v1/links/batch", `{"links":[`+link+`]}`), done: http.StatusOK},
		"form":                   {name: "create", call: form("/", "url=https%3A%2F%2Fexample.com"), done: http.StatusSeeOther},
		"guess":                  {name: "guess", call: form("/"+secret.Code, "password=wrong"), done: http.StatusForbidden},
		"unknown code":           {name: "unknown", call: get("/nothing"), done: http.StatusNotFound, silent: true},
		"preview of an unknown code": {
			name: "unknown", call: get("/nothing+"), done: http.StatusNotFound, silent: true,
		},
		"QR of an unknown code": {name: "unknown", call: get("/api/v1/links/nothing/qr"), done: http.StatusNotFound, silent: true},
		"report":                {name: "report", call: form("/"+shown.Code+"+", "reason=spam"), done: http.StatusOK},
		"unknown API key": {name: "key", done: http.StatusUnauthorized, silent: true, call: func(headers ...string) answer {
			token, _ := store.NewToken()
			return s.get("/api/v1/links", append(headers, "Authorization", "Bearer "+token)...)
		}},
	}
}

// limitsOf sets all limits of clients to l.
func limitsOf(t testing.TB, l string) func(*options) {
	return func(o *options) {
		o.Clients = proxies(t, "127.0.0.1/32")
		o.Limits = api.Limits{
			CreateAnonymous: limit(t, l), Unknown: limit(t, l), Password: limit(t, l), Report: limit(t, l),
		}
	}
}

// TestLimitsAreToldToTheSecond checks the rate limit headers, and that they are exact: a
// client that waits for Retry-After is served, and one that retries earlier is not.
func TestLimitsAreToldToTheSecond(t *testing.T) {
	t.Parallel()
	for name := range limitedCalls(newServer(t)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, limitsOf(t, "3/1m"))
			tt := limitedCalls(s)[name]
			policy := fmt.Sprintf(`"%s";q=3;w=60`, tt.name)
			want := func(a answer, status, left, whole int, retry string, reported bool) {
				t.Helper()
				limit, says := fmt.Sprintf(`"%s";r=%d;t=%d`, tt.name, left, whole), policy
				if !reported {
					limit, says = "", ""
				}
				if a.status != status || a.header.Get("RateLimit") != limit || a.header.Get("RateLimit-Policy") != says || a.header.Get("Retry-After") != retry {
					t.Fatalf("answer = %d, RateLimit %q, RateLimit-Policy %q, Retry-After %q, want %d, %q, %q, %q", a.status,
						a.header.Get("RateLimit"), a.header.Get("RateLimit-Policy"), a.header.Get("Retry-After"), status, limit, says, retry)
				}
			}
			for i := range 3 {
				want(tt.call(), tt.done, 2-i, 20*(i+1), "", !tt.silent)
			}
			want(tt.call(), http.StatusTooManyRequests, 0, 60, "20", true)
			s.clock.add(500 * time.Millisecond)
			want(tt.call(), http.StatusTooManyRequests, 0, 60, "20", true)
			s.clock.add(500 * time.Millisecond)
			want(tt.call(), http.StatusTooManyRequests, 0, 59, "19", true)
			s.clock.add(19*time.Second - time.Millisecond)
			want(tt.call(), http.StatusTooManyRequests, 0, 41, "1", true)
			s.clock.add(time.Millisecond)
			want(tt.call(), tt.done, 0, 60, "", !tt.silent)
		})
	}
}

// TestPasswordsAreALimitOfTheirOwn checks that an answer reports both limits when two limits
// count the request.
func TestPasswordsAreALimitOfTheirOwn(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]func(s *server) answer{
		"call": func(s *server) answer {
			return s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com","password":"p"}`)
		},
		"form": func(s *server) answer {
			return s.do(http.MethodPost, "/", []byte("url=https%3A%2F%2Fexample.com&password=p"), "Content-Type", "application/x-www-form-urlencoded")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(o *options) { o.Limits.CreateAnonymous = limit(t, "60/1m") })
			var a answer
			for range 31 {
				a = create(s)
			}
			if a.status != http.StatusTooManyRequests {
				t.Errorf("the 31st password = %d, want 429", a.status)
			}
			if got, want := a.header.Get("RateLimit"), `"create";r=29;t=31, "hash";r=0;t=10`; got != want {
				t.Errorf("RateLimit = %q, want %q", got, want)
			}
			if got, want := a.header.Get("RateLimit-Policy"), `"create";q=60;w=60, "hash";q=30;w=10`; got != want {
				t.Errorf("RateLimit-Policy = %q, want %q", got, want)
			}
		})
	}
}

// TestSpoofedAddressesAreOneClient checks that a client cannot get a new limit by sending
// headers with other addresses.
func TestSpoofedAddressesAreOneClient(t *testing.T) {
	t.Parallel()
	const calls, allowed = 100, 5
	for name := range limitedCalls(newServer(t)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, limitsOf(t, fmt.Sprint(allowed, "/1h")), func(o *options) { o.Clients = proxies(t) })
			tt := limitedCalls(s)[name]
			for i := range calls {
				want := tt.done
				if i >= allowed {
					want = http.StatusTooManyRequests
				}
				a := tt.call("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i), "X-Real-IP", fmt.Sprintf("198.51.100.%d", i), "Forwarded", fmt.Sprintf("for=192.0.2.%d", i))
				if a.status != want {
					t.Fatalf("call %d of %d = %d, want %d", i+1, calls, a.status, want)
				}
			}
		})
	}
}

// TestAnonymousCreatesHaveATotal checks that all clients without a key together have a limit,
// and that keys do not count against it.
func TestAnonymousCreatesHaveATotal(t *testing.T) {
	t.Parallel()
	s := newServer(t, behindProxy(t), func(o *options) {
		o.Limits.CreateAnonymous, o.Limits.CreateTotal = limit(t, "100/1h"), limit(t, "5/1h")
	})
	const body = `{"url":"https://example.com"}`
	from := func(i int) []string { return []string{"X-Forwarded-For", fmt.Sprint("203.0.113.", i)} }
	for i := range 3 {
		s.create(body, from(i)...)
	}
	var got batchJSON
	s.send(http.MethodPost, "/api/v1/links/batch", `{"links":[`+body+`,`+body+`,`+body+`,`+body+`]}`, from(3)...).into(&got)
	var statuses []int
	for _, r := range got.Results {
		statuses = append(statuses, r.Status)
	}
	if !slices.Equal(statuses, []int{201, 201, 429, 429}) {
		t.Errorf("a batch of 4 with 2 creates left = %v, want 2 of each", statuses)
	}
	a := s.send(http.MethodPost, "/api/v1/links", body, from(4)...)
	a.problem(http.StatusTooManyRequests)
	if got, want := a.header.Get("RateLimit"), `"create";r=99;t=36, "create-total";r=0;t=3600`; got != want {
		t.Errorf("RateLimit = %q, want %q", got, want)
	}
	if a := s.do(http.MethodPost, "/", []byte("url=https%3A%2F%2Fexample.com"), append(from(5), "Content-Type", "application/x-www-form-urlencoded")...); a.status != http.StatusTooManyRequests {
		t.Errorf("the form beyond the total = %d, want 429", a.status)
	}
	s.create(body, s.owner("owner")...)
}

// TestAnonymousLinksExpire checks the longest and default lifetime of links without an owner.
func TestAnonymousLinksExpire(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.AnonymousLife = 48 * time.Hour })
	end := s.clock.Now().Add(48 * time.Hour)
	body := func(expires time.Time) string {
		return fmt.Sprintf(`{"url":"https://example.com","expires_at":%q}`, expires.Format(time.RFC3339))
	}
	for name, tt := range map[string]struct {
		body string
		want time.Time
	}{
		"no end":   {`{"url":"https://example.com"}`, end},
		"null":     {`{"url":"https://example.com","expires_at":null}`, end},
		"earlier":  {body(end.Add(-time.Hour)), end.Add(-time.Hour)},
		"the last": {body(end), end},
	} {
		if l := s.create(tt.body); l.ExpiresAt == nil || !l.ExpiresAt.Equal(tt.want) {
			t.Errorf("%s: expires_at = %v, want %v", name, l.ExpiresAt, tt.want)
		}
	}
	if got := s.send(http.MethodPost, "/api/v1/links", body(end.Add(time.Second))).problem(http.StatusUnprocessableEntity); got != "body.expires_at" {
		t.Errorf("errors of a later end = %q, want body.expires_at", got)
	}
	if l := s.create(`{"url":"https://example.com"}`, s.owner("owner")...); l.ExpiresAt != nil {
		t.Errorf("expires_at of a link with an owner = %v, want none", l.ExpiresAt)
	}
}

// countingKeys counts calls of KeyByHash.
type countingKeys struct {
	store.Keys
	asked atomic.Int64
}

func (c *countingKeys) KeyByHash(ctx context.Context, hash [sha256.Size]byte) (store.Key, error) {
	c.asked.Add(1)
	return c.Keys.KeyByHash(ctx, hash)
}

// TestInventedKeysAreLimited checks that a flood of invented keys causes at most the lookups
// that the limit allows. Keys in memory still work, also for the same client. Other clients are
// not affected.
func TestInventedKeysAreLimited(t *testing.T) {
	t.Parallel()
	const allowed, flood = 40, 100
	counting := &countingKeys{}
	var known string
	s := newServer(t, limitsOf(t, fmt.Sprint(allowed, "/20s")), func(o *options) {
		counting.Keys = o.Keys
		o.Keys = counting
		o.KeyKnown = func(hash [sha256.Size]byte) bool {
			is, ok := store.HashToken(strings.TrimPrefix(known, "Bearer "))
			return ok && is == hash
		}
	})
	mine, cold := s.owner("in memory"), s.owner("not in memory")
	known = mine[1]
	answers := map[int]int{}
	for range flood {
		token, _ := store.NewToken()
		answers[s.get("/api/v1/links", "Authorization", "Bearer "+token).status]++
	}
	if answers[http.StatusUnauthorized] != allowed || answers[http.StatusTooManyRequests] != flood-allowed || counting.asked.Load() != allowed {
		t.Errorf("%d invented keys were answered %v with %d lookups, want 401 and a lookup for only %d", flood, answers, counting.asked.Load(), allowed)
	}
	if a := s.get("/api/v1/links", mine...); a.status != http.StatusOK {
		t.Errorf("a key in memory = %d, want 200", a.status)
	}
	s.get("/api/v1/links", cold...).problem(http.StatusTooManyRequests)
	if a := s.get("/api/v1/links", append(cold, "X-Forwarded-For", "203.0.113.1")...); a.status != http.StatusOK {
		t.Errorf("a key of another client = %d, want 200", a.status)
	}
	for range flood {
		s.get("/api/v1/links", "Authorization", "Bearer tk_noise").problem(http.StatusUnauthorized)
	}
	s.clock.add(500 * time.Millisecond)
	if a := s.get("/api/v1/links", cold...); a.status != http.StatusOK {
		t.Errorf("a key that is not in memory, after the limit = %d, want 200", a.status)
	}
}
