package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

func TestRedirectHeaders(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.CDN = true })
	const live = "max-age=60, stale-while-revalidate=30, stale-if-error=86400"
	soon := s.clock.Now().Add(30 * time.Second).Format(time.RFC3339)
	later := s.clock.Now().Add(time.Hour).Format(time.RFC3339)
	for _, tt := range []struct {
		name, fields string
		status       int
		browser, cdn string
	}{
		{"default", ``, 302, "private, max-age=0", live},
		{"301", `,"status":301`, 301, "private, max-age=90", live},
		{"307", `,"status":307`, 307, "private, max-age=0", live},
		{"308", `,"status":308`, 308, "private, max-age=90", live},
		{"max clicks", `,"max_clicks":5`, 302, "no-store", "no-store"},
		{"ends soon", `,"expires_at":"` + soon + `"`, 302, "private, max-age=0", "max-age=30"},
		{"ends soon, permanent", `,"status":301,"expires_at":"` + soon + `"`, 301, "private, max-age=30", "max-age=30"},
		{"ends within the second", `,"expires_at":"` + s.clock.Now().Add(900*time.Millisecond).Format(time.RFC3339Nano) + `"`, 302, "no-store", "no-store"},
		{"ends later, permanent", `,"status":301,"expires_at":"` + later + `"`, 301, "private, max-age=90", "max-age=60"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := s.create(`{"url":"https://example.com/a?b=c#d"` + tt.fields + `}`)
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				a := s.do(method, "/"+l.Code, nil)
				want := map[string]string{
					"Location": "https://example.com/a?b=c#d", "Content-Length": "0",
					"Cache-Control": tt.browser, "Cdn-Cache-Control": tt.cdn,
					"Surrogate-Key": "link-" + l.Code, "Cache-Tag": "link-" + l.Code,
				}
				if a.status != tt.status {
					t.Errorf("%s = %d, want %d", method, a.status, tt.status)
				}
				if len(a.body) > 0 {
					t.Errorf("%s has the body %q, want none", method, a.body)
				}
				if method == http.MethodHead && tt.name == "max clicks" {
					want["Location"] = "" // HEAD does not count a click
				}
				for name, value := range want {
					if got := a.header.Get(name); got != value {
						t.Errorf("%s: %s = %q, want %q", method, name, got, value)
					}
				}
			}
		})
	}
}

func TestNoCDNHeaderWithoutCDN(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	l := s.create(`{"url":"https://example.com"}`)
	for _, path := range []string{"/" + l.Code, "/unknown"} {
		if got := s.get(path).header.Get("Cdn-Cache-Control"); got != "" {
			t.Errorf("Cdn-Cache-Control of %s = %q, want none", path, got)
		}
	}
}

func TestNotLive(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.CDN = true })
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin)
	at := func(d time.Duration) string { return s.clock.Now().Add(d).Format(time.RFC3339Nano) }

	expired := s.create(`{"url":"https://example.com","expires_at":"` + at(time.Second) + `"}`)
	future := s.create(`{"url":"https://example.com","starts_at":"` + at(time.Hour) + `"}`)
	deleted := s.create(`{"url":"https://example.com"}`, owner...)
	disabled := s.create(`{"url":"https://example.com"}`, owner...)
	used := s.create(`{"url":"https://example.com","max_clicks":1}`)
	if a := s.do(http.MethodDelete, "/api/v1/links/"+deleted.Code, nil, owner...); a.status != http.StatusNoContent {
		t.Fatalf("delete = %d %s, want 204", a.status, a.body)
	}
	if a := s.send(http.MethodPost, "/api/v1/links/"+disabled.Code+"/disable", `{"reason":"phishing"}`, admin...); a.status != http.StatusOK {
		t.Fatalf("disable = %d %s, want 200", a.status, a.body)
	}
	s.get("/" + used.Code)
	s.clock.add(time.Second)

	for _, tt := range []struct {
		name, code string
		status     int
		cdn        string
	}{
		{"unknown", "nothing", 404, "max-age=2"},
		{"not started", future.Code, 404, "max-age=2"},
		{"expired", expired.Code, 410, "max-age=60"},
		{"used up", used.Code, 410, "max-age=60"},
		{"deleted", deleted.Code, 410, "max-age=60"},
		{"disabled", disabled.Code, 451, "max-age=60"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/" + tt.code, "/" + tt.code + "+"} {
				a := s.get(path)
				a.problem(tt.status)
				if got := a.header.Get("Cache-Control"); got != "no-store" {
					t.Errorf("Cache-Control of %s = %q, want no-store", path, got)
				}
				if got := a.header.Get("Cdn-Cache-Control"); got != tt.cdn {
					t.Errorf("Cdn-Cache-Control of %s = %q, want %q", path, got, tt.cdn)
				}
				page := s.get(path, "Accept", "text/html")
				if page.status != tt.status || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
					t.Errorf("page of %s = %d %s, want %d text/html", path, page.status, page.header.Get("Content-Type"), tt.status)
				}
				if strings.Contains(string(page.body), "example.com") {
					t.Errorf("page of %s names the target", path)
				}
			}
		})
	}
}

func TestExpiryToTheMicrosecond(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	end := s.clock.Now().Add(time.Minute)
	l := s.create(map[string]any{"url": "https://example.com", "expires_at": end})
	s.clock.add(time.Minute - time.Microsecond)
	if got := s.get("/" + l.Code).status; got != http.StatusFound {
		t.Errorf("a microsecond before the end = %d, want 302", got)
	}
	s.clock.add(time.Microsecond)
	if got := s.get("/" + l.Code).status; got != http.StatusGone {
		t.Errorf("at the end = %d, want 410", got)
	}
}

func TestBadCodesNeverReachTheStore(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		o.Store, o.History = forbidden{o.Store, o.History}, forbidden{o.Store, o.History}
	})
	for _, path := range []string{
		"/%C0", "/%00", "/abc%C0", "/..", "/a%2Fb", "/%09/evil.example/", "//evil.example/", "/a%20b", "/é",
		"/" + strings.Repeat("a", 65), "/...", "/+", "/abc%C0+", "/%2e%2e/x",
	} {
		a := s.get(path)
		a.problem(http.StatusNotFound)
		if l := a.header.Get("Location"); l != "" {
			t.Errorf("GET %s redirects to %q", path, l)
		}
	}
	admin := s.key("admin", store.ScopeAdmin)
	for _, code := range []string{"%C0", "%00", "abc%C0", "a%2Fb", "%2e%2e", "a%20b", "é", strings.Repeat("a", 65), "a.b", "%3Cscript%3E"} {
		for _, form := range []string{"/%s", "/%s+"} {
			path := fmt.Sprintf(form, code)
			if a := s.do(http.MethodHead, path, nil); a.status != http.StatusNotFound {
				t.Errorf("HEAD %s = %d, want 404", path, a.status)
			}
			s.do(http.MethodPost, path, []byte("password=x&reason=spam"), "Content-Type", "application/x-www-form-urlencoded").problem(http.StatusNotFound)
		}
		for _, call := range []struct{ method, path, body string }{
			{http.MethodGet, "", ""},
			{http.MethodPatch, "", `{"url":"https://example.com"}`},
			{http.MethodDelete, "", ""},
			{http.MethodGet, "/qr", ""},
			{http.MethodGet, "/history", ""},
			{http.MethodPost, "/rollback", `{"version":1}`},
			{http.MethodPost, "/disable", `{"reason":"spam"}`},
			{http.MethodPost, "/enable", ""},
		} {
			s.send(call.method, "/api/v1/links/"+code+call.path, call.body, admin...).problem(http.StatusNotFound)
		}
	}
}

// forbidden is a store that panics on every call.
type forbidden struct {
	store.Store
	store.History
}

func (forbidden) Resolve(context.Context, string) (store.Link, error) {
	panic("the store was asked")
}

func (forbidden) Get(context.Context, string) (store.Link, error) { panic("the store was asked") }

func (forbidden) Update(context.Context, store.Link) (store.Link, error) {
	panic("the store was asked")
}

func (forbidden) Delete(context.Context, string, int64, time.Time) (store.Link, error) {
	panic("the store was asked")
}

func (forbidden) Revisions(context.Context, string, int64, int) ([]store.Revision, error) {
	panic("the store was asked")
}

func TestEndOfPathIsTrimmed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(`{"url":"https://example.com/target","alias":"spring"}`)
	now := s.clock.Now() // a link of before aliases had to end with another character
	_, err := s.store.Create(t.Context(), store.Link{Code: "spring_", URL: "https://example.com/other", Status: 302, CreatedAt: now, UpdatedAt: now})
	must(t, err)
	for path, want := range map[string]string{
		"/spring.": "https://example.com/target", "/spring)": "https://example.com/target",
		"/spring).": "https://example.com/target", "/spring,": "https://example.com/target",
		"/spring%E2%80%9D": "https://example.com/target", "/spring_": "https://example.com/other",
		"/spring__": "https://example.com/target",
		"/.spring":  "", "/spring.x": "", "/spring-": "",
		"/spring/": "https://example.com/target", "/spring%2F": "https://example.com/target",
		"/spring//": "https://example.com/target", "/spring/).": "https://example.com/target",
		"/spring%20": "https://example.com/target", "/spring%20%20/": "https://example.com/target",
		"/spring%09": "https://example.com/target", "/spring%0D%0A": "https://example.com/target",
		"/spring%C2%A0": "https://example.com/target", "/spring%E3%80%80": "https://example.com/target",
		"/spring%E2%80%8B": "https://example.com/target", "/spring%EF%BB%BF": "https://example.com/target",
		"/spring_/": "https://example.com/target", "/spring/?q=1": "https://example.com/target",
		"/%20spring": "", "//spring": "", "/spring/x": "", "/spring%20x": "", "/spring/spring": "", "/spring%00": "",
	} {
		a := s.get(path)
		if got := a.header.Get("Location"); got != want {
			t.Errorf("Location of %s = %q, want %q", path, got, want)
		}
		if want == "" {
			a.problem(http.StatusNotFound)
		}
	}
	for _, path := range []string{"/spring+", "/spring+/", "/spring+%20", "/spring+)", "/spring/+"} {
		if got := s.get(path); got.status != http.StatusOK || !strings.Contains(string(got.body), "https://example.com/target") {
			t.Errorf("GET %s = %d, want the preview", path, got.status)
		}
	}
}

func TestForwardQuery(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, tt := range []struct{ mode, target, query, want string }{
		{"off", "https://e.com/?a=1#f", "?b=2", "https://e.com/?a=1#f"},
		{"append", "https://e.com/?a=1#f", "", "https://e.com/?a=1#f"},
		{"append", "https://e.com/?a=1#f", "?a=2&b=%20", "https://e.com/?a=1&a=2&b=%20#f"},
		{"append", "https://e.com", "?b=2", "https://e.com?b=2"},
		{"append", "https://e.com/?", "?b=2", "https://e.com/?b=2"},
		{"override", "https://e.com/?a=1&b=2&c=3#f", "?b=9&d=4", "https://e.com/?a=1&c=3&b=9&d=4#f"},
		{"override", "https://e.com/?%61=1&b=2", "?a=9", "https://e.com/?b=2&a=9"},
		{"override", "https://e.com/?a=1", "?x", "https://e.com/?a=1&x"},
		{"append", "https://e.com/", "?q=<b>\"'", "https://e.com/?q=%3Cb%3E%22%27"},
		{"append", "https://e.com/", "?q=%0d%0aSet-Cookie:x", "https://e.com/?q=%0d%0aSet-Cookie:x"},
	} {
		l := s.create(map[string]any{"url": tt.target, "forward_query": tt.mode})
		if got := s.rawLocation("/" + l.Code + tt.query); got != tt.want {
			t.Errorf("%s %q with %q = %q, want %q", tt.mode, tt.target, tt.query, got, tt.want)
		}
	}
}

// TestForwardedQueryThatIsTooLong checks that a visitor's query is dropped if the Location
// would be longer than store.MaxURLLen.
func TestForwardedQueryThatIsTooLong(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	target := "https://example.com/" + strings.Repeat("x", store.MaxURLLen-len("https://example.com/?a=1"))
	l := s.create(map[string]any{"url": target, "forward_query": "append"})
	for query, want := range map[string]string{"?a=1": target + "?a=1", "?a=12": target} {
		if got := s.get("/" + l.Code + query).header.Get("Location"); got != want {
			t.Errorf("Location with %s has %d bytes, want %d", query, len(got), len(want))
		}
	}
}

func (s *server) rawLocation(path string) string {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodGet, s.URL, nil)
	must(s.t, err)
	before, query, _ := strings.Cut(path, "?")
	r.URL.Path, r.URL.RawQuery = before, query
	response, err := s.Client().Do(r)
	must(s.t, err)
	must(s.t, response.Body.Close())
	return response.Header.Get("Location")
}

func TestClicksAreCounted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.owner("owner")
	l := s.create(`{"url":"https://example.com"}`, owner...)
	for range 3 {
		s.get("/" + l.Code)
	}
	s.clock.add(time.Minute)
	s.get("/" + l.Code)
	last := s.clock.Now()
	s.clock.add(time.Minute)
	s.get("/"+l.Code, "User-Agent", "curl/8.11.0")
	s.do(http.MethodHead, "/"+l.Code, nil)
	s.get("/"+l.Code, "Sec-Purpose", "prefetch;prerender")
	s.get("/"+l.Code, "Purpose", "prefetch")
	s.get("/"+l.Code, "X-Moz", "prefetch")
	s.get("/" + l.Code + "+")
	must(t, s.clicks.Flush(context.Background()))
	got := s.get("/api/v1/links/"+l.Code, owner...).link()
	if got.Clicks != 4 || got.LastClickAt == nil || !got.LastClickAt.Equal(last) {
		t.Errorf("clicks = %d, last %v, want 4 and %v", got.Clicks, got.LastClickAt, last)
	}
	if got.Robots != 5 {
		t.Errorf("robots = %d, want 5: HEAD, the prefetches and curl", got.Robots)
	}
}

func TestMaxClicksNeverExceeded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	l := s.create(`{"url":"https://example.com","max_clicks":10}`)
	if a := s.do(http.MethodHead, "/"+l.Code, nil); a.status != http.StatusFound {
		t.Errorf("HEAD = %d, want 302", a.status)
	}
	for _, purpose := range []string{"prefetch", "Prefetch;prerender"} {
		a := s.get("/"+l.Code, "Sec-Purpose", purpose)
		a.problem(http.StatusTooEarly)
		if a.header.Get("Location") != "" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("prefetch = %v, want no Location and no-store", a.header)
		}
	}
	var found, gone atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			switch s.get("/" + l.Code).status {
			case http.StatusFound:
				found.Add(1)
			case http.StatusGone:
				gone.Add(1)
			}
		})
	}
	wg.Wait()
	if found.Load() != 10 || gone.Load() != 54 {
		t.Errorf("64 redirects of a link with 10 = %d found, %d gone, want 10 and 54", found.Load(), gone.Load())
	}
	if a := s.do(http.MethodHead, "/"+l.Code, nil); a.status != http.StatusGone {
		t.Errorf("HEAD of a used up link = %d, want 410", a.status)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	l := s.create(`{"url":"https://example.com/treasure","password":"open sesame","status":308,"max_clicks":1}`)
	if !l.PasswordProtected {
		t.Error("password_protected = false, want true")
	}
	guess := func(password string, headers ...string) answer {
		form := url.Values{"password": {password}}.Encode()
		return s.do(http.MethodPost, "/"+l.Code, []byte(form),
			append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
	}
	for _, a := range []answer{s.get("/" + l.Code), s.get("/" + l.Code + "+")} {
		if a.status != http.StatusOK || a.header.Get("Location") != "" || strings.Contains(string(a.body), "treasure") {
			t.Errorf("page = %d with Location %q, want 200 without the target", a.status, a.header.Get("Location"))
		}
		if got := a.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control = %q, want no-store", got)
		}
	}
	for _, wrong := range []string{"", "open", strings.Repeat("x", 100), "open sesame\x00", "open sesame\x00open sesame"} {
		if a := guess(wrong); a.status != http.StatusForbidden || a.header.Get("Location") != "" {
			t.Errorf("guess %q = %d, want 403", wrong, a.status)
		}
	}
	if a := guess("open sesame", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); a.status != http.StatusForbidden {
		t.Errorf("guess from another site = %d, want 403", a.status)
	}
	a := guess("open sesame")
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "https://example.com/treasure" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("right password = %d %v, want 303 to the target, not cached", a.status, a.header)
	}
	if a := guess("open sesame"); a.status != http.StatusGone {
		t.Errorf("second use of a link with one = %d, want 410", a.status)
	}
}

// TestPasswordAnswersAreNotKept checks that caches store no answer of a link with a password:
// a CDN would send the target to visitors without the password.
func TestPasswordAnswersAreNotKept(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.CDN = true })
	l := s.create(`{"url":"https://example.com/treasure","password":"open sesame"}`)
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for _, tt := range []struct {
		name   string
		answer answer
		status int
	}{
		{"page", s.get("/" + l.Code), http.StatusOK},
		{"preview", s.get("/" + l.Code + "+"), http.StatusOK},
		{"wrong password", s.do(http.MethodPost, "/"+l.Code, []byte("password=x"), form...), http.StatusForbidden},
		{"right password", s.do(http.MethodPost, "/"+l.Code, []byte("password=open+sesame"), form...), http.StatusSeeOther},
	} {
		browser, cdn := tt.answer.header.Get("Cache-Control"), tt.answer.header.Get("Cdn-Cache-Control")
		if tt.answer.status != tt.status || browser != "no-store" || cdn != "no-store" && cdn != "" {
			t.Errorf("%s = %d with Cache-Control %q and CDN-Cache-Control %q, want %d that is not cached", tt.name, tt.answer.status, browser, cdn, tt.status)
		}
	}
}

// TestPasswordOfALinkWithAQuery checks that a malformed query, or one with a password field,
// does not affect the password form.
func TestPasswordOfALinkWithAQuery(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	l := s.create(map[string]any{"url": "https://example.com/", "password": strings.Repeat("x", 72), "forward_query": "append"})
	for _, query := range []string{"?a;b", "?a=%zz", "?password=nonsense"} {
		a := s.do(http.MethodPost, "/"+l.Code+query, []byte("password="+strings.Repeat("x", 72)), "Content-Type", "application/x-www-form-urlencoded")
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "https://example.com/"+query {
			t.Errorf("right password with %q = %d to %q, want 303 with the query", query, a.status, a.header.Get("Location"))
		}
	}
	longer := s.do(http.MethodPost, "/"+l.Code, []byte("password="+strings.Repeat("x", 73)), "Content-Type", "application/x-www-form-urlencoded")
	if longer.status != http.StatusForbidden {
		t.Errorf("the right password with one more byte = %d, want 403", longer.status)
	}
}

// TestGuessesSideBySide checks that concurrent guesses cannot bypass the limit, and that
// right passwords are not counted.
func TestGuessesSideBySide(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Limits.Password = limit(t, "3/10m") })
	l := s.create(`{"url":"https://example.com","password":"right"}`)
	guess := func(password string) int {
		return s.do(http.MethodPost, "/"+l.Code, []byte("password="+password), "Content-Type", "application/x-www-form-urlencoded").status
	}
	for range 5 {
		if got := guess("right"); got != http.StatusSeeOther {
			t.Fatalf("right password = %d, want 303 however often", got)
		}
	}
	var refused atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if guess("wrong") == http.StatusForbidden {
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if n := refused.Load(); n < 3 || n > 4 {
		t.Errorf("%d of 20 concurrent guesses were checked with a limit of 3, want 3, or 4 because several may be hashed at the same time", n)
	}
}

// TestLimitIsNotCached checks that CDNs do not cache a 429, because it concerns one client.
func TestLimitIsNotCached(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		o.Limits.Unknown = limit(t, "1/20s")
		o.CDN = true
	})
	future := s.create(`{"url":"https://example.com","starts_at":"2031-01-01T00:00:00Z"}`)
	s.get("/nothing").problem(http.StatusNotFound)
	for _, path := range []string{"/nothing", "/" + future.Code, "/" + future.Code + "+"} {
		a := s.get(path)
		a.problem(http.StatusTooManyRequests)
		if got := a.header.Get("Cdn-Cache-Control"); got != "" {
			t.Errorf("Cdn-Cache-Control of a 429 of %s = %q, want none", path, got)
		}
	}
}

// TestGuessesOfAllClients checks that wrong passwords of many clients do not lock out a visitor
// with the right password, and that each client still has its limit.
func TestGuessesOfAllClients(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		o.Limits.Password = limit(t, "2/10m")
		o.Clients = proxies(t, "127.0.0.0/8")
	})
	l := s.create(`{"url":"https://example.com","password":"right"}`)
	guess := func(client int, password string) int {
		return s.do(http.MethodPost, "/"+l.Code, []byte("password="+password), "Content-Type", "application/x-www-form-urlencoded",
			"X-Forwarded-For", fmt.Sprintf("203.0.113.%d", client)).status
	}
	for i := range 40 {
		if got := guess(i, "wrong"); got != http.StatusForbidden {
			t.Fatalf("guess %d = %d, want 403", i, got)
		}
	}
	for client, want := range map[int]int{1: http.StatusForbidden, 40: http.StatusForbidden, 41: http.StatusForbidden} {
		if got := guess(client, "wrong"); got != want {
			t.Errorf("wrong password of client %d = %d, want %d", client, got, want)
		}
	}
	if got := guess(1, "right"); got != http.StatusTooManyRequests {
		t.Errorf("right password after 2 wrong ones = %d, want 429", got)
	}
	for _, client := range []int{2, 40, 42} {
		if got := guess(client, "right"); got != http.StatusSeeOther {
			t.Errorf("right password of client %d = %d, want 303", client, got)
		}
	}
}

// TestGuessesDelayOnlyTheirLink checks that guesses which many clients send at the same time lock
// out neither the right password of that link nor passwords of other links.
func TestGuessesDelayOnlyTheirLink(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) {
		o.Limits.Password = limit(t, "1/10m")
		o.Clients = proxies(t, "127.0.0.0/8")
	})
	attacked := s.create(`{"url":"https://example.com/attacked","password":"right"}`)
	other := s.create(`{"url":"https://example.com/other","password":"right"}`)
	send := func(code, client, password string) int {
		return s.do(http.MethodPost, "/"+code, []byte("password="+password), "Content-Type", "application/x-www-form-urlencoded", "X-Forwarded-For", client).status
	}
	var sent, checked atomic.Int64
	stopped := make(chan struct{})
	var attackers sync.WaitGroup
	for range 8 {
		attackers.Go(func() {
			for {
				select {
				case <-stopped:
					return
				default:
				}
				n := sent.Add(1)
				if send(attacked.Code, fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255), "wrong") == http.StatusForbidden {
					checked.Add(1)
				}
			}
		})
	}
	testenv.Await(t, "more guesses than all clients may send quickly", func() bool { return checked.Load() > 20 })
	for i := range 10 {
		for _, code := range []string{attacked.Code, other.Code} {
			var got int
			testenv.Await(t, "a place for the right password", func() bool {
				got = send(code, fmt.Sprint("203.0.113.", i), "right")
				return got != http.StatusServiceUnavailable // on a slow machine the guesses may fill the queue
			})
			if got != http.StatusSeeOther {
				t.Errorf("the right password %d beside the guesses = %d, want 303", i, got)
			}
		}
	}
	before := checked.Load()
	testenv.Await(t, "guesses until the end", func() bool { return checked.Load() > before })
	close(stopped)
	attackers.Wait()
}

// TestPasswordWorkIsBounded checks the limit of new passwords of one client, over all links.
func TestPasswordWorkIsBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var limited int
	for i := range 40 {
		a := s.send(http.MethodPost, "/api/v1/links", fmt.Sprintf(`{"url":"https://example.com/%d","password":"p"}`, i))
		if a.status == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited != 10 {
		t.Errorf("%d of 40 creates with a password are limited, want 10", limited)
	}
	if a := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`); a.status != http.StatusCreated {
		t.Errorf("a create without one = %d, want 201", a.status)
	}
}

func TestPasswordGuessesAreLimited(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Limits.Password = limit(t, "3/10m") })
	l := s.create(`{"url":"https://example.com","password":"right"}`)
	other := s.create(`{"url":"https://example.com","password":"right"}`)
	guess := func(code, password string) answer {
		return s.do(http.MethodPost, "/"+code, []byte("password="+password), "Content-Type", "application/x-www-form-urlencoded",
			"X-Forwarded-For", "203.0.113.7")
	}
	for range 3 {
		guess(l.Code, "wrong")
	}
	a := guess(l.Code, "right")
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("fourth guess = %d, Retry-After %q, want 429 with one", a.status, a.header.Get("Retry-After"))
	}
	if a := guess(other.Code, "right"); a.status != http.StatusSeeOther {
		t.Errorf("another link = %d, want 303", a.status)
	}
	s.clock.add(10 * time.Minute)
	if a := guess(l.Code, "right"); a.status != http.StatusSeeOther {
		t.Errorf("after the window = %d, want 303", a.status)
	}
}

// TestNeighboursOfACodeAreNoLinks checks that new codes do not help to find other codes: no
// code that differs from a new code in one character exists.
func TestNeighboursOfACodeAreNoLinks(t *testing.T) {
	t.Parallel()
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	s := newServer(t)
	for range testenv.Rounds(200) {
		s.create(`{"url":"https://example.com"}`)
	}
	code := s.create(`{"url":"https://example.com"}`).Code
	for range testenv.Rounds(200) {
		s.create(`{"url":"https://example.com"}`)
	}
	for place := range code {
		for _, digit := range digits {
			if neighbour := code[:place] + string(digit) + code[place+1:]; neighbour != code {
				s.get("/" + neighbour).problem(http.StatusNotFound)
			}
		}
	}
}

// TestUnknownCodesAreLimited checks that every route with an unknown code counts against the
// limit, and that live links are not limited.
func TestUnknownCodesAreLimited(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"/%s", "/%s+", "/%s.", "/%s_", "/api/v1/links/%s/qr"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(o *options) { o.Limits.Unknown = limit(t, "40/20s") })
			l := s.create(`{"url":"https://example.com"}`)
			ask := func(i int) answer {
				return s.get(fmt.Sprintf(form, fmt.Sprintf("nothing%d", i)), "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
			}
			for i := range 40 {
				ask(i).problem(http.StatusNotFound)
			}
			a := ask(40)
			a.problem(http.StatusTooManyRequests)
			if got := a.header.Get("Retry-After"); got != "1" {
				t.Errorf("Retry-After of the 41st = %q, want 1", got)
			}
			if a := s.get(fmt.Sprintf(form, l.Code)); a.status >= 400 {
				t.Errorf("a live link = %d, want no limit", a.status)
			}
			s.clock.add(20 * time.Second)
			ask(41).problem(http.StatusNotFound)
		})
	}
}
