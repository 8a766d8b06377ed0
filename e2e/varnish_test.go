//go:build unix

package e2e_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// purgedWithin is half of the time that Varnish keeps a redirect that nobody purges.
const purgedWithin = 30 * time.Second

// purgeSecret is the secret that the test's VCL requires of a purge.
const purgeSecret = "only-for-this-test"

// edge is a node behind a Varnish with the shipped configuration.
type edge struct {
	t       *testing.T
	varnish string // URL
	cache   *testenv.Varnish
	node    *program
	client  *http.Client
	token   string
}

// newEdge starts the node, with more settings, and Varnish. It replaces the keys of changes in the VCL with their
// values, as well as the port and the secret.
func newEdge(t *testing.T, changes map[string]string, environ ...string) *edge {
	t.Helper()
	port, err := testenv.FreePort(t.Context())
	must(t, err)
	e := &edge{t: t, varnish: fmt.Sprintf("http://127.0.0.1:%d", port), client: client(t)}
	e.node = start(t, append(environ, behindVarnish(e.varnish)...)...)
	e.useKey()
	e.cache = startVarnish(t, port, e.node.Addr(), changes)
	e.awaitNode()
	return e
}

// behindVarnish are the settings of a node behind a Varnish.
func behindVarnish(url string) []string {
	return []string{"TERSE_CDN=varnish", "TERSE_VARNISH_URLS=" + url, "TERSE_VARNISH_SECRET=" + purgeSecret, "TERSE_TRUSTED_PROXIES=127.0.0.1/32"}
}

// startVarnish starts Varnish at a port, in front of a backend. See newEdge for changes.
func startVarnish(t *testing.T, port int, backend string, changes map[string]string) *testenv.Varnish {
	t.Helper()
	vcl, err := os.ReadFile("../deploy/varnish/terse.vcl")
	must(t, err)
	all := map[string]string{
		`.port = "8080"`:                fmt.Sprintf(`.port = "%s"`, backend[strings.LastIndexByte(backend, ':')+1:]),
		`req.http.X-Purge-Secret != ""`: fmt.Sprintf(`req.http.X-Purge-Secret != "%s"`, purgeSecret),
	}
	maps.Copy(all, changes)
	text := string(vcl)
	for old, changed := range all {
		if !strings.Contains(text, old) {
			t.Fatalf("terse.vcl lacks %s", old)
		}
		text = strings.ReplaceAll(text, old, changed)
	}
	varnish, err := testenv.StartVarnish(t.Context(), testenv.VarnishOptions{VCL: text, Port: port})
	must(t, err)
	t.Cleanup(func() { must(t, varnish.Close()) })
	return varnish
}

// useKey creates an admin key that can also read and write links, for calls of the API.
func (e *edge) useKey() {
	e.t.Helper()
	e.token = strings.TrimPrefix(e.node.newKey("admin,links:read,links:write")[1], "TERSE_API_KEY=")
}

// awaitNode waits until Varnish reaches the node. Varnish does not retry for a moment after a
// refused connection.
func (e *edge) awaitNode() {
	e.t.Helper()
	testenv.Await(e.t, "Varnish to reach Terse", func() bool {
		status, _ := e.visit("/")
		return status == http.StatusOK
	})
}

// call sends a request to the node's API, not through Varnish. It repeats the
// request while a busy machine makes the node answer 503.
func (e *edge) call(method, path, body string, want int) {
	e.t.Helper()
	var status int
	var text string
	testenv.Await(e.t, method+" "+path, func() bool {
		status, _, text = e.send(method, e.node.url+path, body, "Authorization", "Bearer "+e.token)
		return status != http.StatusServiceUnavailable
	})
	if status != want {
		e.t.Fatalf("%s %s = %d, want %d: %s", method, path, status, want, text)
	}
}

// visit requests a path from Varnish.
func (e *edge) visit(path string, header ...string) (status int, h http.Header) {
	e.t.Helper()
	status, h, _ = e.send(http.MethodGet, e.varnish+path, "", header...)
	return status, h
}

func (e *edge) send(method, url, body string, header ...string) (int, http.Header, string) {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), method, url, strings.NewReader(body))
	must(e.t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := e.client.Do(r)
	must(e.t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	must(e.t, err)
	return answer.StatusCode, answer.Header, string(text)
}

// create creates a link with an alias and more fields.
func (e *edge) create(alias, target, more string) {
	e.t.Helper()
	e.call(http.MethodPost, "/api/v1/links", fmt.Sprintf(`{"url":%q,"alias":%q%s}`, target, alias, more), http.StatusCreated)
}

// want visits a path and checks the status, the target and X-Cache. No visitor may see the
// headers for the CDN.
func (e *edge) want(path string, status int, location, cache string) {
	e.t.Helper()
	got, h := e.visit(path)
	if got != status || h.Get("Location") != location || h.Get("X-Cache") != cache {
		e.t.Errorf("%s = %d to %q, %s, want %d to %q, %s", path, got, h.Get("Location"), h.Get("X-Cache"), status, location, cache)
	}
	for _, inner := range []string{"Cdn-Cache-Control", "Surrogate-Key", "Cache-Tag", "Xkey"} {
		if h.Get(inner) != "" {
			e.t.Errorf("%s: a visitor sees %s: %s", path, inner, h.Get(inner))
		}
	}
}

// TestVarnish runs a real Varnish with the shipped configuration. It checks what Varnish
// caches, who may purge, and that edits and takedowns are purged.
func TestVarnish(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	const target = "https://example.com/first"
	e.create("kept", target, "")
	e.want("/kept", 302, target, "MISS")
	before := e.node.metric("terse_redirect_visits_total")
	for range 5 {
		e.want("/kept", 302, target, "HIT")
	}
	if got := e.node.metric("terse_redirect_visits_total"); got != before {
		t.Errorf("Terse answered %v redirects that Varnish has in its cache", got-before)
	}
	if status, h, _ := e.send(http.MethodHead, e.varnish+"/kept", ""); status != 302 || h.Get("X-Cache") != "HIT" {
		t.Errorf("HEAD = %d, %s, want 302, HIT", status, h.Get("X-Cache"))
	}
	if _, h := e.visit("/kept"); h.Get("Cache-Control") != "private, max-age=0" {
		t.Errorf("Cache-Control for browsers = %q", h.Get("Cache-Control"))
	}

	t.Run("responses that are not cached", func(t *testing.T) {
		e.create("limited", target, `,"max_clicks":9`)
		e.create("secret", target, `,"password":"long enough"`)
		for range 2 {
			e.want("/limited", 302, target, "MISS")
			e.want("/secret", 200, "", "MISS")
			e.want("/kept+", 200, "", "PASS")
			e.want("/", 200, "", "PASS")
			e.want("/api/v1/links/kept", 401, "", "PASS")
			if status, h := e.visit("/kept", "Authorization", "Bearer x"); status != 302 || h.Get("X-Cache") != "PASS" {
				t.Errorf("with Authorization = %d, %s, want 302, PASS", status, h.Get("X-Cache"))
			}
		}
	})
	t.Run("queries and cookies", func(t *testing.T) {
		e.create("forward", "https://example.com/?a=1", `,"forward_query":"append"`)
		e.want("/forward?b=2", 302, "https://example.com/?a=1&b=2", "MISS")
		e.want("/forward?c=3", 302, "https://example.com/?a=1&c=3", "MISS")
		if status, h := e.visit("/forward?b=2", "Cookie", "x=1"); status != 302 || h.Get("X-Cache") != "HIT" {
			t.Errorf("with a cookie = %d, %s, want 302, HIT", status, h.Get("X-Cache"))
		}
	})
	t.Run("unknown codes are cached for two seconds", func(t *testing.T) {
		e.want("/unknown", 404, "", "MISS")
		e.want("/unknown", 404, "", "HIT")
		testenv.Await(t, "an unknown code to expire", func() bool {
			_, h := e.visit("/unknown")
			return h.Get("X-Cache") == "MISS"
		})
	})
	t.Run("strangers do not purge", func(t *testing.T) {
		for _, header := range [][]string{nil, {"X-Purge-Secret", "wrong"}} {
			status, _, _ := e.send("PURGE", e.varnish+"/", "", append(header, "Xkey-Purge", "link-kept")...)
			if status != http.StatusForbidden {
				t.Errorf("PURGE with %v = %d, want 403", header, status)
			}
		}
		e.want("/kept", 302, target, "HIT")
	})
	t.Run("edits and takedowns are purged", func(t *testing.T) {
		e.create("edited", target, "")
		e.create("bad", target, "")
		e.create("deleted", target, "")
		for _, path := range []string{"/edited", "/edited?x=1", "/bad", "/deleted"} {
			e.visit(path)
			e.want(path, 302, target, "HIT")
		}
		for _, edit := range []struct {
			method, path, body string
			answer, want       int
			seen               []string
		}{
			{http.MethodPatch, "edited", `{"url":"https://example.com/second"}`, http.StatusOK, 302, []string{"/edited", "/edited?x=1"}},
			{http.MethodPost, "bad/disable", `{"reason":"phishing"}`, http.StatusOK, 451, []string{"/bad"}},
			{http.MethodDelete, "deleted", "", http.StatusNoContent, 410, []string{"/deleted"}},
		} {
			e.call(edit.method, "/api/v1/links/"+edit.path, edit.body, edit.answer)
			took := testenv.AwaitWithin(t, purgedWithin, "Varnish to show "+edit.path, func() bool {
				return !slices.ContainsFunc(edit.seen, func(path string) bool {
					status, h := e.visit(path)
					return status != edit.want || h.Get("Location") == target
				})
			})
			t.Logf("Varnish showed %s after %v", edit.path, took)
		}
	})
}

// TestDomainIsPurged checks that Varnish shows no answer of a domain from before a change of the
// domain.
func TestDomainIsPurged(t *testing.T) {
	t.Parallel()
	robots, err := os.ReadFile("../web/static/robots.txt")
	must(t, err)
	e := newEdge(t, nil)
	const host, alias, domain = "go.example.com", "old.example.com", "/api/v1/domains/go.example.com"
	e.call(http.MethodPost, "/api/v1/domains", `{"host":"`+host+`","aliases":["`+alias+`"],"verified":true,"robots":"disallow","ended_url":"https://example.com/first"}`, http.StatusCreated)
	e.create("spring", "https://example.com/spring", `,"domain":"`+host+`"`)
	e.create("ended", "https://example.com/ended", `,"domain":"`+host+`"`)
	e.call(http.MethodDelete, "/api/v1/links/ended?domain="+host, "", http.StatusNoContent)
	// visit returns the status, the target and the text of an answer, and whether it was cached.
	visit := func(host, path string) (answer string, hit bool) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.varnish+path, http.NoBody)
		must(t, err)
		r.Host = host
		response, err := e.client.Do(r)
		must(t, err)
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		must(t, err)
		if path != "/robots.txt" {
			text = nil
		}
		return fmt.Sprint(response.StatusCode, " ", response.Header.Get("Location"), string(text)), response.Header.Get("X-Cache") == "HIT"
	}
	for _, change := range []struct {
		name, method, path, body string
		answer                   int
		host, visited, want      string
	}{
		{"ended_url", http.MethodPatch, domain, `{"ended_url":"https://example.com/second"}`, http.StatusOK, host, "/ended", "302 https://example.com/second"},
		{"robots", http.MethodPatch, domain, `{"robots":"default"}`, http.StatusOK, host, "/robots.txt", "200 " + string(robots)},
		{"off", http.MethodPatch, domain, `{"off":true}`, http.StatusOK, host, "/spring", "421 "},
		{"on", http.MethodPatch, domain, `{"off":false}`, http.StatusOK, host, "/spring", "302 https://example.com/spring"},
		{"an alias less", http.MethodPatch, domain, `{"aliases":[]}`, http.StatusOK, alias, "/spring", "421 "},
		{"remove", http.MethodDelete, domain + "?force=true", "", http.StatusNoContent, host, "/spring", "421 "},
	} {
		if change.name != "on" { // while the domain is off, Varnish keeps nothing
			testenv.Await(t, "Varnish to keep "+change.visited, func() bool {
				_, hit := visit(change.host, change.visited)
				return hit
			})
		}
		e.call(change.method, change.path, change.body, change.answer)
		took := testenv.AwaitWithin(t, purgedWithin, "Varnish to show the change "+change.name, func() bool {
			got, _ := visit(change.host, change.visited)
			return got == change.want
		})
		t.Logf("Varnish showed the change %s after %v", change.name, took)
	}
}

// TestDomainsThroughVarnish visits one code on three domains through Varnish and two nodes. An edit, and
// a delete, of one link purge no other one.
func TestDomainsThroughVarnish(t *testing.T) {
	t.Parallel()
	port, err := testenv.FreePort(t.Context())
	must(t, err)
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	f, nodes := newFleet(t, 1, testenv.ClusterOptions{}), newBalancer(t)
	f.environ = append(f.environ, "TERSE_REDIS_URL="+testenv.NewRedis(t, testenv.RedisOptions{}).URL())
	for range 2 {
		nodes.use(append(nodes.backends, f.serve(behindVarnish(url)...).Addr())...)
	}
	f.awaitChannels()
	startVarnish(t, port, nodes.Addr().String(), nil)
	hosts := []string{"localhost", "go.example.com", "links.example.net"}
	f.addDomain("jT0xYqRm4", hosts[1])
	f.addDomain("k7Qx9mB2a", hosts[2])
	b := byHost{t, strings.TrimSpace(f.run("key", "create", "--name", "domains", "--scope", "links:read,links:write"))}
	for i, host := range hosts {
		testenv.Await(t, "a link on "+host, func() bool {
			status, _, answer := b.send(f.nodes[i%2], "", http.MethodPost, "/api/v1/links", `{"url":"https://example.com/`+host+`","alias":"spring","domain":"`+host+`"}`)
			return status == http.StatusCreated || strings.Contains(answer, "taken") // after an answer of the other node
		})
	}
	c := client(t)
	visit := func(host string) (answer, cache string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/spring", http.NoBody)
		must(t, err)
		r.Host = host
		response, err := c.Do(r)
		must(t, err)
		must(t, response.Body.Close())
		return fmt.Sprint(response.StatusCode, " ", response.Header.Get("Location")), response.Header.Get("X-Cache")
	}
	began := time.Now()
	for _, host := range hosts {
		testenv.Await(t, "Varnish to keep the link of "+host, func() bool {
			answer, cache := visit(host)
			return answer == "302 https://example.com/"+host && cache == "HIT"
		})
	}
	wants := func(host, want string) {
		t.Helper()
		answer, cache := visit(host)
		kept := time.Since(began) < time.Minute // Varnish keeps a redirect for that long
		if answer != want || kept && cache != "HIT" {
			t.Errorf("visit of %s = %s, %s, want %s from the cache", host, answer, cache, want)
		}
	}
	b.send(f.nodes[1], "", http.MethodPatch, "/api/v1/links/spring?domain="+hosts[1], `{"url":"https://example.com/edited"}`)
	testenv.AwaitWithin(t, purgedWithin, "Varnish to show the edit", func() bool {
		answer, _ := visit(hosts[1])
		return answer == "302 https://example.com/edited"
	})
	wants(hosts[0], "302 https://example.com/"+hosts[0])
	wants(hosts[2], "302 https://example.com/"+hosts[2])
	b.send(f.nodes[0], "", http.MethodDelete, "/api/v1/links/spring?domain="+hosts[2], "")
	testenv.AwaitWithin(t, purgedWithin, "Varnish to show the delete", func() bool {
		answer, _ := visit(hosts[2])
		return answer == "410 "
	})
	wants(hosts[0], "302 https://example.com/"+hosts[0])
}

// TestVarnishInAnOutage lets cached responses expire after a second and kills Terse. Varnish
// still serves expired redirects, but never a link that was taken down or deleted.
func TestVarnishInAnOutage(t *testing.T) {
	t.Parallel()
	e := newEdge(t, map[string]string{
		`"^.*max-age=([0-9]+).*$", "\1s"`:                `"^.*max-age=([0-9]+).*$", "1s"`,
		`"^.*stale-while-revalidate=([0-9]+).*$", "\1s"`: `"^.*stale-while-revalidate=([0-9]+).*$", "1s"`,
	})
	const target = "https://example.com/first"
	for _, alias := range []string{"kept", "bad", "gone"} {
		e.create(alias, target, "")
		e.want("/"+alias, 302, target, "MISS")
	}
	e.call(http.MethodPost, "/api/v1/links/bad/disable", `{"reason":"phishing"}`, http.StatusOK)
	e.call(http.MethodDelete, "/api/v1/links/gone", "", http.StatusNoContent)
	testenv.Await(t, "Varnish to show the takedown and the delete", func() bool {
		bad, _ := e.visit("/bad")
		gone, _ := e.visit("/gone")
		return bad == 451 && gone == 410
	})
	e.node.kill()
	testenv.Await(t, "all responses to expire", func() bool {
		_, kept := e.visit("/kept")
		bad, _ := e.visit("/bad")
		gone, _ := e.visit("/gone")
		return kept.Get("X-Cache") == "STALE" && bad == 503 && gone == 503
	})
	for range 3 {
		e.want("/kept", 302, target, "STALE")
	}
	status, h := e.visit("/never-asked")
	if status != http.StatusServiceUnavailable || h.Get("Cache-Control") != "no-store" {
		t.Errorf("an unknown link in an outage = %d, %q, want 503, no-store", status, h.Get("Cache-Control"))
	}
	e.node.again()
	e.awaitNode()
	e.want("/never-asked", 404, "", "MISS")
}

// purges is a CDN that records which tags were purged, when, and in how many requests.
type purges struct {
	url string

	mu       sync.Mutex
	tags     []string
	firsts   map[string]time.Time // the first purge of each tag
	requests int
}

func newPurges(t *testing.T) *purges {
	t.Helper()
	p := &purges{firsts: map[string]time.Time{}}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.requests++
		for tag := range strings.FieldsSeq(r.Header.Get("Xkey-Purge")) {
			p.tags = append(p.tags, tag)
			if p.firsts[tag].IsZero() {
				p.firsts[tag] = time.Now()
			}
		}
	}))
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

func (p *purges) get() (tags []string, requests int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.tags), p.requests
}

// first returns when a tag was first purged; the zero time means never.
func (p *purges) first(tag string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.firsts[tag]
}

// TestCanariesAreNotPurged checks that a node purges the CDN after a user's edit, and not
// after the canary's edits.
func TestCanariesAreNotPurged(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	cdn := newPurges(t)
	f := newFleet(t, 1, testenv.ClusterOptions{})
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	node := f.serve("TERSE_REDIS_URL="+shared.URL(), "TERSE_CDN=varnish", "TERSE_VARNISH_SECRET="+purgeSecret, "TERSE_VARNISH_URLS="+cdn.url)
	f.awaitChannels()
	a := newAuditor(f, f.newKey(0))
	code := a.seed(1, a.authorization()...)[0][0]
	testenv.Await(t, "an edit of the canary", func() bool { return node.metric("terse_cache_staleness_seconds_count") > 0 })
	a.edit(node, code)
	testenv.Await(t, "both edits to be handled twice", func() bool {
		tags, _ := cdn.get()
		return len(tags) >= 2 && node.metric("terse_outbox_edits_total", `audience="cdn"`, `result="ok"`) >= 4
	})
	if got, _ := cdn.get(); !slices.Equal(got, []string{"link-" + code, "link-" + code}) {
		t.Errorf("purged %q, want the edited link twice", got)
	}
}

// TestNodesShareThePlan lets three nodes purge until each has used up its share of
// TERSE_CDN_RATE. Together they send exactly the rate.
func TestNodesShareThePlan(t *testing.T) {
	t.Parallel()
	const nodes, each = 3, 2
	cdn := newPurges(t)
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	f := newFleet(t, 1, testenv.ClusterOptions{})
	for range nodes {
		f.serve("TERSE_REDIS_URL="+shared.URL(), "TERSE_CDN=varnish", "TERSE_VARNISH_SECRET="+purgeSecret, "TERSE_VARNISH_URLS="+cdn.url, fmt.Sprintf("TERSE_CDN_RATE=%d/24h", nodes*each))
	}
	testenv.Await(t, "all nodes to count 3 nodes", func() bool {
		return !slices.ContainsFunc(f.nodes, func(p *program) bool { return p.metric("terse_redis_nodes") != nodes })
	})
	a := newAuditor(f, f.newKey(0))
	code := a.seed(1, a.authorization()...)[0][0]
	testenv.Await(t, "all nodes to use up their share", func() bool {
		for _, node := range f.nodes {
			a.edit(node, code)
		}
		return !slices.ContainsFunc(f.nodes, func(p *program) bool {
			return p.metric("terse_cdn_purges_total", `result="limited"`) == 0
		})
	})
	if _, got := cdn.get(); got != nodes*each {
		t.Errorf("%d purges were sent, want %d", got, nodes*each)
	}
}
