//go:build unix

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/audit"
	"github.com/terse/terse/store"
)

// fleet is several shards and the nodes that serve them. Each shard is a Postgres cluster.
// Shard i is named s(i+1). Only the goroutine of the test may use a fleet.
type fleet struct {
	t       *testing.T
	shards  []*testenv.Cluster
	owner   [store.Buckets]int // the first shard of each bucket
	binary  string             // of run
	environ []string
	nodes   []*program
}

// newFleet starts shards and distributes the buckets among them.
func newFleet(t *testing.T, shards int, opts testenv.ClusterOptions) *fleet {
	t.Helper()
	return newFleetOf(t, testenv.BuildTerse(t), shards, opts)
}

// newFleetOf is newFleet with the schema of a binary.
func newFleetOf(t *testing.T, binary string, shards int, opts testenv.ClusterOptions) *fleet {
	t.Helper()
	f := &fleet{t: t, binary: binary}
	var setting string
	f.shards, setting = testenv.NewShards(t, shards, opts)
	f.environ = []string{"TERSE_SHARDS=" + setting}
	f.run("migrate", "up")
	for i := range f.shards {
		for _, bucket := range query(f, i, pgx.RowTo[int], "select bucket from buckets where state = 'owned'") {
			f.owner[bucket] = i
		}
	}
	return f
}

// run runs a terse command on the shards and returns its stdout.
func (f *fleet) run(args ...string) string {
	f.t.Helper()
	for attempt := 1; ; attempt++ {
		got := runCommand(f.t, commandOf(f.binary, f.environ, args...))
		switch {
		case got.status == 0:
			return got.stdout
		case attempt < 10 && strings.Contains(got.stderr, "store is unavailable"): // the machine was too slow
		default:
			f.t.Fatalf("terse %v = %+v", args, got)
		}
	}
}

// serve starts one more node, and returns once it is ready.
func (f *fleet) serve(environ ...string) *program {
	f.t.Helper()
	p := start(f.t, f.environOfNode(environ...)...)
	f.nodes = append(f.nodes, p)
	return p
}

func (f *fleet) environOfNode(more ...string) []string {
	return slices.Concat(f.environ, []string{
		"TERSE_CODE_KEY=aSC7FmA0I5+1teXYpwy1758w8yPDIjOUQKEAJRrNWUA=", "TERSE_LIMIT_CREATE_KEY=off", "TERSE_LIMIT_UNKNOWN=off",
	}, more)
}

// shardOf returns the first shard of the bucket of a key. It ignores moves.
func (f *fleet) shardOf(key string) int { return f.owner[store.BucketOf(key)] }

// aliasOn returns an alias on a shard. The same name gives the same alias.
func (f *fleet) aliasOn(shard int, name string) string {
	return aliasWhere(name, func(bucket int) bool { return f.owner[bucket] == shard })
}

// aliasWhere returns an alias whose bucket fits.
func aliasWhere(name string, fits func(bucket int) bool) string {
	for i := 0; ; i++ {
		if alias := fmt.Sprintf("%s-%d", name, i); fits(store.BucketOf(alias)) {
			return alias
		}
	}
}

// newKey creates an API key whose row is on the given shard.
func (f *fleet) newKey(shard int) string {
	f.t.Helper()
	for {
		token := strings.TrimSpace(f.run("key", "create", "--name", "faults", "--scope", "links:read,links:write"))
		hash, ok := store.HashToken(token)
		if !ok {
			f.t.Fatalf("key create printed %q, want a token", token)
		}
		if len(query(f, shard, pgx.RowTo[string], "select id from api_keys where hash = $1", hash[:])) == 1 {
			return token
		}
	}
}

// transact runs do in a transaction on the primary of a shard.
func (f *fleet) transact(shard int, do func(tx pgx.Tx) error) {
	f.t.Helper()
	conn, err := pgx.Connect(f.t.Context(), f.shards[shard].DSN(testenv.ShardDatabase))
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(f.t.Context())) }()
	if err := pgx.BeginFunc(f.t.Context(), conn, do); err != nil {
		f.t.Fatalf("transaction on s%d: %v", shard+1, err)
	}
}

// query runs a query on the primary of a shard and returns its rows.
func query[T any](f *fleet, shard int, scan pgx.RowToFunc[T], sql string, args ...any) (all []T) {
	f.t.Helper()
	f.transact(shard, func(tx pgx.Tx) error {
		rows, err := tx.Query(f.t.Context(), sql, args...)
		if err == nil {
			all, err = pgx.CollectRows(rows, scan)
		}
		return err
	})
	return all
}

// move moves a bucket to another shard and returns the number of its links. The old shard
// keeps its copies. A lock excludes writers during the move.
func (f *fleet) move(bucket, from, to int) (links int) {
	f.t.Helper()
	ctx := f.t.Context()
	f.transact(from, func(old pgx.Tx) error {
		var rows []byte
		if _, err := old.Exec(ctx, "SELECT pg_advisory_xact_lock(1413829203, $1)", bucket); err != nil {
			return err
		}
		err := old.QueryRow(ctx, "SELECT count(*), coalesce(json_agg(l), '[]') FROM links l WHERE bucket = $1", bucket).Scan(&links, &rows)
		if err != nil {
			return err
		}
		if _, err := old.Exec(ctx, "UPDATE buckets SET state = 'moved', epoch = 2 WHERE bucket = $1", bucket); err != nil {
			return err
		}
		f.transact(to, func(fresh pgx.Tx) error {
			_, err := fresh.Exec(ctx, "INSERT INTO links SELECT * FROM json_populate_recordset(NULL::links, $1::json)", rows)
			if err != nil {
				return err
			}
			_, err = fresh.Exec(ctx, "INSERT INTO buckets VALUES ($1, 'owned', 2)", bucket)
			return err
		})
		return nil
	})
	return links
}

// halves returns the number of reserved codes without a link: creates that were left half
// done.
func (f *fleet) halves() (n int) {
	f.t.Helper()
	links := map[string]bool{}
	for i := range f.shards {
		for _, code := range query(f, i, pgx.RowTo[string], "SELECT code FROM links") {
			links[code] = true
		}
	}
	for i := range f.shards {
		for _, code := range query(f, i, pgx.RowTo[string], "SELECT code FROM reservations") {
			if !links[code] {
				n++
			}
		}
	}
	return n
}

// wantStatusOf checks that terse shard status fails, and that it shows each shard of want as
// healthy or not.
func (f *fleet) wantStatusOf(want map[string]bool) {
	f.t.Helper()
	stdout, err := command(f.t, f.environ, "shard", "status", "--json").Output()
	if err == nil {
		f.t.Error("terse shard status ended with 0, want a failure")
	}
	var status struct {
		Shards []struct {
			Name, Error string
			Servers     []struct{ Error string }
		}
	}
	if err := json.Unmarshal(stdout, &status); err != nil {
		f.t.Fatalf("terse shard status printed %q: %v", stdout, err)
	}
	got := map[string]bool{}
	for _, s := range status.Shards {
		got[s.Name] = s.Error == "" && !slices.ContainsFunc(s.Servers, func(s struct{ Error string }) bool { return s.Error != "" })
	}
	for name, healthy := range want {
		if is, ok := got[name]; !ok || is != healthy {
			f.t.Errorf("terse shard status: %s is healthy = %v, want %v: %s", name, is, healthy, stdout)
		}
	}
}

// killShard kills all servers of a shard.
func (f *fleet) killShard(shard int) {
	f.t.Helper()
	for _, p := range append(f.shards[shard].Replicas(), f.shards[shard].Primary()) {
		must(f.t, p.Kill())
	}
}

// seed creates n links on each shard, through the nodes in turn.
func (a *auditor) seed(n int, header ...string) (byShard [][]string) {
	t := a.f.t
	t.Helper()
	byShard = make([][]string, len(a.f.shards))
	var group errgroup.Group
	for i := range byShard {
		byShard[i] = make([]string, n)
		for worker := range 4 {
			group.Go(func() error {
				for k := worker; k < n; k += 4 {
					code := a.create(a.f.nodes[k%len(a.f.nodes)], a.f.aliasOn(i, store.NewKeyID()), header...)
					if code == "" {
						return fmt.Errorf("a link cannot be created on s%d", i+1)
					}
					byShard[i][k] = code
				}
				return nil
			})
		}
	}
	must(t, group.Wait())
	return byShard
}

// load sends requests to the nodes of a fleet until it is stopped.
type load struct {
	*auditor
	*audit.Load[*program]

	nodes []*program
}

func (a *auditor) newLoad() *load { return a.loadOf(a.f.nodes...) }

func (a *auditor) loadOf(nodes ...*program) *load {
	l := audit.NewLoad(a.f.t.Context(), a.Auditor, nodes)
	return &load{auditor: a, Load: l, nodes: l.Nodes}
}

// stop ends the load and returns after the last response.
func (l *load) stop() { l.Stop() }

func (l *load) every(interval time.Duration, do func(n int, node *program)) { l.Every(interval, do) }

// creates starts a worker for each shard and one for minted codes.
func (l *load) creates() {
	for i := range l.f.shards {
		l.Creates(func() string { return l.f.aliasOn(i, store.NewKeyID()) })
	}
	l.Creates(nil)
}

func (l *load) hot(links []string)   { l.Hot(links) }
func (l *load) cold(links []string)  { l.Cold(links) }
func (l *load) edits(links []string) { l.Edits(links) }
