//go:build unix

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/internal/testenv"
)

// limitedCreate tries to create a link. wait is the Retry-After of a 429, else 0. sent and
// got are the times of the request and the response.
func limitedCreate(c *http.Client, base string) (status int, wait time.Duration, sent, got time.Time, err error) {
	sent = time.Now()
	response, err := c.Post(base+"/api/v1/links", "application/json", strings.NewReader(`{"url":"https://example.com/"}`))
	if err != nil {
		return 0, 0, sent, sent, err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	if response.StatusCode == http.StatusTooManyRequests {
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil {
			return 0, 0, sent, sent, err
		}
		wait = time.Duration(seconds) * time.Second
	}
	return response.StatusCode, wait, sent, time.Now(), nil
}

// TestNodesShareLimits checks that all nodes together follow one limit. Three nodes under
// full load allow 120 creates a minute, not 360.
func TestNodesShareLimits(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const burst, perSecond, enough = 20, 2, 32
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	f := newFleet(t, 1, testenv.ClusterOptions{})
	f.environ = append(f.environ, "TERSE_REDIS_URL="+shared.URL(), "TERSE_LIMIT_CREATE_ANONYMOUS=20/10s")
	for range 3 {
		f.serve()
	}
	f.awaitChannels()
	var created, limited atomic.Int64
	var group errgroup.Group
	began := time.Now()
	for _, node := range f.nodes {
		group.Go(func() error {
			c := client(t)
			for created.Load() < enough {
				status, _, _, _, err := limitedCreate(c, node.url)
				switch {
				case err != nil:
					return err
				case status == http.StatusCreated:
					created.Add(1)
				case status == http.StatusTooManyRequests:
					limited.Add(1)
				default:
					t.Errorf("create = %d, want 201 or 429", status)
				}
				time.Sleep(20 * time.Millisecond) // 50 requests a second, far above the limit
			}
			return nil
		})
	}
	must(t, group.Wait())
	took := time.Since(began)
	local := int64(0) // requests that a node counted by itself because Redis was too slow
	for _, node := range f.nodes {
		local += int64(countedHere(node))
	}
	most := burst + int64(perSecond*took.Seconds()) + 1 + local
	t.Logf("three nodes created %d and limited %d in %v; %d requests were not counted in Redis", created.Load(), limited.Load(), took, local)
	if n := created.Load(); n > most || limited.Load() == 0 {
		t.Errorf("three nodes created %d and limited %d in %v, want %d created at most and the rest limited", n, limited.Load(), took, most)
	}
}

// TestLimitsWithoutRedis checks that each of three nodes allows a third of a limit while
// Redis is unreachable. Redirects have no limit.
func TestLimitsWithoutRedis(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const nodes, each = 3, 4
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	f := newFleet(t, 1, testenv.ClusterOptions{})
	limit := fmt.Sprintf("=%d/1h", nodes*each)
	f.environ = append(f.environ, "TERSE_REDIS_URL="+shared.URL())
	for range nodes {
		f.serve("TERSE_LIMIT_CREATE_ANONYMOUS"+limit, "TERSE_LIMIT_PASSWORD"+limit, "TERSE_LIMIT_UNKNOWN"+limit)
	}
	a := newAuditor(f, f.newKey(0))
	send := func(node *program, method, path string, body any, header ...string) int {
		t.Helper()
		got, err := a.send(method, node.url+path, body, header...)
		must(t, err)
		return got.status
	}
	for _, l := range []map[string]string{{"url": newTarget(), "alias": "plain"}, {"url": newTarget(), "alias": "secret", "password": "right"}} {
		if got := send(f.nodes[0], http.MethodPost, "/api/v1/links", l, a.authorization()...); got != http.StatusCreated {
			t.Fatalf("create = %d, want 201", got)
		}
	}
	testenv.Await(t, "all nodes to count 3 nodes", func() bool {
		return !slices.ContainsFunc(f.nodes, func(p *program) bool { return p.metric("terse_redis_nodes") != nodes })
	})
	must(t, shared.Kill())
	c := client(t)
	for i, node := range f.nodes {
		for what, tt := range map[string]struct {
			call func() int
			done int
		}{
			"create": {func() int {
				return send(node, http.MethodPost, "/api/v1/links", map[string]string{"url": newTarget()})
			}, http.StatusCreated},
			"guess": {func() int {
				response, err := c.PostForm(node.url+"/secret", url.Values{"password": {"wrong"}})
				must(t, err)
				must(t, response.Body.Close())
				return response.StatusCode
			}, http.StatusForbidden},
			"unknown code": {func() int { return send(node, http.MethodGet, "/nothing", nil) }, http.StatusNotFound},
		} {
			for n := range 2 * each {
				want := tt.done
				if n >= each {
					want = http.StatusTooManyRequests
				}
				if got := tt.call(); got != want {
					t.Errorf("%s %d at node %d = %d, want %d", what, n+1, i+1, got, want)
				}
			}
		}
		for range 20 * each {
			if got := send(node, http.MethodGet, "/plain", nil); got != http.StatusFound {
				t.Fatalf("redirect = %d, want 302", got)
			}
		}
	}
}

// TestRetryAfterIsTrue checks Retry-After against the real clock: a client that waits that
// long is served, and a client that comes a second earlier is not.
func TestRetryAfterIsTrue(t *testing.T) {
	t.Parallel()
	for name, environ := range map[string][]string{
		"counted here":     nil,
		"counted in Redis": {"TERSE_REDIS_URL=" + testenv.NewRedis(t, testenv.RedisOptions{}).URL()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, append(environ, "TERSE_LIMIT_CREATE_ANONYMOUS=2/8s")...)
			for range 5 { // until Redis has counted every request
				before := countedHere(p)
				problem := retryAfterIsTrue(t, p)
				if environ == nil || countedHere(p) == before {
					if problem != "" {
						t.Error(problem)
					}
					return
				}
			}
			t.Error("Redis was too slow to count in all five tries")
		})
	}
}

// countedHere returns the number of requests that a node with Redis counted by itself. It is
// 0 for a node without Redis.
func countedHere(p *program) float64 {
	_, page := p.ask("/metrics")
	if !strings.Contains(page, "terse_ratelimit_takes_total") {
		return 0
	}
	return p.metric("terse_ratelimit_takes_total", `counted="local"`)
}

// retryAfterIsTrue creates links until a 429, and then until the next 201. It returns how
// the Retry-After was wrong, or "".
func retryAfterIsTrue(t *testing.T, p *program) string {
	t.Helper()
	c := client(t)
	var retryAfter time.Duration
	var refusedAt, refusedBy time.Time
	for n := 1; retryAfter == 0; n++ {
		_, wait, sent, got, err := limitedCreate(c, p.url)
		must(t, err)
		if n > 20 {
			t.Fatalf("create %d was not limited", n)
		}
		retryAfter, refusedAt, refusedBy = wait, sent, got
	}
	if retryAfter > 4*time.Second {
		return fmt.Sprintf("Retry-After = %v, want 4s at most: the limit allows one create every 4s", retryAfter)
	}
	for {
		status, _, sent, got, err := limitedCreate(c, p.url)
		must(t, err)
		if status == http.StatusCreated {
			if early := got.Sub(refusedAt); early <= retryAfter-time.Second {
				return fmt.Sprintf("a create succeeded after %v, with Retry-After %v", early, retryAfter)
			}
			return ""
		}
		if late := sent.Sub(refusedBy); late > retryAfter {
			return fmt.Sprintf("a create was limited after %v, with Retry-After %v", late, retryAfter)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
