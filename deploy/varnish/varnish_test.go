//go:build unix

// Package varnish_test runs the shipped configuration in a real Varnish, with an origin
// that fails in many ways. The tests of e2e check that Terse sends the headers that
// the configuration expects.
package varnish_test

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/terse/terse/deploy"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/cdn"
	"github.com/terse/terse/store/outbox"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

// originTimeout is how long Varnish waits for the first byte of a redirect.
const originTimeout = 5 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// CDN-Cache-Control of Terse's redirects, with 1 second instead of 1 minute, without and
// with stale-while-revalidate.
const (
	live            = "max-age=1, stale-if-error=86400"
	liveRevalidated = "max-age=1, stale-while-revalidate=60, stale-if-error=86400"
)

// answer is the origin's answer for one link.
type answer struct {
	status int
	target string
	policy string // CDN-Cache-Control; empty for no header
}

// origin takes the place of Terse.
type origin struct {
	server *httptest.Server
	hang   atomic.Bool // new requests get no answer
	ended  chan struct{}

	mu      sync.Mutex
	answers map[string]answer // by path
	failing int               // status of every answer; 0 for normal answers
	slow    chan struct{}     // not nil: answers are chosen at once, but sent after it is closed
	seen    []*http.Request
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{answers: map[string]answer{}, ended: make(chan struct{})}
	o.server = httptest.NewServer(o)
	t.Cleanup(o.server.Close)
	t.Cleanup(func() { close(o.ended) })
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if o.hang.Load() {
		select {
		case <-r.Context().Done():
		case <-o.ended:
		}
		return
	}
	a, code := o.take(r)
	o.pause()
	h := w.Header()
	h.Set("Cache-Control", "private, max-age=0")
	h.Set("Surrogate-Key", "link-"+code)
	h.Set("Cache-Tag", "link-"+code)
	h["X-Request-Id"] = r.Header["X-Request-Id"] // as Terse does for a trusted proxy
	if a.policy != "" {
		h.Set("CDN-Cache-Control", a.policy)
	}
	if a.target != "" {
		h.Set("Location", a.target)
	}
	w.WriteHeader(a.status)
}

func (o *origin) take(r *http.Request) (answer, string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, r.Clone(context.WithoutCancel(r.Context())))
	a, known := o.answers[r.URL.Path]
	switch {
	case o.failing != 0:
		return answer{status: o.failing}, ""
	case !known:
		return answer{status: http.StatusNotFound, policy: "max-age=2"}, ""
	}
	return a, strings.TrimPrefix(r.URL.Path, "/")
}

// slowDown delays new answers until end is called. Each answer is still chosen at once.
func (o *origin) slowDown() (end func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	slow := make(chan struct{})
	o.slow = slow
	return func() { close(slow) }
}

func (o *origin) pause() {
	o.mu.Lock()
	slow := o.slow
	o.mu.Unlock()
	if slow == nil {
		return
	}
	select {
	case <-slow:
	case <-o.ended:
	}
}

func (o *origin) set(path string, a answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers[path] = a
}

func (o *origin) fail(status int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failing = status
}

// requests returns the requests for a path that reached the origin.
func (o *origin) requests(path string) []*http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []*http.Request
	for _, r := range o.seen {
		if r.URL.Path == path {
			all = append(all, r)
		}
	}
	return all
}

// edge is a Varnish in front of an origin.
type edge struct {
	t       *testing.T
	origin  *origin
	varnish *testenv.Varnish
	tls     string // where a proxy in front of Varnish ends TLS; empty: there is none
	client  *http.Client
	passed  int // calls of pass
}

// purgeSecret is the secret in the VCL of newEdge.
const purgeSecret = "9f86d081884c7d65"

func newEdge(t *testing.T) *edge {
	t.Helper()
	return newEdgeWith(t, map[string]string{`req.http.X-Purge-Secret != ""`: `req.http.X-Purge-Secret != "` + purgeSecret + `"`})
}

// newEdgeWith is newEdge with other changes to the shipped file.
func newEdgeWith(t *testing.T, changes map[string]string) *edge {
	t.Helper()
	o := newOrigin(t)
	_, port, err := net.SplitHostPort(o.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{`.port = "8080"`: fmt.Sprintf(`.port = "%s"`, port)}
	maps.Copy(all, changes)
	vcl, err := deploy.Edited("varnish/terse.vcl", all)
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{
		t: t, origin: o, varnish: testenv.NewVarnish(t, vcl),
		client: &http.Client{
			Timeout: 30 * time.Second, Transport: &http.Transport{},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	t.Cleanup(e.client.CloseIdleConnections)
	return e
}

// reply is a visitor's response without its body.
type reply struct {
	StatusCode int
	Header     http.Header
}

// url returns where visitors send their requests.
func (e *edge) url() string { return cmp.Or(e.tls, e.varnish.URL()) }

// try sends a request without a body.
func (e *edge) try(method, path string, header ...string) (reply, error) {
	r, err := http.NewRequestWithContext(e.t.Context(), method, e.url()+path, http.NoBody)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	got, err := e.client.Do(r)
	if err != nil {
		return reply{}, err
	}
	_, err = io.Copy(io.Discard, got.Body)
	return reply{got.StatusCode, got.Header}, errors.Join(err, got.Body.Close())
}

func (e *edge) send(method, path string, header ...string) reply {
	e.t.Helper()
	got, err := e.try(method, path, header...)
	if err != nil {
		e.t.Fatal(err)
	}
	return got
}

// ask sends a GET and returns status and X-Cache. Safe for concurrent use.
func (e *edge) ask(path string) (status int, cache string) {
	got, err := e.try(http.MethodGet, path)
	if err != nil {
		return 0, err.Error()
	}
	return got.StatusCode, got.Header.Get("X-Cache")
}

// want sends a GET and checks status and X-Cache.
func (e *edge) want(path string, status int, cache string) reply {
	e.t.Helper()
	got := e.send(http.MethodGet, path)
	if got.StatusCode != status || got.Header.Get("X-Cache") != cache {
		e.t.Errorf("%s = %d %s, want %d %s", path, got.StatusCode, got.Header.Get("X-Cache"), status, cache)
	}
	return got
}

// await repeats a GET of a redirect until it has this X-Cache.
func (e *edge) await(path, cache string) {
	e.t.Helper()
	testenv.Await(e.t, path+" to be a "+cache, func() bool {
		got := e.send(http.MethodGet, path)
		return got.StatusCode == http.StatusFound && got.Header.Get("X-Cache") == cache
	})
}

// pass waits until earlier responses with max-age=1 have expired. It requests another
// path, because a request for the same path would refresh it.
func (e *edge) pass() {
	e.t.Helper()
	e.passed++
	clock := fmt.Sprint("/clock", e.passed)
	e.origin.set(clock, answer{302, "https://example.com/", "max-age=1"})
	e.want(clock, 302, "MISS")
	e.await(clock, "MISS")
}

// newKept returns an edge with an expired response for /kept in its cache.
func newKept(t *testing.T) *edge {
	t.Helper()
	e := newEdge(t)
	e.origin.set("/kept", answer{302, "https://example.com/", live})
	e.want("/kept", 302, "MISS")
	e.pass()
	return e
}

// TestOutages checks that during any failure of the origin, Varnish serves an expired
// redirect on every request, and an error for everything else.
func TestOutages(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	for name, fail := range map[string]func(o *origin){
		"answers 500": func(o *origin) { o.fail(500) },
		"answers 503": func(o *origin) { o.fail(503) },
		"hangs":       func(o *origin) { o.hang.Store(true) },
		"is gone":     func(o *origin) { o.server.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t)
			e.origin.set("/kept", answer{302, "https://example.com/", live})
			e.origin.set("/ends", answer{302, "https://example.com/", "max-age=1"})
			e.want("/kept", 302, "MISS")
			e.want("/ends", 302, "MISS")
			e.pass()
			fail(e.origin)
			e.want("/kept", 302, "STALE") // Varnish does not know about the failure yet
			for _, path := range []string{"/ends", "/never-asked"} {
				if got := e.send(http.MethodGet, path); got.StatusCode < 500 {
					t.Errorf("%s = %d, want an error", path, got.StatusCode)
				}
			}
			// Long enough for requests in the background.
			responses, slow := 0, 0
			for end := time.Now().Add(5 * time.Second); responses < 5 || time.Now().Before(end) && !t.Failed(); time.Sleep(20 * time.Millisecond) {
				asked := time.Now()
				e.want("/kept", 302, "STALE")
				responses++
				if time.Since(asked) > originTimeout/2 {
					slow++
				}
			}
			if slow > responses/2 {
				t.Errorf("%d of %d responses waited for the origin after Varnish had noticed the failure", slow, responses)
			}
			e.origin.mu.Lock()
			defer e.origin.mu.Unlock()
			if n := len(e.origin.seen); n > 12 {
				t.Errorf("%d requests reached the failing origin, want at most 12", n)
			}
		})
	}
}

// TestLimitedClients checks that a 429 for a client never replaces a cached redirect: the
// client gets the redirect, and so do other clients when the origin is down.
func TestLimitedClients(t *testing.T) {
	t.Parallel()
	e := newKept(t)
	e.origin.fail(429)
	e.want("/kept", 302, "STALE")
	if got := e.send(http.MethodGet, "/never-asked"); got.StatusCode != 429 {
		t.Errorf("status of an uncached link = %d, want 429", got.StatusCode)
	}
	e.want("/kept", 302, "STALE")
	e.origin.server.Close()
	e.want("/kept", 302, "STALE")
}

// TestHangTogether checks that many visitors do not wait one after another for a hanging
// origin.
func TestHangTogether(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	e := newKept(t)
	e.origin.hang.Store(true)
	const visitors = 60
	began := time.Now()
	var crowd sync.WaitGroup
	for range visitors {
		crowd.Go(func() {
			if status, cache := e.ask("/kept"); status != 302 || cache != "STALE" {
				t.Errorf("/kept = %d %s, want 302 STALE", status, cache)
			}
		})
	}
	crowd.Wait()
	if took := time.Since(began); took > visitors/2*originTimeout {
		t.Errorf("%d responses took %v, want little more than the %v of one", visitors, took, originTimeout)
	}
}

// TestRecovery checks that new responses arrive when the origin has recovered.
func TestRecovery(t *testing.T) {
	t.Parallel()
	e := newKept(t)
	e.origin.fail(503)
	e.want("/kept", 302, "STALE")
	e.origin.set("/kept", answer{302, "https://example.com/second", live})
	e.origin.fail(0)
	e.await("/kept", "HIT")
	if got := e.send(http.MethodGet, "/kept"); got.Header.Get("Location") != "https://example.com/second" {
		t.Errorf("Location = %q, want the second target", got.Header.Get("Location"))
	}
}

// TestErrorsAreTersesOwn checks that Varnish requests an uncached path once and passes the
// origin's error on unchanged. A retry would put more load on a failing origin.
func TestErrorsAreTersesOwn(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.origin.fail(503)
	got := e.want("/failing", 503, "MISS")
	if got.Header.Get("Cache-Control") != "private, max-age=0" { // only the origin sends this
		t.Errorf("header of the error = %v, want the origin's", got.Header)
	}
	if n := len(e.origin.requests("/failing")); n != 1 {
		t.Errorf("%d requests for one visit, want 1", n)
	}
}

// TestRevalidation checks that with stale-while-revalidate no visitor waits, and that
// without it Varnish serves no expired response.
func TestRevalidation(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.origin.set("/kept", answer{302, "https://example.com/first", liveRevalidated})
	e.origin.set("/exact", answer{302, "https://example.com/first", live})
	e.want("/kept", 302, "MISS")
	e.want("/exact", 302, "MISS")
	e.pass()
	e.origin.set("/kept", answer{302, "https://example.com/second", "max-age=60"})
	e.want("/kept", 302, "STALE")
	e.await("/kept", "HIT")
	if got := e.send(http.MethodGet, "/kept"); got.Header.Get("Location") != "https://example.com/second" {
		t.Errorf("Location = %q, want the second target", got.Header.Get("Location"))
	}
	e.want("/exact", 302, "MISS")
}

// TestNewerEndsOlder checks that after a 410 or 451 of Terse, Varnish serves no older
// redirect in an outage, even when every purge was lost.
func TestNewerEndsOlder(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	for status, path := range map[int]string{410: "/gone", 451: "/bad"} {
		e.origin.set(path, answer{302, "https://example.com/", live})
		e.want(path, 302, "MISS")
		e.pass()
		e.origin.set(path, answer{status, "", "max-age=1"})
		e.want(path, status, "MISS")
		e.pass()
	}
	e.origin.fail(503)
	for _, path := range []string{"/gone", "/bad"} {
		if got := e.send(http.MethodGet, path); got.StatusCode != 503 {
			t.Errorf("%s in an outage = %d to %q, want 503", path, got.StatusCode, got.Header.Get("Location"))
		}
	}
}

// TestHeadStaysHead checks that HEAD reaches Terse as HEAD, so that it counts no click.
func TestHeadStaysHead(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.origin.set("/kept", answer{302, "https://example.com/", live})
	if got := e.send(http.MethodHead, "/kept"); got.StatusCode != 302 {
		t.Errorf("HEAD = %d, want 302", got.StatusCode)
	}
	for _, r := range e.origin.requests("/kept") {
		if r.Method != http.MethodHead {
			t.Errorf("the origin received %s, want HEAD", r.Method)
		}
	}
	e.want("/kept", 302, "MISS")
	if got := e.send(http.MethodHead, "/kept"); got.StatusCode != 302 || got.Header.Get("X-Cache") != "HIT" {
		t.Errorf("HEAD after GET = %d %s, want 302 HIT", got.StatusCode, got.Header.Get("X-Cache"))
	}
	e.pass()
	e.origin.fail(503)
	if got := e.send(http.MethodHead, "/kept"); got.StatusCode != 302 || got.Header.Get("X-Cache") != "STALE" {
		t.Errorf("HEAD in an outage = %d %s, want 302 STALE", got.StatusCode, got.Header.Get("X-Cache"))
	}
}

// TestPostIsSentOnce checks that Varnish does not retry a POST.
func TestPostIsSentOnce(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.origin.fail(503)
	for _, path := range []string{"/api/v1/links", "/locked"} {
		if got := e.send(http.MethodPost, path); got.StatusCode != 503 {
			t.Errorf("POST %s = %d, want 503", path, got.StatusCode)
		}
		if n := len(e.origin.requests(path)); n != 1 {
			t.Errorf("%d requests for one POST %s, want 1", n, path)
		}
	}
}

// TestPolicies checks that CDN-Cache-Control alone decides what Varnish caches.
func TestPolicies(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	for i, tt := range []struct {
		answer answer
		second string
	}{
		{answer{302, "https://example.com/", "max-age=60, stale-while-revalidate=30, stale-if-error=86400"}, "HIT"},
		{answer{308, "https://example.com/", "max-age=60"}, "HIT"},
		{answer{410, "", "max-age=60"}, "HIT"},
		{answer{451, "", "max-age=60"}, "HIT"},
		{answer{302, "https://example.com/", "no-store"}, "MISS"},
		{answer{302, "https://example.com/", "no-store, max-age=60"}, "MISS"},
		{answer{302, "https://example.com/", "max-age=0"}, "MISS"},
		{answer{302, "https://example.com/", ""}, "MISS"},
		{answer{429, "", ""}, "MISS"},
	} {
		path := fmt.Sprintf("/policy%d", i)
		e.origin.set(path, tt.answer)
		e.want(path, tt.answer.status, "MISS")
		if got := e.want(path, tt.answer.status, tt.second); got.Header.Get("Location") != tt.answer.target {
			t.Errorf("%q: Location = %q, want %q", tt.answer.policy, got.Header.Get("Location"), tt.answer.target)
		}
	}
}

// TestWhatVisitorsSay checks that Terse receives the visitor's address, and that no header
// of a visitor changes what Varnish does.
func TestWhatVisitorsSay(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.origin.set("/kept", answer{302, "https://example.com/", live})
	e.send(http.MethodGet, "/kept", "X-Forwarded-For", "203.0.113.9", "X-Round", "new", "X-Cache", "x")
	all := e.origin.requests("/kept")
	if len(all) != 1 || all[0].Header.Get("X-Forwarded-For") != "203.0.113.9, 127.0.0.1" {
		t.Fatalf("%d requests, first X-Forwarded-For %q, want 1 with the visitor's addresses", len(all), all[0].Header.Values("X-Forwarded-For"))
	}
	got := e.send("PURGE", "/", "X-Purge-Secret", "not that one", "X-Purged", "a lie", "Xkey-Purge", "link-kept")
	if got.StatusCode != 403 || got.Header.Get("X-Purged") != "" {
		t.Errorf("PURGE with a wrong secret = %d, X-Purged: %q, want 403 and no header", got.StatusCode, got.Header.Get("X-Purged"))
	}
	e.origin.fail(503)
	got = e.send(http.MethodGet, "/other", "X-Round", "new", "X-Purged", "a lie")
	if got.StatusCode != 503 || got.Header.Get("X-Purged") != "" {
		t.Errorf("/other = %d, X-Purged: %q, want 503 and no header", got.StatusCode, got.Header.Get("X-Purged"))
	}
	if n := len(e.origin.requests("/other")); n != 1 {
		t.Errorf("%d requests for /other, want 1", n)
	}
}

// TestRequestIDs checks that Varnish gives each request an id of its own, also when a visitor
// sends one, and that no answer has the id of another request.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	const header, sent = "X-Request-Id", "chosen-by-a-visitor"
	e := newEdge(t)
	e.origin.set("/kept", answer{302, "https://example.com/", liveRevalidated})
	e.origin.set("/api/v1/links", answer{200, "", "no-store"})
	known := map[string]bool{sent: true, "": true}
	for _, path := range []string{"/kept", "/kept", "/unknown", "/unknown", "/api/v1/links", "/api/v1/links"} {
		for _, headers := range [][]string{{header, sent, "traceparent", "00-1", "tracestate", "a=1"}, nil} {
			got := e.send(http.MethodGet, path, headers...).Header[header]
			if len(got) != 1 || known[got[0]] {
				t.Errorf("ids of the answer of %s with %q = %q, want a new one", path, headers, got)
				continue
			}
			known[got[0]] = true
		}
	}
	e.pass() // then an expired answer is served and fetched again
	e.want("/kept", 302, "STALE")
	e.await("/kept", "HIT")
	if got := e.send(http.MethodGet, "/kept").Header.Get(header); known[got] {
		t.Errorf("id of an answer from the cache = %q, want a new one", got)
	}
	for _, path := range []string{"/kept", "/unknown", "/api/v1/links"} {
		for _, r := range e.origin.requests(path) {
			id := r.Header.Get(header)
			if !regexp.MustCompile(`^[0-9.-]{12,64}$`).MatchString(id) || r.Header["Traceparent"] != nil || r.Header["Tracestate"] != nil {
				t.Errorf("%s reaches the origin with the id %q and the trace %q, want Varnish's id and no trace", path, id, r.Header["Traceparent"])
			}
		}
	}
}

// TestVisitorsCannotPurge checks that a purge needs the secret of the VCL, from any address,
// and that a purge through a proxy is refused even with the secret. All requests come from
// 127.0.0.1, as they do when a proxy on the same machine ends TLS.
func TestVisitorsCannotPurge(t *testing.T) {
	t.Parallel()
	const header = "X-Purge-Secret"
	for name, tt := range map[string]struct {
		changes map[string]string
		allowed []string // headers of the only purge that is allowed; none if nil
		refused [][]string
	}{
		"the file as shipped": {refused: [][]string{{}, {header, ""}, {header, " "}, {header, purgeSecret}}},
		"with a secret": {
			changes: map[string]string{`req.http.X-Purge-Secret != ""`: `req.http.X-Purge-Secret != "` + purgeSecret + `"`},
			allowed: []string{header, purgeSecret},
			refused: [][]string{
				{},
				{header, ""},
				{header, "other"},
				{header, purgeSecret + "x"},
				{header, purgeSecret, "X-Forwarded-For", "203.0.113.9"},
				{header, purgeSecret, "X-Forwarded-For", "127.0.0.1"},
				{header, purgeSecret, "X-Forwarded-For", "unknown"},
				{header, purgeSecret, "Forwarded", "for=203.0.113.9"},
				{header, purgeSecret, "X-Real-IP", "203.0.113.9"},
				{header, purgeSecret, "Via", "1.1 proxy"},
			},
		},
		"from an address that is not listed": {
			changes: map[string]string{
				`req.http.X-Purge-Secret != ""`: `req.http.X-Purge-Secret != "` + purgeSecret + `"`,
				`"127.0.0.1";            #`:     `"192.0.2.1"; #`,
			},
			refused: [][]string{{header, purgeSecret}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdgeWith(t, tt.changes)
			e.origin.set("/kept", answer{302, "https://example.com/", "max-age=60"})
			e.want("/kept", 302, "MISS")
			for _, headers := range tt.refused {
				if got := e.send("PURGE", "/", append([]string{"Xkey-Purge", "link-kept"}, headers...)...); got.StatusCode != 403 {
					t.Errorf("PURGE with %q = %d, want 403", headers, got.StatusCode)
				}
				e.want("/kept", 302, "HIT")
			}
			if tt.allowed == nil {
				return
			}
			if got := e.send("PURGE", "/", append([]string{"Xkey-Purge", "link-kept"}, tt.allowed...)...); got.StatusCode != 200 {
				t.Errorf("PURGE with %q = %d, want 200", tt.allowed, got.StatusCode)
			}
			e.want("/kept", 302, "MISS")
		})
	}
}

// TestVisitorsCannotPurgeThroughTLS checks purges of visitors through an nginx on the machine of
// Varnish that ends TLS, with and without X-Forwarded-For.
func TestVisitorsCannotPurgeThroughTLS(t *testing.T) {
	t.Parallel()
	const header = "X-Purge-Secret"
	unsent := [][]string{{}, {header, ""}, {header, "other"}}
	for name, tt := range map[string]struct {
		forwarded string // a line of nginx
		refused   [][]string
	}{
		"with X-Forwarded-For":    {"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", append(unsent, []string{header, purgeSecret})},
		"without X-Forwarded-For": {"", unsent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t)
			e.origin.set("/kept", answer{302, "https://example.com/", "max-age=60"})
			e.want("/kept", 302, "MISS")
			visitor := e.behindTLS(tt.forwarded)
			for _, headers := range tt.refused {
				if got := visitor.send("PURGE", "/", append([]string{"Xkey-Purge", "link-kept"}, headers...)...); got.StatusCode != 403 {
					t.Errorf("PURGE with %q = %d, want 403", headers, got.StatusCode)
				}
				visitor.want("/kept", 302, "HIT")
			}
		})
	}
}

// behindTLS starts an nginx that ends TLS in front of Varnish. It returns the edge as a visitor
// of that nginx sees it.
func (e *edge) behindTLS(line string) *edge {
	e.t.Helper()
	certificates := httptest.NewTLSServer(nil) // only its certificate is used
	certificates.Close()
	pair := certificates.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		e.t.Fatal(err)
	}
	text := slices.Concat(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	nginx, err := testenv.StartNginx(e.t.Context(), testenv.NginxOptions{Config: fmt.Sprintf(`map $server_port $certificate { # nginx may run as a user who cannot read our files
    default "%s";
}
server {
    listen LISTEN ssl;
    ssl_certificate data:$certificate;
    ssl_certificate_key data:$certificate;
    location / {
        proxy_pass %s;
        proxy_http_version 1.1;
        %s
    }
}`, text, e.varnish.URL(), line)})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		if err := nginx.Close(); err != nil {
			e.t.Error(err)
		}
	})
	visitor := &edge{t: e.t, origin: e.origin, varnish: e.varnish, tls: "https://" + nginx.Addr(), client: certificates.Client()}
	visitor.client.CheckRedirect = e.client.CheckRedirect
	e.t.Cleanup(visitor.client.CloseIdleConnections)
	return visitor
}

// TestPurger checks that Varnish understands the longest request of a Purger, and purges
// only the named links.
func TestPurger(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	p, err := cdn.New(cdn.Options{Provider: cdn.Varnish, VarnishURLs: []string{e.varnish.URL()}, VarnishSecret: purgeSecret, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	edits := make([]store.Edit, 250)
	for i := range edits {
		code := fmt.Sprintf("%064d", i)
		edits[i].Link.Code = code
		for _, path := range []string{"/" + code, "/" + code + "x"} {
			e.origin.set(path, answer{302, "https://example.com/", "max-age=60"})
		}
	}
	visit := func(cache string) {
		for _, i := range []int{0, 99, 100, 249} {
			e.want("/"+edits[i].Link.Code, 302, cache)
		}
	}
	other := "/" + edits[0].Link.Code + "x"
	visit("MISS")
	e.want(other, 302, "MISS")
	visit("HIT")
	for i, err := range p.Invalidate(t.Context(), edits) {
		if err != nil {
			t.Fatalf("Invalidate[%d] = %v, want nil", i, err)
		}
	}
	visit("MISS")
	e.want(other, 302, "HIT")
}

// counted is a Purger that counts its calls.
type counted struct {
	*cdn.Purger
	times atomic.Int32
}

func (p *counted) Invalidate(ctx context.Context, edits []store.Edit) []error {
	defer p.times.Add(1)
	return p.Purger.Invalidate(ctx, edits)
}

// TestPurgeOvertakesAnAnswer delays an answer of the origin from before an edit until the
// first purge has reached Varnish. The second purge must remove that answer.
func TestPurgeOvertakesAnAnswer(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	const before, after = "https://example.com/before", "https://example.com/after"
	s := sqlitetest.Open(t)
	at := time.Now().UTC().Truncate(time.Microsecond)
	l, err := s.Create(t.Context(), store.Link{Code: "link", URL: before, Status: 302, CreatedAt: at, UpdatedAt: at})
	if err != nil {
		t.Fatal(err)
	}
	purger, err := cdn.New(cdn.Options{Provider: cdn.Varnish, VarnishURLs: []string{e.varnish.URL()}, VarnishSecret: purgeSecret, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	purges := &counted{Purger: purger}
	w, err := outbox.New(outbox.Options{
		Outboxes: []outbox.Named{{Name: "s1", Outbox: s}}, CDN: purges,
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	until := func(what string, done func() bool) {
		t.Helper()
		testenv.Await(t, what, done)
	}

	end := e.origin.slowDown()
	answer := answer{302, before, "max-age=86400"}
	e.origin.set("/link", answer)
	var visiting sync.WaitGroup
	visiting.Go(func() { e.ask("/link") })
	until("the origin to choose its answer", func() bool { return len(e.origin.requests("/link")) == 1 })
	answer.target = after
	e.origin.set("/link", answer)
	l.URL = after
	if _, err := s.Update(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	w.Nudge()
	until("the first purge", func() bool { return purges.times.Load() == 1 })
	end()
	visiting.Wait()
	until("the edit to be seen", func() bool { return e.send(http.MethodGet, "/link").Header.Get("Location") == after })
	if got := purges.times.Load(); got != 2 {
		t.Errorf("%d purges, want 2", got)
	}
}
