//go:build unix

package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
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

// TestDomainsOfADeadShard starts a node while a shard with domains is down. The node serves the
// domains that it can read. It answers 503 for every other host until it has read the shard: never 404
// or 421. A node that has read the domains before serves all of them.
func TestDomainsOfADeadShard(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 2, testenv.ClusterOptions{})
	type domain struct{ id, host string }
	on := func(name string, hostShard, idShard int) domain { // its link is on the first shard
		d := domain{id: name, host: name + ".example.com"}
		for i := 0; f.shardOf(d.host) != hostShard; i++ {
			d.host = fmt.Sprintf("%s-%d.example.com", name, i)
		}
		for i := 0; f.shardOf(d.id) != idShard || f.shardOf(store.LinkKey(d.id, "spring")) != 0; i++ {
			d.id = fmt.Sprintf("%s-%d", name, i)
		}
		f.addDomain(d.id, d.host)
		return d
	}
	alive, dead, hostAlive, hostDead := on("alive", 0, 0), on("dead", 1, 1), on("host-alive", 0, 1), on("host-dead", 1, 0)
	before := f.serve("TERSE_BASE_URL=http://localhost")
	b := byHost{t, f.newKey(0)}
	for _, d := range []domain{alive, dead, hostAlive, hostDead} {
		body := `{"url":"https://example.com/` + d.host + `","alias":"spring","domain":"` + d.host + `"}`
		b.want(before, http.MethodPost, "/api/v1/links", body, http.StatusCreated)
	}
	f.killShard(1)
	after := f.serve("TERSE_BASE_URL=http://localhost")
	for _, d := range []domain{alive, dead, hostAlive, hostDead} {
		if got := b.visit(before, d.host); got != "https://example.com/"+d.host {
			t.Errorf("a node that has read all domains answers %s for %s", got, d.host)
		}
		want := "https://example.com/" + d.host
		if d != alive {
			want = http.StatusText(http.StatusServiceUnavailable)
		}
		if got := b.visit(after, d.host); got != want {
			t.Errorf("a node that was started without a shard answers %s for %s, want %s", got, d.host, want)
		}
	}
	unknown := "unknown.example.com"
	if got, want := b.visit(after, unknown), http.StatusText(http.StatusServiceUnavailable); got != want {
		t.Errorf("a node that was started without a shard answers %s for a host without a domain, want %s", got, want)
	}
	b.want(after, http.MethodPost, "/api/v1/links", `{"url":"https://example.com/","domain":"`+dead.host+`"}`, http.StatusServiceUnavailable)
	b.want(after, http.MethodGet, "/api/v1/links/spring?domain="+dead.host, "", http.StatusServiceUnavailable)

	must(t, f.shards[1].Primary().Start(t.Context()))
	testenv.Await(t, "the node to read the shard", func() bool { return b.visit(after, unknown) == http.StatusText(http.StatusMisdirectedRequest) })
	for _, d := range []domain{alive, dead, hostAlive, hostDead} {
		if got := b.visit(after, d.host); got != "https://example.com/"+d.host {
			t.Errorf("after the shard is back, the node answers %s for %s", got, d.host)
		}
	}
}
