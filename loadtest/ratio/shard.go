//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
)

// bench is shared by all parts: one Postgres, with a database for each number of links.
type bench struct {
	opts    options
	cluster *testenv.Cluster  // nil until a part needs it
	shards  map[string]*shard // by their databases
}

func newBench(o options) *bench { return &bench{opts: o, shards: map[string]*shard{}} }

// close stops Postgres and removes its data.
func (b *bench) close() {
	if b.cluster == nil {
		return
	}
	if err := b.cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "ratio:", err)
	}
}

// shard is a database with links.
type shard struct {
	primary  *testenv.Postgres
	database string
	links    links
	count    int
}

// shard returns a shard of n links that were inserted with indexes in place. The first
// call fills it.
func (b *bench) shard(ctx context.Context, n int) (*shard, error) {
	return b.filled(ctx, fmt.Sprintf("links_%d", n), n, (*shard).fill)
}

// bulkShard returns a shard of n links that may have been inserted before the indexes.
func (b *bench) bulkShard(ctx context.Context, n int) (*shard, error) {
	if b.shards[fmt.Sprintf("links_%d", n)] != nil {
		return b.shard(ctx, n)
	}
	return b.filled(ctx, fmt.Sprintf("bulk_%d", n), n, (*shard).bulkFill)
}

func (b *bench) filled(ctx context.Context, database string, n int, fill func(*shard, context.Context) error) (*shard, error) {
	if s := b.shards[database]; s != nil {
		return s, nil
	}
	if b.cluster == nil {
		var err error
		if b.cluster, err = testenv.StartCluster(ctx, testenv.ClusterOptions{Durable: true, Settings: settings()}); err != nil {
			return nil, err
		}
	}
	l, err := newLinks()
	if err != nil {
		return nil, err
	}
	s := &shard{primary: b.cluster.Primary(), database: database, links: l, count: n}
	if err := b.cluster.NewDatabase(ctx, database); err != nil {
		return nil, err
	}
	migrate := exec.CommandContext(ctx, b.opts.terse, "migrate", "up") //nolint:gosec // the operator names the binary
	migrate.Env = append(os.Environ(), "TERSE_SHARDS="+s.setting())
	if out, err := migrate.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("terse migrate up: %w: %s", err, out)
	}
	start := time.Now()
	if err := errors.Join(fill(s, ctx), s.settle(ctx)); err != nil {
		return nil, fmt.Errorf("fill a shard with %d links: %w", n, err)
	}
	fmt.Printf("filled a shard with %d links in %v\n", n, time.Since(start).Round(time.Second))
	b.shards[database] = s
	return s, nil
}

// settings configure Postgres as in production on a small machine. Checkpoints and vacuums
// run only between the parts, so that they do not disturb one side's turn.
func settings() map[string]string {
	return map[string]string{
		"autovacuum_naptime":   "1h",
		"shared_buffers":       "1GB",
		"maintenance_work_mem": "256MB",
		"max_wal_size":         "4GB",
		"checkpoint_timeout":   "1h",
		"max_connections":      "200", // two pgbench with up to 64 clients, and the nodes
	}
}

func (s *shard) dsn() string { return s.primary.DSN(s.database) }

// setting returns the shard in the form of TERSE_SHARDS.
func (s *shard) setting() string { return "s1 " + s.dsn() }

// start starts a node over the shard without limits for clients.
func (s *shard) start(ctx context.Context, binary string, settings ...string) (*process, error) {
	return startTerse(ctx, binary, append([]string{
		"TERSE_SHARDS=" + s.setting(), "TERSE_CODE_KEY=" + codeKeyText,
		"TERSE_LIMIT_CREATE_ANONYMOUS=off", "TERSE_LIMIT_CREATE_TOTAL=off", "TERSE_LIMIT_UNKNOWN=off",
	}, settings...)...)
}

// exec runs SQL.
func (s *shard) exec(ctx context.Context, sql string) error {
	return s.primary.Exec(ctx, s.database, sql)
}

// settle runs the pending vacuum and checkpoint, so that Postgres starts none during the
// measurement.
func (s *shard) settle(ctx context.Context) error {
	return errors.Join(s.exec(ctx, "VACUUM ANALYZE"), s.exec(ctx, "CHECKPOINT"))
}

// query calls use with a connection to the database.
func (s *shard) query(ctx context.Context, use func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.dsn())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return use(conn)
}
