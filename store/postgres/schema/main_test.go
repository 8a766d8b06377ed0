//go:build unix

package schema_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/migrations"
	"github.com/terse/terse/store/postgres/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMigrator uses databases of one cluster as shards.
func TestMigrator(t *testing.T) {
	t.Parallel()
	c := &cluster{Cluster: testenv.NewCluster(t, testenv.ClusterOptions{})}
	for _, tests := range []map[string]func(*testing.T, *cluster){
		schemaTests, lockTests, failureTests, dealTests, refusalTests, statusTests,
	} {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, c)
			})
		}
	}
}

// cluster is a server with a database for each shard.
type cluster struct {
	*testenv.Cluster
	databases atomic.Int64
}

// target returns a shard with a new, empty database.
func (c *cluster) target(t *testing.T, name string) schema.Target {
	t.Helper()
	database := fmt.Sprintf("%s_%d", name, c.databases.Add(1))
	if err := c.NewDatabase(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	return schema.Target{Name: name, DSN: c.Primary().DSN(database)}
}

// targets returns shards with empty databases, sorted by name.
func (c *cluster) targets(t *testing.T, names ...string) []schema.Target {
	t.Helper()
	var targets []schema.Target
	for _, name := range names {
		targets = append(targets, c.target(t, name))
	}
	return targets
}

// migrator returns a Migrator for targets.
func migrator(t *testing.T, targets ...schema.Target) *schema.Migrator {
	t.Helper()
	m, err := schema.New(options(t, targets...))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func options(t *testing.T, targets ...schema.Target) schema.Options {
	return schema.Options{Targets: targets, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// up migrates targets up, and fails the test after an error.
func up(t *testing.T, targets ...schema.Target) {
	t.Helper()
	if err := migrator(t, targets...).Up(t.Context()); err != nil {
		t.Fatalf("Up() = %v, want nil", err)
	}
}

// The version after the embedded steps, and the version after one more step.
var (
	latest = schema.Latest()
	next   = latest + 1
)

// refused fails the test unless err contains all words.
func refused(t *testing.T, op string, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s = %v, want an error with %q", op, err, word)
		}
	}
}

// connect returns a connection to a target. It is closed at the end of the test.
func connect(t *testing.T, target schema.Target) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), target.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// execute runs statements on a target.
func execute(t *testing.T, target schema.Target, statements ...string) {
	t.Helper()
	conn := connect(t, target)
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// query reads one value from a target.
func query[T any](t *testing.T, target schema.Target, sql string) T {
	t.Helper()
	var value T
	if err := connect(t, target).QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// numbers reads numbers from all targets, sorted.
func numbers(t *testing.T, sql string, targets ...schema.Target) []int {
	t.Helper()
	var all []int
	for _, target := range targets {
		rows, err := connect(t, target).Query(t.Context(), sql)
		if err != nil {
			t.Fatal(err)
		}
		some, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		all = append(all, some...)
	}
	slices.Sort(all)
	return all
}

// steps returns the embedded steps and one more step with the given statements.
func steps(t *testing.T, upSQL, downSQL string) fs.FS {
	t.Helper()
	embedded := migrations.Postgres()
	files, err := fs.Glob(embedded, "*")
	if err != nil {
		t.Fatal(err)
	}
	all := fstest.MapFS{}
	for _, file := range files {
		content, err := fs.ReadFile(embedded, file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = &fstest.MapFile{Data: content}
	}
	all[fmt.Sprintf("%04d_next.up.sql", next)] = &fstest.MapFile{Data: []byte(upSQL)}
	all[fmt.Sprintf("%04d_next.down.sql", next)] = &fstest.MapFile{Data: []byte(downSQL)}
	return all
}

// output is a log that can be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
