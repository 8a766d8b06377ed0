//go:build unix

package e2e_test

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// visited is a node that visitors use unless it restarts.
type visited struct {
	*program

	mu sync.RWMutex // held by visits, and exclusively by a restart
}

// restart stops the node after its visits have been answered, and starts it again. A load balancer does
// the same with a node that is not ready.
func (v *visited) restart() {
	v.mu.Lock()
	defer v.mu.Unlock()
	must(v.t, v.Stop())
	for tries := 5; ; tries-- { // its connections to the database are killed, too
		err := v.Start(v.t.Context())
		if err == nil {
			return
		}
		if tries == 0 {
			v.t.Fatal(err)
		}
	}
}

// visitsUntil sends visits to the node until left is used up.
func (v *visited) visitsUntil(o *clickOracle, left *atomic.Int64) {
	const together = 50
	for left.Add(-together) >= 0 {
		v.mu.RLock()
		conn, err := net.Dial("tcp", v.Addr())
		if err != nil {
			v.mu.RUnlock()
			v.t.Error(err)
			return
		}
		from := bufio.NewReader(conn)
		err = o.visits(conn, from, together)
		for i := 0; err == nil && i < 20 && left.Add(-together) >= 0; i++ {
			err = o.visits(conn, from, together)
		}
		_ = conn.Close()
		v.mu.RUnlock()
		if err != nil {
			v.t.Error(err)
			return
		}
	}
}

// killConnections ends a random part of the connections to a shard now and then, until ctx ends. It
// returns how many it has ended.
func (f *fleet) killConnections(ctx context.Context, shard int) (killed int) {
	conn, err := pgx.Connect(ctx, f.shards[shard].DSN("postgres"))
	if err != nil {
		f.t.Error(err)
		return 0
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for {
		select {
		case <-ctx.Done():
			return killed
		case <-time.After(time.Duration(100+rand.IntN(600)) * time.Millisecond):
		}
		var n int
		err := conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = $1 AND backend_type = 'client backend' AND random() < 0.3`, testenv.ShardDatabase).Scan(&n)
		if err != nil && ctx.Err() == nil {
			f.t.Error(err)
			return killed
		}
		killed += n
	}
}

// TestClicksUnderFaults sends a million visits through three nodes to two shards. At the same time it
// kills connections to the databases at random, also connections of folds, and restarts each node. All
// totals and breakdowns are exact.
func TestClicksUnderFaults(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const visits = 1_000_000
	f := newFleet(t, 2, testenv.ClusterOptions{})
	var nodes []*visited
	for range 3 {
		nodes = append(nodes, &visited{program: f.serve(proxied, "TERSE_CLICKS_SPOOL=spool", "TERSE_DRAIN_DELAY=0s")})
	}
	token := f.adminToken()
	a := newAuditor(f, token)
	var codes []string
	for i := range 8 {
		codes = append(codes, a.create(nodes[0].program, f.aliasOn(i%2, store.NewKeyID())))
	}
	o := newClickOracle(t, codes)
	for _, node := range nodes { // every link is in memory before connections are killed
		o.visit(t, node.program, 400)
	}

	faults, stop := context.WithCancel(t.Context())
	defer stop()
	var killing, visiting sync.WaitGroup
	var killed atomic.Int64
	for shard := range f.shards {
		killing.Go(func() { killed.Add(int64(f.killConnections(faults, shard))) })
	}
	var left atomic.Int64
	left.Store(visits)
	began := time.Now()
	for _, node := range nodes {
		for range 2 {
			visiting.Go(func() { node.visitsUntil(o, &left) })
		}
	}
	for i, node := range nodes {
		for part := visits * int64(3-i) / 4; left.Load() >= part && !t.Failed(); {
			next := max(part, left.Load()-visits/100) // in steps, because the whole may take long
			testenv.Await(t, "a hundredth of the visits", func() bool { return left.Load() < next || t.Failed() })
		}
		node.restart()
	}
	visiting.Wait()
	took := time.Since(began)
	stop()
	killing.Wait()
	t.Logf("%d visits in %v, %d connections killed", o.total(), took, killed.Load())
	if killed.Load() == 0 {
		t.Error("no connection was killed")
	}
	o.want(t, nodes[0].program, token)
}

// TestKilledNode kills a node without a spool at random moments, and once while the database cannot
// store clicks. The database lacks only clicks that the node called pending before. If no flush ends after
// the metric was read, the loss is equal to the metric.
func TestKilledNode(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 1, testenv.ClusterOptions{})
	node := f.serve(proxied)
	a := newAuditor(f, f.adminToken())
	o := newClickOracle(t, []string{a.create(node, f.aliasOn(0, store.NewKeyID()))})
	counted := func() int64 {
		return query(f, 0, pgx.RowTo[int64], "SELECT coalesce(sum(total + robots), 0)::bigint FROM click_totals")[0]
	}
	var lost int64
	kill := func() (missing, pending int64) {
		pending = int64(node.metric("terse_clicks_pending"))
		node.kill()
		f.endSessions()
		missing = o.total() - lost - counted()
		lost += missing
		return missing, pending
	}
	for range 5 {
		until := time.Now().Add(time.Duration(1500+rand.IntN(1500)) * time.Millisecond)
		for time.Now().Before(until) {
			o.visit(t, node, 20)
		}
		if missing, pending := kill(); missing < 0 || missing > pending {
			t.Errorf("%d clicks are missing, want at most the %d pending ones", missing, pending)
		}
		node.again()
	}
	t.Logf("%d of %d clicks were lost in 5 kills", lost, o.total())

	o.visit(t, node, 100)
	testenv.Await(t, "a flush", func() bool { return node.metric("terse_clicks_pending") == 0 })
	f.transact(0, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "LOCK TABLE click_totals IN SHARE MODE"); err != nil { // readers continue
			return err
		}
		o.visit(t, node, 300)
		testenv.Await(t, "a flush to wait for the lock", func() bool {
			return query(f, 0, pgx.RowTo[bool], "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")[0]
		})
		if missing, pending := kill(); missing != 300 || pending != 300 {
			t.Errorf("%d clicks are missing and %d were pending, want 300", missing, pending)
		}
		return nil
	})
	node.again()
	o.visit(t, node, 50)
	testenv.Await(t, "a flush", func() bool { return node.metric("terse_clicks_flushed_total") == 50 })
	if got, want := counted(), o.total()-lost; got != want {
		t.Errorf("%d clicks were counted in the end, want %d", got, want)
	}
}

// endSessions ends the sessions of a killed node on shard 0.
func (f *fleet) endSessions() {
	f.t.Helper()
	testenv.Await(f.t, "the end of all sessions", func() bool {
		return query(f, 0, pgx.RowTo[int64], `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name LIKE 'terse%'`)[0] == 0
	})
}

// adminToken creates an API key with the scope admin.
func (f *fleet) adminToken() string {
	f.t.Helper()
	return strings.TrimSpace(f.run("key", "create", "--name", "test", "--scope", "admin"))
}
