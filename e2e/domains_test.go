//go:build unix

package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// TestDomainOnAllNodes adds a domain on one of two nodes over two shards and Redis. All nodes serve it, and
// stop when it is turned off.
func TestDomainOnAllNodes(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	dns := testenv.NewDNS(t)
	dns.Set("go.example.com", testenv.DNSName{Addrs: []string{"127.0.0.1"}})
	f := newFleet(t, 2, testenv.ClusterOptions{})
	f.environ = append(f.environ, "TERSE_REDIS_URL="+testenv.NewRedis(t, testenv.RedisOptions{}).URL())
	first := f.serve("TERSE_DNS_SERVER="+dns.Addr(), "TERSE_DOMAINS_NETWORKS=127.0.0.0/8")
	f.serve("TERSE_DNS_SERVER="+dns.Addr(), "TERSE_DOMAINS_NETWORKS=127.0.0.0/8")
	environ := append(f.environ, "TERSE_SERVER="+localhost(t, first), "TERSE_API_KEY="+strings.TrimSpace(f.run("key", "create", "--name", "domains", "--scope", "admin")))
	visit := func(node *program, host string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, node.url+"/unknown", http.NoBody)
		must(t, err)
		r.Host = host
		response, err := client(t).Do(r)
		must(t, err)
		must(t, response.Body.Close())
		return response.StatusCode
	}
	await := func(what, host string, status int) {
		t.Helper()
		testenv.Await(t, what, func() bool {
			for _, node := range f.nodes {
				if visit(node, host) != status {
					return false
				}
			}
			return true
		})
	}
	if got := terse(t, environ, "domain", "add", "go.example.com"); got.status != 0 {
		t.Fatalf("domain add = %+v", got)
	}
	await("all nodes to serve the domain", "go.example.com", http.StatusNotFound)
	if got := terse(t, environ, "domain", "edit", "go.example.com", "--off"); got.status != 0 {
		t.Fatalf("domain edit --off = %+v", got)
	}
	await("all nodes to refuse the domain", "go.example.com", http.StatusMisdirectedRequest)
	if got := terse(t, environ, "domain", "edit", "go.example.com", "--no-off"); got.status != 0 {
		t.Fatalf("domain edit --no-off = %+v", got)
	}
	await("all nodes to serve the domain again", "go.example.com", http.StatusNotFound)
}

// localhost returns the address of a node as in its base URL.
func localhost(t *testing.T, node *program) string {
	t.Helper()
	u, err := url.Parse(node.url)
	must(t, err)
	return "http://localhost:" + u.Port()
}
