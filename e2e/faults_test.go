//go:build unix

package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// maxLag is the largest lag of a replica that is still read, in seconds.
const maxLag = 0.8

// wantNone fails the test when a request failed since the given time, or when fewer than
// atLeast requests succeeded.
func wantNone(a *auditor, since time.Time, op string, shard, atLeast int) {
	a.f.t.Helper()
	done, failed := a.since(since, op, shard)
	if len(failed) > 0 {
		a.f.t.Errorf("s%d: %d of %d %ss failed: %q", shard+1, len(failed), done+len(failed), op, failed[:min(len(failed), 5)])
	}
	if done < atLeast {
		a.f.t.Errorf("s%d: %d %ss succeeded, want %d at least", shard+1, done, op, atLeast)
	}
}

// awaitDone waits until n more requests of a kind have succeeded.
func awaitDone(a *auditor, op string, shard, n int) time.Duration {
	a.f.t.Helper()
	since := time.Now()
	return testenv.Await(a.f.t, fmt.Sprintf("%d %ss on s%d", n, op, shard+1), func() bool {
		done, _ := a.since(since, op, shard)
		return done >= n
	})
}

// awaitFailures waits until a request of a kind fails.
func awaitFailures(a *auditor, op string, shard int) {
	a.f.t.Helper()
	since := time.Now()
	testenv.Await(a.f.t, fmt.Sprintf("%ss on s%d to fail", op, shard+1), func() bool {
		_, failed := a.since(since, op, shard)
		return len(failed) > 0
	})
}

// TestPrimaryKilled kills a primary. No acknowledged write is lost and no redirect fails.
// Writes work again when the replica is promoted.
func TestPrimaryKilled(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 2, testenv.ClusterOptions{Replicas: 1, Sync: true})
	a := newAuditor(f, f.newKey(1))
	f.serve()
	f.serve()
	known, edited := a.seed(600), a.seed(50, a.authorization()...)
	l := a.newLoad()
	l.creates()
	for shard := range f.shards {
		l.hot(known[shard][:10])
		l.cold(known[shard][10:])
		l.edits(edited[shard])
	}
	began := time.Now()
	awaitDone(a, "create", 0, 50)
	awaitDone(a, "edit", 1, 20)

	must(t, f.shards[0].Primary().Kill())
	awaitFailures(a, "create", 0)
	awaitDone(a, "hot", 0, 100)
	awaitDone(a, "cold", 0, 50)
	promoted := time.Now()
	must(t, f.shards[0].Replicas()[0].Promote(t.Context()))
	took := awaitDone(a, "create", 0, 1)
	t.Logf("creates worked %v after the start of the promotion, which took %v", time.Since(promoted), time.Since(promoted)-took)
	awaitDone(a, "create", 0, 50)
	awaitDone(a, "edit", 0, 50)
	l.stop()

	wantNone(a, began, "create", 1, 50)
	wantNone(a, began, "edit", 1, 50)
	for shard := range f.shards {
		wantNone(a, began, "hot", shard, 200)
		wantNone(a, began, "cold", shard, 100)
	}
	a.audit()
}

// TestPrimaryReadOnly makes a primary read-only. Only writes to its shard fail, and they work
// again without a restart.
func TestPrimaryReadOnly(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 2, testenv.ClusterOptions{Replicas: 1})
	a := newAuditor(f, "")
	f.serve()
	f.serve()
	known := a.seed(400)
	l := a.newLoad()
	l.creates()
	for shard := range f.shards {
		l.hot(known[shard][:10])
		l.cold(known[shard][10:])
	}
	began := time.Now()
	awaitDone(a, "create", 0, 20)

	must(t, f.shards[0].Primary().SetReadOnly(t.Context(), true))
	awaitFailures(a, "create", 0)
	awaitDone(a, "cold", 0, 100)
	must(t, f.shards[0].Primary().SetReadOnly(t.Context(), false))
	t.Logf("creates worked again after %v", awaitDone(a, "create", 0, 1))
	awaitDone(a, "create", 0, 20)
	l.stop()

	wantNone(a, began, "create", 1, 20)
	for shard := range f.shards {
		wantNone(a, began, "hot", shard, 200)
		wantNone(a, began, "cold", shard, 100)
	}
	a.audit()
}

// TestReplicasKilled kills all replicas. The primary serves their reads, and no request fails.
func TestReplicasKilled(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 1, testenv.ClusterOptions{Replicas: 2})
	a := newAuditor(f, "")
	f.serve()
	f.serve()
	known := a.seed(400)
	l := a.newLoad()
	l.creates()
	l.hot(known[0][:10])
	l.cold(known[0][10:])
	began := time.Now()
	awaitDone(a, "cold", 0, 20)
	for _, replica := range f.shards[0].Replicas() {
		must(t, replica.Kill())
		awaitDone(a, "create", 0, 50)
		awaitDone(a, "cold", 0, 50)
	}
	l.stop()
	for _, op := range []string{"create", "fresh", "hot", "cold"} {
		wantNone(a, began, op, 0, 100)
	}
	a.audit()
}

// TestReplayPaused pauses the replay of one replica, and then of both. New links are found,
// and no edited link shows its old target.
func TestReplayPaused(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 1, testenv.ClusterOptions{Replicas: 2})
	a := newAuditor(f, f.newKey(0))
	f.serve()
	f.serve()
	edited := a.seed(600, a.authorization()...)
	l := a.newLoad()
	l.creates()
	l.edits(edited[0])
	began := time.Now()
	replicas := f.shards[0].Replicas()
	read := func(i int, want bool) {
		t.Helper()
		name := fmt.Sprintf("replica-%d", i+1)
		testenv.Await(t, fmt.Sprintf("reads from %s: %v", name, want), func() bool {
			return !slices.ContainsFunc(f.nodes, func(p *program) bool {
				return want != (p.metric("terse_postgres_replica_lag_seconds", `shard="s1"`, `server="`+name+`"`) < maxLag)
			})
		})
	}
	read(0, true)
	read(1, true)
	for i, replica := range replicas {
		must(t, replica.PauseReplay(t.Context()))
		read(i, false)
		awaitDone(a, "edited", 0, 200)
		awaitDone(a, "fresh", 0, 50)
	}
	for i, replica := range replicas {
		must(t, replica.ResumeReplay(t.Context()))
		read(i, true)
	}
	awaitDone(a, "edited", 0, 50)
	l.stop()
	for _, op := range []string{"create", "edit", "fresh", "edited"} {
		wantNone(a, began, op, 0, 200)
	}
	a.audit()
}

// TestStaleMap moves buckets while nodes use the old map. No node writes to the old shard,
// and every create succeeds on the new shard.
func TestStaleMap(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const moves, perMove = 5, 20
	f := newFleet(t, 2, testenv.ClusterOptions{})
	a := newAuditor(f, "")
	node := f.serve()
	f.serve()
	var moving []int
	for bucket, shard := range f.owner {
		if shard == 0 && len(moving) < moves {
			moving = append(moving, bucket)
		}
	}
	l := a.newLoad()
	l.every(2*time.Millisecond, func(_ int, node *program) {
		a.create(node, aliasWhere(store.NewKeyID(), func(bucket int) bool { return slices.Contains(moving, bucket) }))
	})
	began := time.Now()
	awaitDone(a, "create", 0, 50)
	left := map[int]int{} // number of links of each bucket on s1 at its move
	for _, bucket := range moving {
		var writers sync.WaitGroup
		must(t, node.Freeze())
		for range perMove {
			alias := aliasWhere(store.NewKeyID(), func(b int) bool { return b == bucket })
			writers.Go(func() { a.create(node, alias) })
		}
		left[bucket] = f.move(bucket, 0, 1)
		must(t, node.Thaw())
		writers.Wait()
	}
	awaitDone(a, "create", 0, 50)
	l.stop()
	wantNone(a, began, "create", 0, moves*perMove)
	if node.metric("terse_shard_moved_total") == 0 {
		t.Error("no write used the old map, so the test checked nothing")
	}
	for bucket, want := range left {
		count := func(shard int) int {
			return query(f, shard, pgx.RowTo[int], "SELECT count(*) FROM links WHERE bucket = $1", bucket)[0]
		}
		if got := count(0); got != want {
			t.Errorf("s1 has %d links in bucket %d, want %d as before the move", got, bucket, want)
		}
		if got := count(1); got < want+perMove {
			t.Errorf("s2 has %d links in bucket %d, want %d at least", got, bucket, want+perMove)
		}
	}
	a.audit()
}

// TestFrozenNodes freezes nodes until their leases end. After that they mint no code twice:
// not with the node id that another node has leased, and not with a node id that is still
// free. The test waits for the real lease of 30 s. With a shorter lease it could not show
// that the lease keeps codes apart.
func TestFrozenNodes(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 1, testenv.ClusterOptions{})
	a := newAuditor(f, "")
	for range 3 {
		f.serve()
	}
	sleepers := slices.Clone(f.nodes)
	creates := func(nodes ...*program) *load {
		l := a.loadOf(nodes...)
		for _, node := range nodes {
			l.every(10*time.Millisecond, func(int, *program) { a.create(node, "") })
		}
		return l
	}
	ids := map[*program]int{}
	before := creates(sleepers...)
	for _, node := range sleepers {
		awaitMinted(node, 20)
		ids[node] = int(node.metric("terse_idgen_node"))
	}
	for _, node := range sleepers {
		must(t, node.Freeze())
	}
	before.stop() // the last requests time out in the client; the frozen nodes still have them
	heir := f.serve(fmt.Sprintf("TERSE_NODE_ID=%d", ids[sleepers[0]]))
	t.Logf("another node leased the node id after %v", testenv.Await(t, "the node id of a frozen node", func() bool {
		holders := query(f, 0, pgx.RowTo[string], "SELECT held_by FROM node_leases WHERE node = $1 AND leased_until > now()", ids[sleepers[0]])
		return len(holders) == 1 && strings.HasSuffix(holders[0], fmt.Sprintf(" pid %d", heir.Pid()))
	}))
	inherited := creates(heir)
	awaitMinted(heir, 50)
	early := make([]float64, len(sleepers))
	asleep := creates(sleepers...) // the requests wait in the frozen nodes
	for i, node := range sleepers {
		must(t, node.Thaw())
		early[i] = minted(node)
	}
	for i, node := range sleepers {
		testenv.Await(t, "a thawed node to mint again", func() bool { return minted(node) > early[i]+20 })
		if held := int(node.metric("terse_idgen_node")); i == 0 && held == ids[node] {
			t.Errorf("the first node mints with node id %d, which it has lost", held)
		}
	}
	asleep.stop()
	inherited.stop()
	for _, node := range f.nodes {
		if n := node.metric("terse_code_collisions_total"); n != 0 {
			t.Errorf("%v minted codes existed already", n)
		}
	}
	a.audit()
}

func minted(node *program) float64 { return node.metric("terse_idgen_minted_total") }

func awaitMinted(node *program, n float64) {
	node.t.Helper()
	testenv.Await(node.t, "codes to be minted", func() bool { return minted(node) >= n })
}

// TestWholeShardDown kills a shard. Links and creates on the other shard still work. Links of
// the dead shard work on nodes that have them in memory, and return 503 elsewhere.
func TestWholeShardDown(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, testenv.ClusterOptions{Replicas: 1})
	a := newAuditor(f, f.newKey(1))
	node := f.serve()
	known := a.seed(100, a.authorization()...)
	hot, cold := known[0][:20], known[0][20:]
	// The first node has every link that it created in memory. The other node has only the
	// links that it has served.
	other := f.serve()
	for _, code := range hot {
		a.visit("warm", other, code)
	}
	began := time.Now()
	f.killShard(0)
	late := f.serve()
	for _, p := range []*program{other, late} {
		wantStatus(a, p, known[1], http.StatusFound)
		for i := range 10 {
			a.create(p, f.aliasOn(1, fmt.Sprintf("down-%d-%d", p.Pid(), i)))
		}
		wantStatus(a, p, cold[:5], http.StatusServiceUnavailable)
		a.wantUnavailable(p, "s1")
	}
	wantStatus(a, node, known[0], http.StatusFound)
	wantStatus(a, other, hot, http.StatusFound)
	wantNone(a, began, "create", 1, 20)
	f.wantStatusOf(map[string]bool{"s1": false, "s2": true})

	for _, p := range append([]*testenv.Postgres{f.shards[0].Primary()}, f.shards[0].Replicas()...) {
		must(t, p.Start(t.Context()))
	}
	back := time.Now()
	for _, code := range []string{cold[5], cold[6]} {
		testenv.Await(t, "redirects from the restarted shard", func() bool { return a.visit("back", late, code) == http.StatusFound })
	}
	testenv.Await(t, "creates on the restarted shard", func() bool {
		return a.create(late, f.aliasOn(0, store.NewKeyID())) != ""
	})
	t.Logf("the shard works again after %v", time.Since(back))
	a.wantUnavailable(late)
	a.audit()
}

// wantStatus visits links, and wants the same status for all.
func wantStatus(a *auditor, node *program, links []string, want int) {
	a.f.t.Helper()
	for _, code := range links {
		if got := a.visit("down", node, code); got != want {
			a.f.t.Errorf("visit of %s on s%d = %d, want %d", code, a.f.shardOf(code)+1, got, want)
		}
	}
}

// wantUnavailable checks that a list of links names exactly these shards as unavailable.
func (a *auditor) wantUnavailable(node *program, want ...string) {
	a.f.t.Helper()
	got, err := a.send(http.MethodGet, node.url+"/api/v1/links?limit=5", nil, a.authorization()...)
	if err != nil || got.status != http.StatusOK || !slices.Equal(got.UnavailableShards, want) {
		a.f.t.Errorf("list = %d without %q, %v, want 200 without %q", got.status, got.UnavailableShards, err, want)
	}
}

// TestTwoNodesOneID gives the same node id to two nodes. The second node mints no code and
// logs the process of the first. It takes the node id over when the first node stops.
func TestTwoNodesOneID(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, testenv.ClusterOptions{})
	a := newAuditor(f, "")
	first := f.serve("TERSE_NODE_ID=7", "TERSE_DRAIN_DELAY=0s")
	known := a.seed(5)
	second := f.serve("TERSE_NODE_ID=7")
	second.logged(fmt.Sprintf(`(pid %d)`, first.Pid()))
	wantStatus(a, second, slices.Concat(known...), http.StatusFound)
	for range 10 {
		if got, err := a.send(http.MethodPost, second.url+"/api/v1/links", map[string]string{"url": "https://example.com/"}); err != nil || got.status != http.StatusServiceUnavailable {
			t.Errorf("create through the second node = %d, %v, want 503", got.status, err)
		}
	}
	must(t, first.Signal(syscall.SIGTERM))
	if err := first.Wait(); err != nil {
		t.Errorf("after SIGTERM the first node ended with %v", err)
	}
	testenv.Await(t, "the second node to take over", func() bool { return a.create(second, "") != "" })
	a.audit()
}

// TestKeysAcrossShards kills nodes during creates with an Idempotency-Key. A repeated create
// returns one link for each key. The minted code is on the shard of its reservation, so every
// reservation has its link.
func TestKeysAcrossShards(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 2, testenv.ClusterOptions{})
	a := newAuditor(f, "")
	survivor := f.serve()
	codes := map[string]string{}
	for round := range 4 {
		victim := f.serve()
		fresh := a.useKeys(victim, fmt.Sprintf("key-%d", round), 100+37*round)
		if n := f.halves(); n != 0 {
			t.Errorf("%d reservations have no link after a node was killed, want none", n)
		}
		for key, code := range fresh {
			codes[key] = a.createOnce(survivor, key)
			if codes[key] == "" || code != "" && code != codes[key] {
				t.Errorf("key %s returned %q, and %q when repeated", key, code, codes[key])
			}
		}
	}
	byTarget := map[string][]string{}
	for code, r := range a.rows() {
		byTarget[r.Target] = append(byTarget[r.Target], code)
	}
	for key, code := range codes {
		if got := byTarget[targetOf(key)]; len(got) != 1 || got[0] != code {
			t.Errorf("key %s has the links %q, want %q alone", key, got, code)
		}
	}
	a.audit()
}

// useKeys creates links with Idempotency-Keys through a node, and kills the node after
// killAfter of them. It returns the acknowledged code of each key, or "" for a create that
// failed.
func (a *auditor) useKeys(victim *program, prefix string, killAfter int) map[string]string {
	a.f.t.Helper()
	var mu sync.Mutex
	codes := map[string]string{}
	used := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(codes)
	}
	l := a.loadOf(victim)
	for worker := range 8 {
		l.every(time.Millisecond, func(n int, node *program) {
			key := fmt.Sprintf("%s-%d-%d", prefix, worker, n)
			code := a.createOnce(node, key)
			mu.Lock()
			defer mu.Unlock()
			codes[key] = code
		})
	}
	testenv.Await(a.f.t, "keys to be used", func() bool { return used() >= killAfter })
	victim.kill()
	l.stop()
	return codes
}
