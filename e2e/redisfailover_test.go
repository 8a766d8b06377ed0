//go:build unix

package e2e_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/remote"
)

// TestEditorDiesWithRedis kills a node together with the Redis master that has
// acknowledged its edits, and puts an older replica in the master's place. The other node
// shows all edits long before the old links expire in Redis.
func TestEditorDiesWithRedis(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const links = 150
	master := testenv.NewRedis(t, testenv.RedisOptions{})
	host, port, err := net.SplitHostPort(master.Addr())
	must(t, err)
	replica := testenv.NewRedis(t, testenv.RedisOptions{Settings: map[string]string{
		"replicaof": host + " " + port, "repl-diskless-sync-delay": "0",
	}})
	line := newLine(t, master.Addr())
	f := newFleet(t, 1, testenv.ClusterOptions{Replicas: 1})
	f.environ = append(f.environ, "TERSE_REDIS_URL=redis://"+line.Listen)
	editor := f.serve()
	f.awaitChannels()
	a := newAuditor(f, f.newKey(0))
	codes := a.seed(links, a.authorization()...)[0]
	other := f.serve() // has none of the links in memory
	f.awaitChannels()

	fillRedis(t, master, codes)
	old := connect(t, replica)
	testenv.Await(t, "the replica to have the links", func() bool {
		return connect(t, master).Do(t.Context(), "WAIT", 1, 1000).Val() == int64(1) &&
			old.Exists(t.Context(), remote.Key(codes[0]), remote.Key(codes[links-1])).Val() == 2
	})
	must(t, old.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
	want := make([]string, links)
	var group errgroup.Group
	group.SetLimit(4)
	for i, code := range codes {
		want[i] = newTarget()
		group.Go(func() error {
			got, err := a.send(http.MethodPatch, editor.url+"/api/v1/links/"+code, map[string]string{"url": want[i]}, a.authorization()...)
			if err != nil || got.status != http.StatusOK {
				return fmt.Errorf("edit = %+v, %w", got, err)
			}
			return nil
		})
	}
	must(t, group.Wait())
	testenv.Await(t, "the outbox to be empty", func() bool {
		return query(f, 0, pgx.RowTo[int], "SELECT count(*)::int FROM outbox WHERE audience = $1", store.Caches)[0] == 0
	})

	line.Stop()
	must(t, editor.Kill())
	must(t, master.Kill())
	line.Upstream = replica.Addr()
	testenv.Await(t, "the other node to lose the channel", func() bool { return other.metric("terse_redis_channel_up") == 0 })
	must(t, line.Start())
	began := time.Now()
	outdated := 0
	for i, code := range codes {
		testenv.AwaitWithin(t, remote.DefaultFreshTTL/2, "an edit to be seen", func() bool {
			got, err := a.send(http.MethodGet, other.url+"/"+code, nil)
			if err == nil && got.location == want[i] {
				return true
			}
			outdated++
			return false
		})
	}
	t.Logf("the other node shows %d edits %v after Redis is back, after %d outdated responses", links, time.Since(began), outdated)
}

// TestAliasAskedForBefore asks one node for aliases that another node then creates. The
// first node redirects as soon as the create is acknowledged.
func TestAliasAskedForBefore(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const aliases, enough = 100, 30
	f, a, _ := newCached(t, 1, nil)
	creator, asked := f.nodes[0], f.nodes[1]
	failed := func() float64 { // calls of Redis, as on a machine that is too busy
		return creator.metric("terse_redis_requests_total", `op="put"`, `result="error"`) +
			asked.metric("terse_cache_requests_total", `tier="redis"`, `result="error"`)
	}
	ask := func(alias string) int {
		got, err := a.send(http.MethodGet, asked.url+"/"+alias, nil)
		must(t, err)
		return got.status
	}
	tried := 0
	for n := 0; n < aliases && tried < enough; n++ {
		alias, before := f.aliasOn(0, store.NewKeyID()), failed()
		for range 2 {
			if got := ask(alias); got != http.StatusNotFound {
				t.Fatalf("visit of an alias before its create = %d, want 404", got)
			}
		}
		if a.create(creator, alias, a.authorization()...) == "" {
			continue // the machine was too slow
		}
		got := ask(alias)
		if failed() > before {
			continue
		}
		tried++
		if got != http.StatusFound {
			t.Errorf("visit of an alias after its create on another node = %d, want 302", got)
		}
	}
	if tried == 0 {
		t.Errorf("Redis answered in time for none of %d aliases", aliases)
	}
}

// fillRedis stores the first version of links in Redis, as a read does.
func fillRedis(t *testing.T, server *testenv.Redis, codes []string) {
	t.Helper()
	c, err := remote.New(remote.Options{
		URL: server.URL(), Timeout: time.Minute, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	defer func() { must(t, c.Close()) }()
	for _, code := range codes {
		_, found, lease, err := c.Lookup(t.Context(), code)
		must(t, err)
		if !found {
			must(t, c.Fill(t.Context(), store.Link{Code: code, URL: "https://example.com/old", Status: http.StatusFound, Version: 1}, lease))
		}
	}
}
