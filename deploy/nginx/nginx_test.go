//go:build unix

// Package nginx_test runs the shipped configuration in a real nginx, with two nodes that
// fail in many ways. deploy/stack tests it with Terse.
package nginx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/terse/terse/deploy"
	"github.com/terse/terse/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Reactions of a node to a request.
const (
	answers = iota
	cuts    // reads the request and closes the connection
	hangs   // reads the request and never answers
	sheds   // answers 503
)

// nodes take the place of Terse's nodes. The first node that gets a request reacts with
// first; the other node answers.
type nodes struct {
	servers []*httptest.Server
	ended   chan struct{}

	mu          sync.Mutex
	first       int // reaction to the next request; the one after it is answered
	seen        []*http.Request
	bodies      []string
	connections int
}

func newNodes(t *testing.T) *nodes {
	t.Helper()
	n := &nodes{ended: make(chan struct{})}
	for range 2 {
		s := httptest.NewUnstartedServer(n)
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.connections++
			}
		}
		s.Start()
		n.servers = append(n.servers, s)
		t.Cleanup(s.Close)
	}
	t.Cleanup(func() { close(n.ended) }) // before the servers wait for their handlers
	return n
}

func (n *nodes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	n.mu.Lock()
	does := n.first
	n.first = answers
	if r.URL.Path != "/" { // the start of nginx polls this path
		n.seen = append(n.seen, r.Clone(context.WithoutCancel(r.Context())))
		n.bodies = append(n.bodies, string(body))
	}
	n.mu.Unlock()
	switch does {
	case cuts:
		panic(http.ErrAbortHandler)
	case hangs:
		<-n.ended
	case sheds:
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		w.Header().Set("Location", "https://example.com/")
		w.WriteHeader(http.StatusFound)
	}
}

// take returns the requests since its last call, and sets the reaction to the next one.
func (n *nodes) take(first int) (seen []*http.Request, bodies []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen, bodies = n.seen, n.bodies
	n.seen, n.bodies, n.first = nil, nil, first
	return seen, bodies
}

// proxy is an nginx in front of nodes.
type proxy struct {
	t      *testing.T
	nodes  *nodes
	nginx  *testenv.Nginx
	client *http.Client
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	n := newNodes(t)
	const shipped = "    server 127.0.0.1:8080 max_fails=2 fail_timeout=2s;"
	var upstreams strings.Builder
	for _, s := range n.servers {
		upstreams.WriteString(strings.Replace(shipped, "127.0.0.1:8080", s.Listener.Addr().String(), 1) + "\n")
	}
	config, err := deploy.Edited("nginx/terse.conf", map[string]string{shipped: upstreams.String(), "listen 80;": "listen LISTEN;"})
	if err != nil {
		t.Fatal(err)
	}
	nginx, err := testenv.StartNginx(t.Context(), testenv.NginxOptions{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, nodes: n, nginx: nginx, client: &http.Client{
		Timeout: 30 * time.Second, Transport: &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(func() {
		p.client.CloseIdleConnections()
		if err := nginx.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// send sends a request and returns the status and headers of the response.
func (p *proxy) send(method, path, body string, header ...string) (int, http.Header) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.nginx.URL()+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		p.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header
}

// TestHeaders checks the headers that nginx adds for the nodes.
func TestHeaders(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	p.send("GET", "/a%2Fb//c?d=%20&e", "", "X-Forwarded-For", "203.0.113.9", "traceparent", "00-1", "Host", "sho.rt")
	seen, _ := p.nodes.take(answers)
	if len(seen) != 1 || seen[0].RequestURI != "/a%2Fb//c?d=%20&e" {
		t.Fatalf("%d requests, the first with the URI %q, want 1 with an unchanged URI", len(seen), seen[0].RequestURI)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "203.0.113.9, 127.0.0.1", "X-Forwarded-Proto": "http", "Traceparent": "", "Connection": "",
	} {
		if got := seen[0].Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	made := regexp.MustCompile(`^[0-9a-f]{32}$`)
	ids := map[string]bool{}
	for _, sent := range []string{"", "short", "0123-abcd.EFGH_xyz", strings.Repeat("a", 32), "<script>alert</script>"} {
		p.send("GET", "/a", "", "X-Request-Id", sent)
		seen, _ := p.nodes.take(answers)
		id := seen[0].Header.Get("X-Request-Id")
		if !made.MatchString(id) || id == sent || ids[id] {
			t.Errorf("request id for %q = %q, want a new one made by nginx", sent, id)
		}
		ids[id] = true
	}
}

// TestKeepAlive checks that nginx reuses connections to nodes.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	for range 100 {
		p.send("GET", "/a", "")
	}
	p.nodes.mu.Lock()
	defer p.nodes.mu.Unlock()
	if n := p.nodes.connections; n > 10 {
		t.Errorf("%d connections for 100 requests, want at most 10", n)
	}
}

// TestRetries checks which requests nginx retries on the other node after a failure. It
// must not retry a request that would then take effect twice.
func TestRetries(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	const key = "Idempotency-Key"
	for _, tt := range []struct {
		method, path string
		header       []string
		first        int
		status, sent int
	}{
		{"GET", "/a", nil, cuts, 302, 2},
		{"HEAD", "/a", nil, cuts, 302, 2},
		{"GET", "/a", nil, hangs, 302, 2},
		{"GET", "/api/v1/links", nil, cuts, 302, 2},
		{"DELETE", "/api/v1/links/a", nil, cuts, 302, 2},
		{"PATCH", "/api/v1/links/a", nil, cuts, 502, 1},
		{"PATCH", "/api/v1/links/a", []string{"If-Match", `"1"`}, cuts, 302, 2},
		{"PATCH", "/api/v1/links/a", []string{"If-Match", "*"}, cuts, 502, 1},
		{"PATCH", "/api/v1/links/a", []string{key, "k"}, cuts, 502, 1},
		{"POST", "/api/v1/links", nil, cuts, 502, 1},
		{"POST", "/api/v1/links", []string{"If-Match", `"1"`}, cuts, 502, 1},
		{"POST", "/api/v1/links/batch", []string{key, "k"}, cuts, 302, 2},
		{"POST", "/a", nil, cuts, 502, 1}, // a password
		{"POST", "/a", []string{key, "k"}, cuts, 502, 1},
		{"POST", "/api/v1/links", []string{key, "k"}, cuts, 302, 2},
		{"GET", "/a", nil, sheds, 503, 1},
		{"POST", "/api/v1/links", []string{key, "k"}, sheds, 503, 1},
	} {
		// After two failures nginx does not use a node for two seconds.
		p.settle()
		p.nodes.take(tt.first)
		status, h := p.send(tt.method, tt.path, "body", tt.header...)
		seen, bodies := p.nodes.take(answers)
		if status != tt.status || len(seen) != tt.sent {
			t.Errorf("%s %s %v, reaction %d: status %d after %d requests, want %d after %d",
				tt.method, tt.path, tt.header, tt.first, status, len(seen), tt.status, tt.sent)
		}
		for i, r := range seen {
			if r.Method != tt.method || r.URL.Path != tt.path || bodies[i] != "body" {
				t.Errorf("%s %s arrived as %s %s with the body %q", tt.method, tt.path, r.Method, r.URL.Path, bodies[i])
			}
		}
		if status == 503 && h.Get("Retry-After") != "7" {
			t.Errorf("%s %s: header of the 503 = %v, want the node's", tt.method, tt.path, h)
		}
	}
}

// settle waits until nginx uses both nodes.
func (p *proxy) settle() {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		p.nodes.take(answers)
		for range 6 {
			p.send("GET", "/a", "")
		}
		seen, _ := p.nodes.take(answers)
		hosts := map[any]int{}
		for _, r := range seen {
			hosts[fmt.Sprint(r.Context().Value(http.LocalAddrContextKey))]++
		}
		if len(hosts) == 2 {
			return
		}
	}
	p.t.Fatal("nginx did not use both nodes within two minutes")
}

// TestANodeIsGone checks that no request fails when a node refuses connections, not even
// a create.
func TestANodeIsGone(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	p.nodes.servers[0].Close()
	for i := range 100 {
		method, path := "GET", "/a"
		if i%2 == 1 {
			method, path = "POST", "/api/v1/links"
		}
		if status, _ := p.send(method, path, "body"); status != 302 {
			t.Fatalf("%s %d = %d, want 302", method, i, status)
		}
	}
}
