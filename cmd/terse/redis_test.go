//go:build unix

package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/remote"
	testservers "github.com/terse/terse/store/storetest/servers"
)

// toldWithin is what a busy machine gets beyond the second in which nodes hear of an
// edit; far less than they keep a link for when they do not.
const toldWithin = 2 * time.Second

// newCached starts a fleet of two nodes that share a Redis.
func newCached(t *testing.T, shards int, settings map[string]string) (*fleet, *auditor, *testservers.Redis) {
	t.Helper()
	shared := testservers.NewRedis(t, testservers.RedisOptions{Settings: settings})
	f := newFleet(t, shards, testservers.ClusterOptions{Replicas: 1})
	f.environ = append(f.environ, "TERSE_REDIS_URL="+shared.URL())
	f.serve()
	f.serve()
	f.awaitChannels()
	a := newAuditor(f, f.newKey(0))
	a.keep(toldWithin)
	return f, a, shared
}

// awaitChannels waits until all nodes hear what others announce.
func (f *fleet) awaitChannels() {
	f.t.Helper()
	await(f.t, backWithin, "all nodes to hear announcements", func() bool {
		return !slices.ContainsFunc(f.nodes, func(p *program) bool { return p.metric("terse_redis_channel_up") != 1 })
	})
}

// awaitTold waits until all nodes have heard of every edit that was done so far: the
// outboxes are rid of them, and what is announced after them, the edit of a link that all
// nodes know, is seen.
func (a *auditor) awaitTold(probe string) {
	t, f := a.f.t, a.f
	t.Helper()
	const caches = 1
	now := time.Now()
	for shard := range f.shards {
		await(t, backWithin, "edits to be told of", func() bool {
			return query(f, shard, pgx.RowTo[int], "SELECT count(*)::int FROM outbox WHERE audience = $1 AND edited_at <= $2", caches, now)[0] == 0
		})
	}
	leadsTo := func(p *program) string {
		got, err := a.send(http.MethodGet, p.url+"/"+probe, nil)
		must(t, err)
		return got.location
	}
	before := make([]string, len(f.nodes))
	for i, node := range f.nodes {
		before[i] = leadsTo(node)
	}
	a.edit(f.nodes[0], probe)
	for i, node := range f.nodes {
		await(t, backWithin, "the edit to be seen", func() bool { return leadsTo(node) != before[i] })
	}
}

// loads returns how often a node has asked the database for a link.
func loads(p *program) float64 { return p.metric("terse_cache_requests_total", `tier="store"`) }

// steady starts what a fleet with a Redis is asked for while that breaks.
func (a *auditor) steady(known, edited []string) *load {
	l := a.newLoad()
	l.creates()
	l.hot(known[:50])
	l.shared(known[50:])
	l.edits(edited)
	return l
}

// shared starts a worker for each node that visits so many links, one after the
// other and then again, that it has forgotten each when it is asked for it anew.
func (l *load) shared(links []string) {
	for _, node := range l.nodes {
		l.every(10*time.Millisecond, func(n int, _ *program) { l.visit("shared", node, links[n%len(links)]) })
	}
}

// wantSteady holds that nothing failed since a moment, and logs how long it took.
func (a *auditor) wantSteady(since time.Time, what string) {
	a.f.t.Helper()
	for _, op := range []string{"create", "edit", "hot", "shared", "edited"} {
		wantNone(a, since, op, 0, 20)
		took := a.took(since, op)
		a.f.t.Logf("%s: %d of %s took %v in the median, %v at the 99th percentile", what, len(took), op, percentile(took, 50), percentile(took, 99))
	}
}

// percentile returns the pth percentile of sorted times.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*p/100))]
}

// TestRedisFaults holds that links are created, edited and found whatever Redis
// does, and that edits are seen by all nodes as soon as it does what it should.
func TestRedisFaults(t *testing.T) {
	t.Parallel()
	f, a, shared := newCached(t, 1, nil)
	known, edited := a.seed(1500), a.seed(100, a.authorization()...)
	probe := a.create(f.nodes[0], "", a.authorization()...)
	began := time.Now()
	l := a.steady(known[0], edited[0])
	awaitDone(a, "edited", 0, 100)
	a.wantSteady(began, "Redis up")

	for _, fault := range []struct {
		name       string
		make, heal func() error
	}{
		{"Redis killed", shared.Kill, func() error { return shared.Start(t.Context()) }},
		{"Redis frozen", shared.Freeze, shared.Thaw},
	} {
		a.keep(keptFor)
		must(t, fault.make())
		began = time.Now()
		awaitDone(a, "edited", 0, 200)
		a.wantSteady(began, fault.name)
		must(t, fault.heal())
		f.awaitChannels()
		a.awaitTold(probe)
		a.keep(toldWithin)
		began = time.Now()
		awaitDone(a, "edited", 0, 200)
		a.wantSteady(began, fault.name+" and back")
	}
	l.stop()
	a.audit()
}

// TestRedisSlow holds the same for a Redis behind a slow line.
func TestRedisSlow(t *testing.T) {
	t.Parallel()
	shared := testservers.NewRedis(t, testservers.RedisOptions{})
	line := newLine(t, shared.Addr())
	f := newFleet(t, 1, testservers.ClusterOptions{Replicas: 1})
	f.environ = append(f.environ, "TERSE_REDIS_URL=redis://"+line.Listen)
	f.serve()
	f.serve()
	f.awaitChannels()
	a := newAuditor(f, f.newKey(0))
	a.keep(toldWithin)
	known, edited := a.seed(800), a.seed(50, a.authorization()...)
	probe := a.create(f.nodes[0], "", a.authorization()...)
	l := a.steady(known[0], edited[0])
	awaitDone(a, "edited", 0, 50)
	a.keep(keptFor)
	_, err := line.Toxics.AddToxicJson(strings.NewReader(`{"name":"slow","type":"latency","attributes":{"latency":200}}`))
	must(t, err)
	began := time.Now()
	awaitDone(a, "edited", 0, 200)
	a.wantSteady(began, "Redis 200 ms away")
	must(t, line.Toxics.RemoveToxic(t.Context(), "slow"))
	f.awaitChannels()
	a.awaitTold(probe)
	a.keep(toldWithin)
	began = time.Now()
	awaitDone(a, "edited", 0, 100)
	a.wantSteady(began, "Redis near again")
	l.stop()
	a.audit()
}

// newLine returns a TCP proxy in front of a server.
func newLine(t *testing.T, upstream string) *toxiproxy.Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	line := toxiproxy.NewProxy(server, "redis", "127.0.0.1:0", upstream)
	must(t, line.Start())
	t.Cleanup(line.Stop)
	return line
}

// TestRedisFull holds that a Redis without room costs nobody an answer, whether it
// drops what it has or refuses what is new.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"noeviction", "allkeys-lru"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			_, a, shared := newCached(t, 1, map[string]string{"maxmemory": "2mb", "maxmemory-policy": policy})
			client := connect(t, shared)
			for i := range 4000 { // until there is no room
				if client.Set(t.Context(), fmt.Sprint("filler", i), strings.Repeat("x", 1000), 0).Err() != nil {
					break
				}
			}
			known, edited := a.seed(400), a.seed(50, a.authorization()...)
			began := time.Now()
			l := a.steady(known[0], edited[0])
			awaitDone(a, "edited", 0, 100)
			awaitDone(a, "create", 0, 20)
			l.stop()
			a.wantSteady(began, policy)
			a.audit()
		})
	}
}

func connect(t *testing.T, shared *testservers.Redis) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: shared.Addr()})
	t.Cleanup(func() { must(t, client.Close()) })
	return client
}

// TestRedisFlushed holds that an empty Redis costs each node one load a link at
// most, however many ask it for the same links, and also when it forgets what it has
// itself.
func TestRedisFlushed(t *testing.T) {
	t.Parallel()
	f, a, shared := newCached(t, 1, nil)
	client := connect(t, shared)
	const readers = 8
	known := a.seed(50)
	l := a.newLoad()
	for _, node := range f.nodes {
		for range readers {
			l.every(time.Millisecond, func(n int, _ *program) { l.visit("hot", node, known[0][n%len(known[0])]) })
		}
	}
	awaitDone(a, "hot", 0, 500)
	var before [2]float64
	for i, node := range f.nodes {
		before[i] = loads(node)
	}
	began := time.Now()
	must(t, client.FlushAll(t.Context()).Err())
	must(t, client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err()) // L1 is not believed after that
	time.Sleep(keptFor)                                                     // until each node has asked for each link again
	l.stop()
	const canaries = 4 // loads of links of the nodes' own
	for i, node := range f.nodes {
		if took := loads(node) - before[i]; took <= canaries || took > float64(len(known[0])+canaries) {
			t.Errorf("node %d loaded %v times, want some of %d links, each at most once", i+1, took, len(known[0]))
		} else {
			t.Logf("node %d loaded %v times for %d links", i+1, took, len(known[0]))
		}
	}
	wantNone(a, began, "hot", 0, 500)
	a.audit()
}

// TestEditsReachOtherNodes holds that an edit or delete through one node is seen
// through the other within a second, and within the TTL of L1 by one that has lost
// the channel.
func TestEditsReachOtherNodes(t *testing.T) {
	t.Parallel()
	shared := testservers.NewRedis(t, testservers.RedisOptions{})
	f := newFleet(t, 1, testservers.ClusterOptions{Replicas: 1})
	first := f.serve("TERSE_REDIS_URL=" + shared.URL())
	line := newLine(t, shared.Addr())
	second := f.serve("TERSE_REDIS_URL=redis://" + line.Listen)
	f.awaitChannels()
	a := newAuditor(f, f.newKey(0))

	took := a.spread(first, second, 1000)
	t.Logf("1000 edits and deletes were seen by the other node after %v in the median, %v at the 99.9th percentile",
		percentile(took, 50), percentile(took, 99.9))
	if got := percentile(took, 99.9); got > seenWithin {
		t.Errorf("the other node saw an edit after %v, want %v at the 99.9th percentile", got, seenWithin)
	}

	line.Stop()
	took = a.spread(first, second, 24)
	t.Logf("with the channel cut, 24 edits and deletes were seen after %v in the median, %v at the most",
		percentile(took, 50), took[len(took)-1])
	if got := took[len(took)-1]; got > keptFor+seenWithin { // whoever asks at the end may be slow
		t.Errorf("a node without the channel saw an edit after %v, want %v", got, keptFor)
	}

	must(t, line.Start())
	f.awaitChannels()
	took = a.spread(first, second, 100)
	if got := took[len(took)-1]; got > seenWithin {
		t.Errorf("a node with a new channel saw an edit after %v, want %v", got, seenWithin)
	}
}

// spread edits n links through one node, and deletes some, and returns how long
// after the acknowledgement another one showed it, shortest first.
func (a *auditor) spread(one, other *program, n int) []time.Duration {
	a.f.t.Helper()
	var mu sync.Mutex
	var all []time.Duration
	var group errgroup.Group
	group.SetLimit(24)
	for i := range n {
		group.Go(func() error {
			took, err := a.spreadOne(one, other, i%4 == 3)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took)
			return err
		})
	}
	must(a.f.t, group.Wait())
	slices.Sort(all)
	return all
}

func (a *auditor) spreadOne(one, other *program, remove bool) (time.Duration, error) {
	path := "/api/v1/links"
	created, err := a.send(http.MethodPost, one.url+path, map[string]string{"url": newTarget()}, a.authorization()...)
	if err != nil || created.status != http.StatusCreated {
		return 0, fmt.Errorf("create = %+v, %w", created, err)
	}
	before, err := a.send(http.MethodGet, other.url+"/"+created.Code, nil)
	if err != nil || before.status != http.StatusFound {
		return 0, fmt.Errorf("visit of a fresh link = %+v, %w", before, err)
	}
	method, body, want := http.MethodPatch, any(map[string]string{"url": newTarget()}), http.StatusOK
	if remove {
		method, body, want = http.MethodDelete, nil, http.StatusNoContent
	}
	edited, err := a.send(method, one.url+path+"/"+created.Code, body, a.authorization()...)
	if err != nil || edited.status != want {
		return 0, fmt.Errorf("%s = %+v, %w", method, edited, err)
	}
	acknowledged := time.Now()
	for {
		asked := time.Now()
		got, err := a.send(http.MethodGet, other.url+"/"+created.Code, nil)
		switch {
		case err != nil:
			return 0, err
		case got.location != before.location && (got.status == http.StatusGone) == remove:
			return max(0, asked.Sub(acknowledged)), nil
		case asked.Sub(acknowledged) > 2*keptFor:
			return 0, fmt.Errorf("%s of %s was not seen in %v", method, created.Code, 2*keptFor)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestColdHotKey holds that however many wait for a link that nobody keeps, each
// node asks its database once.
func TestColdHotKey(t *testing.T) {
	t.Parallel()
	const readers, tries = 500, 10
	f, a, shared := newCached(t, 1, nil)
	links := a.seed(tries)[0]
	must(t, connect(t, shared).FlushAll(t.Context()).Err())
	cold := []*program{f.serve(), f.serve()} // L1 of the others has them
	f.awaitChannels()
	for _, code := range links {
		var before [2]float64
		for i, node := range cold {
			before[i] = loads(node)
		}
		if !a.crowd(cold, readers, code) {
			continue // the machine was too slow to bring them together
		}
		for i, node := range cold {
			if got := loads(node) - before[i]; got < 1 || got > 1+1 { // and a canary's
				t.Errorf("node %d asked its database %v times for the link of %d readers, want once", i+1, got, readers)
			}
		}
		return
	}
	t.Errorf("%d readers never waited at the same time, in %d tries", readers, tries)
}

// crowd lets many readers ask each node for a link while the database stands still,
// for less than a load may take. It reports whether all of them waited for it, and
// long enough.
func (a *auditor) crowd(nodes []*program, readers int, code string) bool {
	t := a.f.t
	t.Helper()
	cluster := a.f.shards[0]
	databases := append([]*testservers.Postgres{cluster.Primary()}, cluster.Replicas()...)
	for _, database := range databases {
		must(t, database.Freeze())
	}
	var group errgroup.Group
	var late atomic.Bool
	for _, node := range nodes {
		for range readers {
			group.Go(func() error {
				got, err := a.send(http.MethodGet, node.url+"/"+code, nil)
				switch {
				case err == nil && got.status == http.StatusServiceUnavailable:
					late.Store(true)
				case err != nil || got.status != http.StatusFound:
					return fmt.Errorf("visit = %+v, %w", got, err)
				}
				return nil
			})
		}
	}
	waited := false
	for began := time.Now(); !waited && time.Since(began) < time.Second; time.Sleep(5 * time.Millisecond) {
		// A request under way is two goroutines of net/http: its own, and one that
		// notices when the client leaves.
		waited = !slices.ContainsFunc(nodes, func(p *program) bool { return p.metric("go_goroutines") < float64(2*readers) })
	}
	for _, database := range databases {
		must(t, database.Thaw())
	}
	must(t, group.Wait())
	return waited && !late.Load()
}

// TestHotKeyExpires holds that a link which everybody asks for costs each node one
// load when all caches let go of it at once.
func TestHotKeyExpires(t *testing.T) {
	t.Parallel()
	const rounds, readers = 10, 8
	f, a, shared := newCached(t, 1, nil)
	client := connect(t, shared)
	code := a.seed(1)[0][0]
	l := a.newLoad()
	for _, node := range f.nodes {
		for range readers {
			l.every(time.Millisecond, func(int, *program) { l.visit("hot", node, code) })
		}
	}
	all := func() float64 { return loads(f.nodes[0]) + loads(f.nodes[1]) }
	awaitDone(a, "hot", 0, 100)
	began, before := time.Now(), all()
	for range rounds {
		at := all()
		must(t, client.Del(t.Context(), remote.Key(code)).Err())
		must(t, client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err()) // L1 is not believed after that
		await(t, backWithin, "the link to be loaded again", func() bool { return all() > at })
		f.awaitChannels()
		awaitDone(a, "hot", 0, 100)
	}
	took := all() - before
	l.stop()
	const canaries = 2 // loads of the nodes' own links, every ten seconds
	most := float64(2*rounds) + 2*canaries*(1+time.Since(began).Seconds()/10)
	t.Logf("%v loads for %d visits in %d rounds", took, len(a.took(began, "hot")), rounds)
	if took > most {
		t.Errorf("two nodes loaded a hot link %v times in %d rounds, want once each", took, rounds)
	}
	wantNone(a, began, "hot", 0, 100*rounds)
	a.audit()
}

// TestShardsDownWithRedis holds that what any node kept of a link is served by all
// of them while no database answers, and that all is fresh when they are back.
func TestShardsDownWithRedis(t *testing.T) {
	t.Parallel()
	f, a, _ := newCached(t, 2, nil)
	kept := slices.Concat(a.seed(20)...)
	edited := a.seed(20, a.authorization()...)
	for _, cluster := range f.shards {
		must(t, cluster.Primary().Kill())
		for _, replica := range cluster.Replicas() {
			must(t, replica.Kill())
		}
	}
	time.Sleep(keptFor) // L1 has to let them go
	for _, node := range f.nodes {
		wantStatus(a, node, kept, http.StatusFound)
		for i := range f.shards {
			got, err := a.send(http.MethodGet, node.url+"/"+f.aliasOn(i, store.NewKeyID()), nil)
			if err != nil || got.status != http.StatusServiceUnavailable {
				t.Errorf("visit of a link that nobody knows = %+v, %v, want 503", got, err)
			}
		}
	}
	for _, cluster := range f.shards {
		must(t, cluster.Primary().Start(t.Context()))
		for _, replica := range cluster.Replicas() {
			must(t, replica.Start(t.Context()))
		}
	}
	l := a.newLoad()
	for i := range f.shards {
		l.edits(edited[i])
	}
	began := time.Now()
	for i := range f.shards {
		awaitDone(a, "edit", i, 1)
		awaitDone(a, "edited", i, 100)
	}
	t.Logf("edits came back %v after the databases", time.Since(began))
	l.stop()
	a.audit()
}
