//go:build unix

package e2e_test

import (
	"net/http"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// TestCacheMetrics checks the metrics of the caches on one node. Its CDN is unreachable
// from the start; then Redis fails, and then the database.
func TestCacheMetrics(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	f := newFleet(t, 1, testenv.ClusterOptions{})
	node := f.serve("TERSE_REDIS_URL="+shared.URL(), "TERSE_CDN=varnish", "TERSE_VARNISH_SECRET="+purgeSecret, "TERSE_VARNISH_URLS=http://127.0.0.1:1")
	f.awaitChannels()
	a := newAuditor(f, f.newKey(0))
	code := a.seed(1, a.authorization()...)[0][0]
	grows := func(what, name string, labels ...string) {
		t.Helper()
		testenv.Await(t, what, func() bool { return node.metric(name, labels...) > 0 })
	}

	a.visit("hot", node, code)
	for range 2 {
		if got, err := a.send(http.MethodGet, node.url+"/unknown", nil); err != nil || got.status != http.StatusNotFound {
			t.Errorf("visit of an unknown link = %+v, %v, want 404", got, err)
		}
	}
	a.edit(node, code)
	for _, series := range [][]string{{"l1", "hit"}, {"l1", "miss"}, {"l1", "negative"}, {"redis", "miss"}, {"store", "miss"}} {
		grows("requests by tier and result", "terse_cache_requests_total", `tier="`+series[0]+`"`, `result="`+series[1]+`"`)
	}
	grows("the time of loads", "terse_cache_load_duration_seconds_count")
	for _, op := range []string{"get", "lease", "write"} {
		grows("the time of round trips", "terse_redis_flight_duration_seconds_count", `op="`+op+`"`)
	}
	grows("the time until caches are invalidated", "terse_outbox_latency_seconds_count", `audience="caches"`)
	grows("failed purges", "terse_cdn_purges_total", `result="error"`)
	grows("the backlog of the CDN", "terse_outbox_backlog_edits", `audience="cdn"`)
	grows("the age of the oldest edit in the backlog", "terse_outbox_oldest_age_seconds", `audience="cdn"`)
	grows("staleness", "terse_cache_staleness_seconds_count")

	must(t, shared.Kill())
	testenv.Await(t, "the breaker to open", func() bool {
		_, _ = a.send(http.MethodGet, node.url+"/unknown", nil)
		return node.metric("terse_redis_breaker_open") == 1 && node.metric("terse_redis_channel_up") == 0
	})
	f.killShard(0)
	testenv.Await(t, "stale answers", func() bool {
		a.visit("hot", node, code)
		return node.metric("terse_cache_requests_total", `tier="l1"`, `result="stale"`) > 0
	})
	for _, problem := range a.Promises() {
		t.Error(problem)
	}
}
