package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/store"
)

// shared is the answer to a call that shares statistics.
type shared struct {
	ID                string     `json:"id"`
	URL               string     `json:"url"`
	ExpiresAt         *time.Time `json:"expires_at"`
	PasswordProtected bool       `json:"password_protected"`
}

// share shares statistics and returns the answer, with the path of the page.
func (s *server) share(path string, body any, headers ...string) (got shared, page string) {
	s.t.Helper()
	a := s.send(http.MethodPost, path, body, headers...)
	if a.status != http.StatusCreated || a.header.Get("Cache-Control") != "no-store" {
		s.t.Fatalf("POST %s = %d %s %q, want 201", path, a.status, a.body, a.header.Get("Cache-Control"))
	}
	a.into(&got)
	page, ok := strings.CutPrefix(got.URL, baseURL)
	if !ok || got.URL != a.header.Get("Location") {
		s.t.Fatalf("POST %s = %+v, want an address of %s as in Location", path, got, baseURL)
	}
	return got, page
}

// counter returns the header of a key with all scopes on links.
func (s *server) counter() []string {
	s.t.Helper()
	return s.key("owner", store.ScopeLinksRead, store.ScopeLinksWrite, store.ScopeStatsRead)
}

// clicksOf returns the clicks of n people, each another visitor, and of one robot.
func clicksOf(at time.Time, n int, values map[day.Dimension]string) []clicked {
	clicks := []clicked{{at: at.Format(time.RFC3339), class: "crawler", values: values}}
	for range n {
		clicks = append(clicks, clicked{at: at.Format(time.RFC3339), class: day.Person, values: values})
	}
	return clicks
}

func TestSharedPage(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.CDN = true })
	owner := s.counter()
	l := s.create(`{"url":"https://example.com/","alias":"spring"}`, owner...)
	yesterday := s.clock.Now().AddDate(0, 0, -1)
	s.click(l.Code, clicksOf(yesterday, 7, map[day.Dimension]string{day.Country: "DE", day.UTMSource: "<b>\u202enews"})...)
	s.click(s.create(`{"url":"https://example.com/"}`, owner...).Code, clicksOf(yesterday, 99, nil)...)
	_, page := s.share("/api/v1/links/spring/share", "", owner...)
	a := s.get(page+"?tz=Europe/Berlin&compare=true&fbclid=x", "Accept", "text/html")
	body := string(a.body)
	for _, want := range []string{"go.terse.example/spring", `data-total="people">7<`, `data-total="robots">1<`, `data-total="visitors">7<`, "DE", "&lt;b&gt;(U&#43;202E)news", `value="Europe/Berlin"`, "0 before", "3 May 2026 to 1 June 2026"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if a.status != http.StatusOK || t.Failed() {
		t.Fatalf("the page = %d\n%s", a.status, body)
	}
	live := regexp.MustCompile(`data-url="([^"]+)"`).FindStringSubmatch(body)
	if live == nil {
		t.Fatalf("the page has no address of live totals:\n%s", body)
	}
	s.click(l.Code, clicksOf(s.clock.Now(), 3, nil)...)
	total := s.get(strings.ReplaceAll(live[1], "&amp;", "&"))
	if got := strings.TrimSpace(string(total.body)); total.status != http.StatusOK || got != `{"people":10,"robots":2,"visitors":10}` {
		t.Errorf("the live totals = %d %s, want the new clicks too", total.status, got)
	}
	for name, answer := range map[string]answer{
		"page": a, "totals": total, "errors": s.get(page+"?from=x", "Accept", "text/html"), "totals with errors": s.get(page + "/total?from=x"),
		"unknown": s.get("/~/s/tk_"+strings.Repeat("0", 64), "Accept", "text/html"), "post": s.do(http.MethodPost, page, nil),
	} {
		want := map[string]string{"Cache-Control": "private, no-store", "Cdn-Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
		for header, want := range want {
			if got := answer.header.Get(header); got != want {
				t.Errorf("%s of the %s (%d) = %q, want %q", header, name, answer.status, got, want)
			}
		}
	}
}

// TestSharedRanges checks ranges that the page refuses.
func TestSharedRanges(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, page := s.share("/api/v1/stats/share", `{}`, s.counter()...)
	for query, want := range map[string]string{
		"from=yesterday":                         `id="from-error">must be a date`,
		"from=2026-06-01&to=2026-05-01":          `id="to-error">must be after from`,
		"from=1900-01-01&to=2100-01-01":          "must be at most 100 years",
		"tz=Mars/Phobos":                         `id="tz-error">must be the name`,
		"tz=" + strings.Repeat("x", 5000):        `id="tz-error">must be the name`,
		"interval=15min&from=2020-01-01":         `id="interval-error">makes more than`,
		"interval=minute":                        `id="interval-error">must be one of`,
		"class=dogs":                             `id="class-error">must be one of`,
		"limit=0":                                "The parameter limit must be",
		"limit=1e3":                              "The parameter limit must be",
		"compare=maybe":                          "The parameter compare must be true or false",
		"from=2026-05-01&from=2026-05-02":        "must not appear twice",
		"from=%3Cscript%3Ealert(1)%3C/script%3E": "&lt;script&gt;",
	} {
		a := s.get(page+"?"+query, "Accept", "text/html")
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.body), want) || strings.Contains(string(a.body), "Clicks over time") {
			t.Errorf("%.60s = %d without %q, want 422 with the field and without numbers", query, a.status, want)
		}
		if a := s.get(page + "/total?" + query); !strings.Contains(query, "interval") && a.status != http.StatusUnprocessableEntity {
			t.Errorf("totals of %.60s = %d, want 422", query, a.status)
		}
	}
	if a := s.get(page+"?a=%zz", "Accept", "text/html"); a.status != http.StatusBadRequest {
		t.Errorf("a malformed query = %d, want 400", a.status)
	}
	if a := s.get(page + "?from=&to=&tz=&interval=&class=&compare=false"); a.status != http.StatusOK {
		t.Errorf("an empty form = %d, want 200", a.status)
	}
}

// TestSharedSets checks what the pages of several links count, and who may share them.
func TestSharedSets(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	now := s.clock.Now()
	owner, admin := s.counter(), s.key("admin", store.ScopeAdmin)
	tagged := s.create(`{"url":"https://example.com/","tags":["a/b"]}`, owner...)
	id := tagged.Owner
	s.click(tagged.Code, clicksOf(now, 3, nil)...)
	s.click(s.create(`{"url":"https://example.com/"}`, owner...).Code, clicksOf(now, 2, nil)...)
	s.click(s.create(`{"url":"https://example.com/"}`).Code, clicksOf(now, 6, nil)...)
	for body, want := range map[string]struct {
		who     []string
		heading string
		people  int
	}{
		"":                              {owner, "All links<", 5},
		`{"tag":"a/b"}`:                 {owner, ">a/b<", 3},
		`{"domain":"go.terse.example"}`: {owner, "Links on go.terse.example", 5},
		`{"owner":"*"}`:                 {admin, "All links of this server", 11},
		`{"owner":"anonymous"}`:         {admin, "All links<", 6},
		`{"owner":"` + id + `"}`:        {admin, "All links<", 5},
	} {
		_, page := s.share("/api/v1/stats/share", body, want.who...)
		a := s.get(page, "Accept", "text/html")
		if !strings.Contains(string(a.body), want.heading) || !strings.Contains(string(a.body), fmt.Sprintf(`data-total="people">%d<`, want.people)) {
			t.Errorf("the page of %s = %d, want %q with %d clicks:\n%s", body, a.status, want.heading, want.people, a.body)
		}
	}
	for body, want := range map[string]string{
		`{"tag":"a","domain":"go.terse.example"}`:        "body.tag",
		`{"domain":"unknown.example"}`:                   "body.domain",
		`{"expires_at":"2026-05-01T00:00:00Z"}`:          "body.expires_at",
		`{"expires_at":"0001-01-01T00:00:00Z"}`:          "body.expires_at",
		`{"password":""}`:                                "body.password",
		`{"password":"` + strings.Repeat("x", 73) + `"}`: "body.password",
		`{"pasword":"x"}`:                                "body.pasword",
	} {
		if got := s.send(http.MethodPost, "/api/v1/stats/share", body, owner...).problem(http.StatusUnprocessableEntity); got != want {
			t.Errorf("sharing with %.60s names %q, want %q", body, got, want)
		}
	}
	s.send(http.MethodPost, "/api/v1/stats/share", `{"owner":"*"}`, owner...).problem(http.StatusForbidden)
}

// TestShareEnds checks that an ended, revoked or deleted share opens nothing, and that a token and an
// API key cannot stand for each other.
func TestShareEnds(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner := s.counter()
	s.create(`{"url":"https://example.com/","alias":"spring"}`, owner...)
	open := func(page string) int { return s.get(page, "Accept", "text/html").status }
	got, ends := s.share("/api/v1/links/spring/share", map[string]any{"expires_at": s.clock.Now().Add(time.Hour)}, owner...)
	if got.ExpiresAt == nil || !got.ExpiresAt.Equal(s.clock.Now().Add(time.Hour)) || got.PasswordProtected {
		t.Errorf("share = %+v, want the end", got)
	}
	revoked, gone := s.share("/api/v1/links/spring/share", ``, owner...)
	_, deleted := s.share("/api/v1/links/spring/share", `{}`, owner...)
	for _, page := range []string{ends, gone, deleted, deleted + ".", deleted + "%20"} {
		if got := open(page); got != http.StatusOK {
			t.Errorf("GET %s = %d, want 200", page, got)
		}
	}
	token := strings.TrimPrefix(gone, "/~/s/")
	for _, path := range []string{"/api/v1/links", "/api/v1/links/spring", "/api/v1/links/spring/qr", "/api/v1/domains"} {
		s.get(path, "Authorization", "Bearer "+token).problem(http.StatusUnauthorized)
	}
	s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/"}`, "Authorization", "Bearer "+token).problem(http.StatusUnauthorized)
	if got := open("/~/s/" + strings.TrimPrefix(owner[1], "Bearer ")); got != http.StatusNotFound {
		t.Errorf("the page of an API key = %d, want 404", got)
	}
	_, err := s.store.RevokeKey(context.Background(), revoked.ID, s.clock.Now())
	must(t, err)
	if got := open(gone); got != http.StatusNotFound {
		t.Errorf("a revoked page = %d, want 404", got)
	}
	s.clock.add(time.Hour)
	if got := open(ends); got != http.StatusNotFound {
		t.Errorf("a page after its end = %d, want 404", got)
	}
	if a := s.send(http.MethodDelete, "/api/v1/links/spring", nil, owner...); a.status != http.StatusNoContent {
		t.Fatalf("delete = %d", a.status)
	}
	if got := open(deleted); got != http.StatusGone {
		t.Errorf("the page of a deleted link = %d, want 410", got)
	}
	for _, path := range []string{"/~", "/~/s", "/~/s/", "/~/s/x", "/~/s/tk_" + strings.Repeat("z", 64), "/~/t/x", deleted + "/more", deleted + "/total/x"} {
		if got := open(path); got != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", path, got)
		}
	}
}

func TestSharePassword(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Limits.Password = limit(t, "3/10m") })
	owner := s.counter()
	s.create(`{"url":"https://example.com/","alias":"spring"}`, owner...)
	s.click("spring", clicksOf(s.clock.Now(), 7, nil)...)
	got, page := s.share("/api/v1/links/spring/share", `{"password":"open sesame"}`, owner...)
	if !got.PasswordProtected {
		t.Error("password_protected = false, want true")
	}
	_, other := s.share("/api/v1/links/spring/share", `{"password":"open sesame"}`, owner...)
	guess := func(page, password string) answer {
		return s.do(http.MethodPost, page, []byte(url.Values{"password": {password}}.Encode()), "Content-Type", "application/x-www-form-urlencoded", "Origin", "null")
	}
	closed := func(name string, a answer, status int) {
		t.Helper()
		if a.status != status || strings.Contains(string(a.body), ">7<") || strings.Contains(string(a.body), `"people"`) || strings.Contains(string(a.body), "spring") {
			t.Errorf("%s = %d %s, want %d without statistics", name, a.status, a.body, status)
		}
	}
	closed("the page", s.get(page, "Accept", "text/html"), http.StatusOK)
	closed("the totals", s.get(page+"/total"), http.StatusForbidden)
	closed("a wrong password", guess(page, "open"), http.StatusForbidden)
	right := guess(page+"?tz=Asia/Tokyo", "open sesame")
	if right.status != http.StatusSeeOther || right.header.Get("Location") != page+"?tz=Asia/Tokyo" {
		t.Fatalf("the right password = %d to %q, want 303 to the page with its range", right.status, right.header.Get("Location"))
	}
	cookie, err := http.ParseSetCookie(right.header.Get("Set-Cookie"))
	must(t, err)
	if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != page || cookie.Domain != "" {
		t.Errorf("the cookie = %v, want it for this page alone", cookie)
	}
	with := func(path, value string) answer {
		return s.get(path, "Accept", "text/html", "Cookie", "terse_share=x; "+cookie.Name+"="+value)
	}
	if a := with(page, cookie.Value); !strings.Contains(string(a.body), ">7<") {
		t.Errorf("the page with the cookie = %d without statistics", a.status)
	}
	if a := with(page+"/total", cookie.Value); !strings.Contains(string(a.body), `"people":7`) {
		t.Errorf("the totals with the cookie = %d %s", a.status, a.body)
	}
	closed("another page with the cookie", with(other, cookie.Value), http.StatusOK)
	for i := range len(cookie.Value) {
		changed := []byte(cookie.Value)
		changed[i] ^= 1
		if string(changed) != cookie.Value && strings.Contains(string(with(page, string(changed)).body), ">7<") {
			t.Errorf("the page opens with the changed cookie %s", changed)
		}
	}
	for range 2 {
		guess(page, "wrong")
	}
	if a := guess(page, "wrong"); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("the fourth wrong password = %d, want 429", a.status)
	}
	if a := guess(other, "open sesame"); a.status != http.StatusSeeOther {
		t.Errorf("the right password of another page = %d, want 303", a.status)
	}
	s.clock.add(25 * time.Hour)
	closed("the page with an old cookie", with(page, cookie.Value), http.StatusOK)
}

// failingDays are days that cannot be read once err is set.
type failingDays struct {
	noAnswer

	err atomic.Pointer[error]
}

func (d *failingDays) ListClickDays(context.Context, store.ClickKind, []string, int32, int32) ([]store.ClickDay, error) {
	if err := d.err.Load(); err != nil {
		return nil, *err
	}
	return nil, nil
}

// TestShareTokenIsInNoLog checks logs and metrics after requests of all kinds.
func TestShareTokenIsInNoLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	failing := new(failingDays)
	s := newServer(t, func(o *options) {
		o.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.AccessLogSample, o.ClickDays = 1, failing
	})
	owner := s.counter()
	_, page := s.share("/api/v1/stats/share", `{"password":"x"}`, owner...)
	_, plain := s.share("/api/v1/stats/share", ``, owner...)
	s.get(page)
	s.get(page + "/total")
	s.do(http.MethodPost, page, []byte("password=x"), "Content-Type", "application/x-www-form-urlencoded")
	s.do(http.MethodDelete, page, nil)
	failing.err.Store(new(fmt.Errorf("%w: shard s1", store.ErrUnavailable)))
	if a := s.get(plain, "Accept", "text/html"); a.status != http.StatusServiceUnavailable {
		t.Errorf("the page without the database = %d, want 503", a.status)
	}
	failing.err.Store(new(errors.New("a bug")))
	if a := s.get(plain, "Accept", "text/html"); a.status != http.StatusInternalServerError {
		t.Errorf("the page after an unknown error = %d, want 500", a.status)
	}
	s.Close()
	families, err := s.registry.Gather()
	must(t, err)
	metrics, err := json.Marshal(families)
	must(t, err)
	if log.Len() == 0 || !strings.Contains(string(metrics), `/~/s/:token`) {
		t.Errorf("nothing was logged or counted: %s", log.String())
	}
	for _, path := range []string{page, plain} {
		token := strings.TrimPrefix(path, "/~/s/tk_")
		if strings.Contains(log.String(), token[:16]) || strings.Contains(string(metrics), token[:16]) {
			t.Errorf("the token is in the log or the metrics:\n%s", log.String())
		}
	}
}

// TestShareIsLimited checks that shares count as creates.
func TestShareIsLimited(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Limits.CreateKey = limit(t, "2/1m") })
	owner := s.counter()
	s.share("/api/v1/stats/share", ``, owner...)
	s.share("/api/v1/stats/share", ``, owner...)
	s.send(http.MethodPost, "/api/v1/stats/share", ``, owner...).problem(http.StatusTooManyRequests)
}
