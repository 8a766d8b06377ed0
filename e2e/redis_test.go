//go:build unix

package e2e_test

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

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/remote"
)

// appliedWithin is how long a node may show an old copy of a link in addition to seenWithin.
// The sum is shorter than the time that a node keeps a link without announcements.
const appliedWithin = heardWithin - seenWithin

// newCached starts a fleet of two nodes that share a Redis.
func newCached(t *testing.T, shards int, settings map[string]string) (*fleet, *auditor, *testenv.Redis) {
	t.Helper()
	shared := testenv.NewRedis(t, testenv.RedisOptions{Settings: settings})
	f := newFleet(t, shards, testenv.ClusterOptions{Replicas: 1})
	f.environ = append(f.environ, "TERSE_REDIS_URL="+shared.URL())
	f.serve()
	f.serve()
	f.awaitChannels()
	a := newAuditor(f, f.newKey(0))
	a.keep(appliedWithin)
	return f, a, shared
}

// awaitChannels waits until all nodes receive announcements.
func (f *fleet) awaitChannels() {
	f.t.Helper()
	testenv.Await(f.t, "all nodes to receive announcements", func() bool {
		return !slices.ContainsFunc(f.nodes, func(p *program) bool { return p.metric("terse_redis_channel_up") != 1 })
	})
}

// awaitApplied waits until all nodes have applied every earlier edit. It first waits until
// the edits have left the outboxes. It then edits the link probe, and waits until all nodes
// show that edit: announcements arrive in order.
func (a *auditor) awaitApplied(probe string) {
	t, f := a.f.t, a.f
	t.Helper()
	const caches = 1
	now := time.Now()
	for shard := range f.shards {
		testenv.Await(t, "the outbox to be empty", func() bool {
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
		testenv.Await(t, "the node to show the edit", func() bool { return leadsTo(node) != before[i] })
	}
}

// loads returns the number of links that a node has read from the database.
func loads(p *program) float64 { return p.metric("terse_cache_requests_total", `tier="store"`) }

// steady starts the load on a fleet with Redis: creates, edits and visits.
func (a *auditor) steady(known, edited []string) *load {
	l := a.newLoad()
	l.creates()
	l.hot(known[:50])
	l.shared(known[50:])
	l.edits(edited)
	return l
}

// shared starts a worker for each node. The worker visits the links in turn. With many
// links, a link has left the node's memory before the next visit.
func (l *load) shared(links []string) {
	for _, node := range l.nodes {
		l.every(10*time.Millisecond, func(n int, _ *program) { l.visit("shared", node, links[n%len(links)]) })
	}
}

// wantSteady checks that nothing failed since the given time, and logs the durations.
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

// TestRedisFaults checks that creates, edits and visits work while Redis is killed or frozen.
// After Redis is back, all nodes show edits in time again.
func TestRedisFaults(t *testing.T) {
	testenv.Long(t)
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
		a.awaitApplied(probe)
		a.keep(appliedWithin)
		began = time.Now()
		awaitDone(a, "edited", 0, 200)
		a.wantSteady(began, fault.name+" and back")
	}
	l.stop()
	a.audit()
}

// TestRedisSlow checks the same for a Redis with a latency of 200 ms.
func TestRedisSlow(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	line := newLine(t, shared.Addr())
	f := newFleet(t, 1, testenv.ClusterOptions{Replicas: 1})
	f.environ = append(f.environ, "TERSE_REDIS_URL=redis://"+line.Listen)
	f.serve()
	f.serve()
	f.awaitChannels()
	a := newAuditor(f, f.newKey(0))
	a.keep(appliedWithin)
	known, edited := a.seed(800), a.seed(50, a.authorization()...)
	probe := a.create(f.nodes[0], "", a.authorization()...)
	l := a.steady(known[0], edited[0])
	awaitDone(a, "edited", 0, 50)
	a.keep(keptFor)
	_, err := line.Toxics.AddToxicJson(strings.NewReader(`{"name":"slow","type":"latency","attributes":{"latency":200}}`))
	must(t, err)
	began := time.Now()
	awaitDone(a, "edited", 0, 200)
	a.wantSteady(began, "Redis with 200 ms of latency")
	must(t, line.Toxics.RemoveToxic(t.Context(), "slow"))
	f.awaitChannels()
	a.awaitApplied(probe)
	a.keep(appliedWithin)
	began = time.Now()
	awaitDone(a, "edited", 0, 100)
	a.wantSteady(began, "Redis without latency again")
	l.stop()
	a.audit()
}

// newLine returns a TCP proxy in front of a server. It keeps its address when it stops and
// starts.
func newLine(t *testing.T, upstream string) *toxiproxy.Proxy {
	t.Helper()
	port, err := testenv.FreePort(t.Context())
	must(t, err)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	line := toxiproxy.NewProxy(server, "redis", fmt.Sprintf("127.0.0.1:%d", port), upstream)
	must(t, line.Start())
	t.Cleanup(line.Stop)
	return line
}

// TestRedisFull checks that no request fails while Redis is full, whether Redis evicts keys
// or rejects writes.
func TestRedisFull(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	for _, policy := range []string{"noeviction", "allkeys-lru"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			_, a, shared := newCached(t, 1, map[string]string{"maxmemory": "2mb", "maxmemory-policy": policy})
			client := connect(t, shared)
			for i := range 4000 { // until Redis is full
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

func connect(t *testing.T, shared *testenv.Redis) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: shared.Addr()})
	t.Cleanup(func() { must(t, client.Close()) })
	return client
}

// TestRedisFlushed empties Redis and invalidates the memory of the nodes. Each node reads
// each link from the database at most once, with many readers of the same links.
func TestRedisFlushed(t *testing.T) {
	testenv.Long(t)
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
	must(t, client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err()) // invalidates L1
	time.Sleep(keptFor)                                                     // until each node has read each link again
	l.stop()
	const canaries = 4 // reads of the nodes' canary links
	for i, node := range f.nodes {
		if took := loads(node) - before[i]; took <= canaries || took > float64(len(known[0])+canaries) {
			t.Errorf("node %d made %v reads for %d links, want more than %d and at most one a link", i+1, took, len(known[0]), canaries)
		} else {
			t.Logf("node %d made %v reads for %d links", i+1, took, len(known[0]))
		}
	}
	wantNone(a, began, "hot", 0, 500)
	a.audit()
}

// TestEditsReachOtherNodes checks that announcements make the other node show an edit or
// delete. A node that has lost the channel shows it after the TTL of L1.
func TestEditsReachOtherNodes(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	f := newFleet(t, 1, testenv.ClusterOptions{Replicas: 1})
	first := f.serve("TERSE_REDIS_URL=" + shared.URL())
	line := newLine(t, shared.Addr())
	second := f.serve("TERSE_REDIS_URL=redis://" + line.Listen)
	f.awaitChannels()
	a := newAuditor(f, f.newKey(0))

	took := a.spread(first, second, 400)
	t.Logf("the other node showed 400 edits and deletes after %v in the median, %v at the 99.9th percentile",
		percentile(took, 50), percentile(took, 99.9))
	if got := percentile(took, 99); got > heardWithin {
		t.Errorf("the 99th percentile is %v, want less than the TTL of L1", got)
	}

	line.Stop()
	took = a.spread(first, second, 24)
	t.Logf("without the channel it showed 24 edits and deletes after %v in the median, %v at most",
		percentile(took, 50), took[len(took)-1])

	must(t, line.Start())
	f.awaitChannels()
	took = a.spread(first, second, 100)
	if got := percentile(took, 50); got > heardWithin {
		t.Errorf("a node with a new channel showed edits after %v in the median, want less than the TTL of L1", got)
	}
}

// spread edits or deletes n links through one node. It returns the times from the
// acknowledgement until the other node showed the change, in ascending order.
func (a *auditor) spread(one, other *program, n int) []time.Duration {
	a.f.t.Helper()
	var mu sync.Mutex
	var all []time.Duration
	var group errgroup.Group
	group.SetLimit(8)
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

// persist is send that repeats a request while a busy machine makes the node answer 503.
func (a *auditor) persist(method, url string, body any, header ...string) (got answer, err error) {
	for range 50 {
		got, err = a.send(method, url, body, header...)
		if err != nil || got.status != http.StatusServiceUnavailable {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return got, err
}

func (a *auditor) spreadOne(one, other *program, remove bool) (time.Duration, error) {
	path := "/api/v1/links"
	created, err := a.persist(http.MethodPost, one.url+path, map[string]string{"url": newTarget()}, a.authorization()...)
	if err != nil || created.status != http.StatusCreated {
		return 0, fmt.Errorf("create = %+v, %w", created, err)
	}
	before, err := a.persist(http.MethodGet, other.url+"/"+created.Code, nil)
	if err != nil || before.status != http.StatusFound {
		return 0, fmt.Errorf("visit of a fresh link = %+v, %w", before, err)
	}
	method, body, want := http.MethodPatch, any(map[string]string{"url": newTarget()}), http.StatusOK
	if remove {
		method, body, want = http.MethodDelete, nil, http.StatusNoContent
	}
	edited, err := a.persist(method, one.url+path+"/"+created.Code, body, a.authorization()...)
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
		case asked.Sub(acknowledged) > 10*keptFor:
			return 0, fmt.Errorf("the other node did not show %s of %s in %v", method, created.Code, 10*keptFor)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestColdHotKey checks that each node reads a link from the database once, with hundreds of
// readers waiting for the link and no cache that has it.
func TestColdHotKey(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const tries = 40
	readers := 512
	f, a, shared := newCached(t, 1, nil)
	links := a.seed(tries)[0]
	must(t, connect(t, shared).FlushAll(t.Context()).Err())
	cold := []*program{f.serve(), f.serve()} // the first two nodes have the links in L1
	f.awaitChannels()
	for _, code := range links {
		var before [2]float64
		for i, node := range cold {
			before[i] = loads(node)
		}
		if !a.crowd(cold, readers, code) {
			readers = max(8, readers/2) // the machine was too slow for all readers to wait at the same time
			continue
		}
		for i, node := range cold {
			if got := loads(node) - before[i]; got < 1 || got > 1+1 { // and a canary's
				t.Errorf("node %d read the link of %d readers %v times, want once", i+1, readers, got)
			}
		}
		return
	}
	t.Errorf("%d readers never waited at the same time in %d tries", readers, tries)
}

// crowd freezes the database, sends the requests of many readers to each node, and thaws
// the database before reads time out. It reports whether all readers waited at the same time
// and none timed out.
func (a *auditor) crowd(nodes []*program, readers int, code string) bool {
	t := a.f.t
	t.Helper()
	cluster := a.f.shards[0]
	databases := append([]*testenv.Postgres{cluster.Primary()}, cluster.Replicas()...)
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
		// net/http runs two goroutines for each request: the handler, and a reader that
		// notices when the client disconnects.
		waited = !slices.ContainsFunc(nodes, func(p *program) bool { return p.metric("go_goroutines") < float64(2*readers) })
	}
	for _, database := range databases {
		must(t, database.Thaw())
	}
	must(t, group.Wait())
	return waited && !late.Load()
}

// TestHotKeyExpires checks that each node reads a hot link from the database once when all
// caches lose the link at the same time.
func TestHotKeyExpires(t *testing.T) {
	testenv.Long(t)
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
		must(t, client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err()) // invalidates L1
		testenv.Await(t, "a read of the link", func() bool { return all() > at })
		f.awaitChannels()
		awaitDone(a, "hot", 0, 100)
	}
	took := all() - before
	l.stop()
	const canaries = 2 // reads of a node's canary link, every ten seconds
	most := float64(2*rounds) + 2*canaries*(1+time.Since(began).Seconds()/10)
	t.Logf("%v reads for %d visits in %d rounds", took, len(a.took(began, "hot")), rounds)
	if took > most {
		t.Errorf("two nodes made %v reads of a hot link in %d rounds, want one each a round", took, rounds)
	}
	wantNone(a, began, "hot", 0, 100*rounds)
	a.audit()
}

// TestShardsDownWithRedis kills all databases. Every node still serves the links that Redis
// has, and returns 503 for other links. After the databases are back, edits work and show.
func TestShardsDownWithRedis(t *testing.T) {
	testenv.Long(t)
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
	time.Sleep(keptFor) // until the links expire in L1
	for _, node := range f.nodes {
		wantStatus(a, node, kept, http.StatusFound)
		for i := range f.shards {
			got, err := a.send(http.MethodGet, node.url+"/"+f.aliasOn(i, store.NewKeyID()), nil)
			if err != nil || got.status != http.StatusServiceUnavailable {
				t.Errorf("visit of a link that no cache has = %+v, %v, want 503", got, err)
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
	t.Logf("edits worked %v after the databases were back", time.Since(began))
	l.stop()
	a.audit()
}
