//go:build unix

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/audit"
	"github.com/terse/terse/store"
)

// fleetDatabase is the name of each shard's database.
const fleetDatabase = "terse"

// fleet is several shards and the nodes that serve them. Each shard is a Postgres cluster.
// Shard i is named s(i+1). Only the goroutine of the test may use a fleet.
type fleet struct {
	t       *testing.T
	shards  []*testenv.Cluster
	owner   [store.Buckets]int // the first shard of each bucket
	environ []string
	nodes   []*program
}

// newFleet starts shards and distributes the buckets among them.
func newFleet(t *testing.T, shards int, opts testenv.ClusterOptions) *fleet {
	t.Helper()
	f := &fleet{t: t, shards: testenv.NewClusters(t, shards, opts)}
	named := make([]string, shards)
	for i, c := range f.shards {
		if err := c.NewDatabase(t.Context(), fleetDatabase); err != nil {
			t.Fatal(err)
		}
		named[i] = fmt.Sprintf("s%d %s", i+1, c.DSN(fleetDatabase))
		for _, replica := range c.Replicas() {
			named[i] += " " + replica.DSN(fleetDatabase)
		}
	}
	f.environ = []string{"TERSE_SHARDS=" + strings.Join(named, ";")}
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
		var stderr strings.Builder
		cmd := command(f.t, f.environ, args...)
		cmd.Stderr = &stderr
		stdout, err := cmd.Output()
		switch {
		case err == nil:
			return string(stdout)
		case attempt < 10 && strings.Contains(stderr.String(), "store is unavailable"): // the machine was too slow
		default:
			f.t.Fatalf("terse %v = %v: %s", args, err, stderr.String())
		}
	}
}

// serve starts one more node, and returns once it is ready.
func (f *fleet) serve(environ ...string) *program {
	f.t.Helper()
	p := start(f.t, f.t.TempDir(), slices.Concat(f.environ, []string{
		"TERSE_CODE_KEY=aSC7FmA0I5+1teXYpwy1758w8yPDIjOUQKEAJRrNWUA=",
		"TERSE_LIMIT_CREATE_KEY=off", "TERSE_LIMIT_UNKNOWN=off",
	}, environ)...)
	n := len(f.nodes) + 1
	f.t.Cleanup(func() {
		if f.t.Failed() {
			f.t.Logf("log of node %d: %s", n, p.stderr)
		}
	})
	f.nodes = append(f.nodes, p)
	testenv.Await(f.t, "the node to be ready", func() bool {
		status, _ := p.ask("/readyz")
		return status == http.StatusOK
	})
	return p
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
	conn, err := pgx.Connect(f.t.Context(), f.shards[shard].DSN(fleetDatabase))
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
	var status struct{ Shards []shardJSON }
	if err := json.Unmarshal(stdout, &status); err != nil {
		f.t.Fatalf("terse shard status printed %q: %v", stdout, err)
	}
	got := map[string]bool{}
	for _, s := range status.Shards {
		got[s.Name] = s.Error == "" && !slices.ContainsFunc(s.Servers, func(s serverJSON) bool { return s.Error != "" })
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

// freeze pauses the process of a node, and returns when it is paused.
func (p *program) freeze() {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(syscall.SIGSTOP))
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		p.t.Fatalf("the node is not frozen: %v, %v: %s", status, err, p.stderr)
	}
}

// thaw continues a paused process.
func (p *program) thaw() {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(syscall.SIGCONT))
}

// ask returns the response of the admin listener. The status is 0 without a response.
func (p *program) ask(path string) (status int, body string) {
	c := client()
	defer c.CloseIdleConnections()
	response, err := c.Get(p.admin + path)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(text)
}

// metric returns the sum of the series of a metric with all the labels. A label has the form
// name="value". It fails the test when there is no such series.
func (p *program) metric(name string, labels ...string) (sum float64) {
	p.t.Helper()
	status, body := p.ask("/metrics")
	found := false
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(\{.*\})? (\S+)$`).FindAllStringSubmatch(body, -1) {
		if slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(m[1], label) }) {
			continue
		}
		value, err := strconv.ParseFloat(m[2], 64)
		must(p.t, err)
		sum += value
		found = true
	}
	if !found {
		p.t.Fatalf("metrics (status %d) lack %s%v", status, name, labels)
	}
	return sum
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

// must fails the test when err is not nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
