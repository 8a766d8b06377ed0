//go:build unix

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// create creates a link anonymously and returns the status.
func (p *program) create(target string) int {
	p.t.Helper()
	response, err := http.Post(p.url+"/api/v1/links", "application/json", strings.NewReader(`{"url":"`+target+`"}`))
	must(p.t, err)
	must(p.t, response.Body.Close())
	return response.StatusCode
}

func (p *program) awaitCreate(target string, want int) {
	p.t.Helper()
	testenv.Await(p.t, fmt.Sprintf("create of %s to return %d", target, want), func() bool { return p.create(target) == want })
}

// TestBlocklistOverShards checks that all nodes block the hosts of every shard, also while
// the shard is down. Hosts of other shards can still be blocked then.
func TestBlocklistOverShards(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, testenv.ClusterOptions{})
	first, second := f.serve(), f.serve()
	byShard := [2][]string{}
	for i := 0; len(byShard[0]) < 2 || len(byShard[1]) < 2; i++ {
		host := "host" + strings.Repeat("x", i) + ".example"
		byShard[f.shardOf(host)] = append(byShard[f.shardOf(host)], host)
	}
	f.run("block", "add", byShard[0][0], byShard[1][0])
	for _, node := range []*program{first, second} {
		for _, hosts := range byShard {
			node.awaitCreate("https://www."+hosts[0]+"/", http.StatusUnprocessableEntity)
		}
	}
	f.killShard(0)
	block := command(t, f.environ, "block", "add", byShard[1][1])
	if out, err := block.CombinedOutput(); err != nil {
		t.Fatalf("block of a host on the shard that is up = %v: %s", err, out)
	}
	for _, node := range []*program{first, second} {
		node.awaitCreate("https://www."+byShard[1][1]+"/", http.StatusUnprocessableEntity)
		if got := node.create("https://www." + byShard[0][0] + "/"); got != http.StatusUnprocessableEntity {
			t.Errorf("create of a host on the list of a dead shard = %d, want 422 still", got)
		}
	}
	if out, err := command(t, f.environ, "block", "add", byShard[0][1]).CombinedOutput(); err == nil {
		t.Errorf("block of a host on a dead shard = nil, %s, want an error", out)
	}
}

// riskService stands in for Google Web Risk, which tests cannot reach. It reports targets
// that contain /bad. While down is true it answers 503.
func riskService(t *testing.T, down *atomic.Bool) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch query := r.URL.Query(); {
		case down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case query.Get("key") != "AIza-test" || r.URL.Path != "/v1/uris:search":
			w.WriteHeader(http.StatusForbidden)
		case strings.Contains(query.Get("uri"), "/bad"):
			fmt.Fprint(w, `{"threat":{"threatTypes":["MALWARE"],"expireTime":"2026-07-17T15:01:23.045123456Z"}}`)
		default:
			fmt.Fprint(w, "{}")
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestLinksAreScanned checks that a block disables existing links on all shards. Another
// node checks the links that a killed node has not checked.
func TestLinksAreScanned(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	f := newFleet(t, 2, testenv.ClusterOptions{})
	f.environ = append(f.environ, "TERSE_WEBRISK_URL="+riskService(t, &down), "TERSE_WEBRISK_KEY=AIza-test")
	first := f.serve()
	a := newAuditor(f, "")
	codes := map[string]string{}
	for shard := range 2 {
		codes[f.aliasOn(shard, "blocked")] = "https://www.evil.example/"
		codes[f.aliasOn(shard, "warned")] = "https://example.com/bad"
		codes[f.aliasOn(shard, "fine")] = "https://example.com/fine"
	}
	for code, target := range codes {
		got, err := a.send(http.MethodPost, first.url+"/api/v1/links", map[string]string{"url": target, "alias": code})
		if err != nil || got.status != http.StatusCreated {
			t.Fatalf("create of %s = %+v, %v, want 201 while the service is down", target, got, err)
		}
	}
	first.kill()
	second, third := f.serve(), f.serve()
	down.Store(false)
	f.run("block", "add", "evil.example")
	for code, target := range codes {
		want := http.StatusUnavailableForLegalReasons
		if strings.HasSuffix(target, "/fine") {
			want = http.StatusFound
		}
		for _, node := range []*program{second, third} {
			testenv.Await(t, fmt.Sprintf("visit of a link to %s to return %d", target, want), func() bool {
				got, err := a.send(http.MethodGet, node.url+"/"+code, nil)
				return err == nil && got.status == want
			})
		}
	}
	admin := strings.TrimSpace(f.run("key", "create", "--name", "admin", "--scope", "admin"))
	for code, target := range codes {
		author := map[bool]string{true: "system:blocklist", false: "system:reputation"}[strings.Contains(target, "evil")]
		if strings.HasSuffix(target, "/fine") {
			continue
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, second.url+"/api/v1/links/"+code+"/history", nil)
		must(t, err)
		request.Header.Set("Authorization", "Bearer "+admin)
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		text, err := io.ReadAll(response.Body)
		must(t, err)
		must(t, response.Body.Close())
		if !strings.Contains(string(text), `"action":"disabled","actor":"`+author+`"`) {
			t.Errorf("history of %s = %s, want that %s disabled it", target, text, author)
		}
	}
	for _, node := range f.nodes {
		if strings.Contains(node.Log(), "AIza") {
			t.Errorf("the log contains the API key: %s", node.Log())
		}
	}
}

// TestTakedownReachesOtherNodes disables and enables links through one node, and checks
// that announcements make the other node apply it.
func TestTakedownReachesOtherNodes(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f, a, _ := newCached(t, 1, nil)
	admin := []string{"Authorization", "Bearer " + strings.TrimSpace(f.run("key", "create", "--name", "admin", "--scope", "admin"))}
	var took []time.Duration
	for range 40 {
		created, err := a.persist(http.MethodPost, f.nodes[0].url+"/api/v1/links", map[string]string{"url": newTarget()})
		must(t, err)
		short := "/" + created.Code
		for _, step := range []struct {
			call, body string
			before     int
			want       int
		}{
			{"/disable", "phishing", http.StatusFound, http.StatusUnavailableForLegalReasons},
			{"/enable", "cleaned up", http.StatusUnavailableForLegalReasons, http.StatusFound},
		} {
			for _, node := range f.nodes { // fills both caches
				if got, err := a.persist(http.MethodGet, node.url+short, nil); err != nil || got.status != step.before {
					t.Fatalf("visit before %s = %+v, %v, want %d", step.call, got, err, step.before)
				}
			}
			got, err := a.persist(http.MethodPost, f.nodes[0].url+"/api/v1/links/"+created.Code+step.call, map[string]string{"reason": step.body}, admin...)
			if err != nil || got.status != http.StatusOK {
				t.Fatalf("%s = %+v, %v, want 200", step.call, got, err)
			}
			acknowledged := time.Now()
			testenv.Await(t, "the other node to apply "+step.call, func() bool {
				asked := time.Now()
				got, err := a.send(http.MethodGet, f.nodes[1].url+short, nil)
				must(t, err)
				if got.status == step.want {
					took = append(took, max(0, asked.Sub(acknowledged)))
				}
				return got.status == step.want
			})
		}
	}
	slices.Sort(took)
	t.Logf("the other node applied %d changes after %v in the median, %v at most",
		len(took), percentile(took, 50), took[len(took)-1])
	if got := percentile(took, 50); got > heardWithin {
		t.Errorf("the changes took %v in the median, want less than the time that a node keeps a link without announcements", got)
	}
}
