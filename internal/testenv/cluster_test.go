//go:build unix

package testenv_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
)

const database = "words"

func newCluster(t *testing.T, opts testenv.ClusterOptions) *testenv.Cluster {
	t.Helper()
	start := time.Now()
	c := testenv.NewCluster(t, opts)
	t.Logf("%d servers after %v", opts.Replicas+1, time.Since(start).Round(time.Millisecond))
	if err := c.NewDatabase(t.Context(), database); err != nil {
		t.Fatalf("NewDatabase(%q) = %v, want nil", database, err)
	}
	mustExec(t, c.Primary(), "create table words (word text primary key)")
	return c
}

func mustExec(t *testing.T, p *testenv.Postgres, sql string) {
	t.Helper()
	if err := p.Exec(t.Context(), database, sql); err != nil {
		t.Fatalf("Exec(%q) = %v, want nil", sql, err)
	}
}

func waitReplicas(t *testing.T, c *testenv.Cluster) {
	t.Helper()
	if err := c.WaitReplicas(t.Context()); err != nil {
		t.Fatalf("WaitReplicas() = %v, want nil", err)
	}
}

// connect opens a session that ends with the test.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("Connect(%q) = %v, want nil", dsn, err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func words(t *testing.T, dsn string) (n int) {
	t.Helper()
	conn := connect(t, dsn)
	if err := conn.QueryRow(t.Context(), "select count(*) from words", pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil {
		t.Fatalf("count over %s = %v, want nil", dsn, err)
	}
	return n
}

func wantWords(t *testing.T, what, dsn string, want int) {
	t.Helper()
	if got := words(t, dsn); got != want {
		t.Errorf("%s shows %d words, want %d", what, got, want)
	}
}

func TestReplicaShowsWhatWasWritten(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.ClusterOptions{Replicas: 2})
	mustExec(t, c.Primary(), "insert into words values ('a'), ('b')")
	waitReplicas(t, c)
	for _, replica := range c.Replicas() {
		wantWords(t, "replica", replica.DSN(database), 2)
		if err := replica.Exec(t.Context(), database, "insert into words values ('c')"); err == nil {
			t.Error("insert on a replica = nil, want an error")
		}
	}
	wantWords(t, "cluster", c.DSN(database), 2)
}

func TestSettingsReachTheServers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		opts testenv.ClusterOptions
		want map[string]string
	}{
		{
			"default",
			testenv.ClusterOptions{},
			map[string]string{"fsync": "off", "synchronous_commit": "on", "synchronous_standby_names": "", "autovacuum": "on"},
		},
		{
			"durable and synchronous",
			testenv.ClusterOptions{Durable: true, Sync: true, Replicas: 1},
			map[string]string{"fsync": "on", "full_page_writes": "on", "synchronous_standby_names": "ANY 1 (*)"},
		},
		{
			"chosen",
			testenv.ClusterOptions{Settings: map[string]string{"work_mem": "5MB", "max_connections": "17", "search_path": `'it', "s"`}},
			map[string]string{"work_mem": "5MB", "max_connections": "17", "search_path": `'it', "s"`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := testenv.NewCluster(t, tt.opts)
			conn := connect(t, c.DSN("postgres"))
			for key, want := range tt.want {
				var got string
				if err := conn.QueryRow(t.Context(), "select current_setting($1)", key).Scan(&got); err != nil || got != want {
					t.Errorf("%s = %q, %v, want %q", key, got, err, want)
				}
			}
		})
	}
}

func TestSyncCommitWaitsForAReplica(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.ClusterOptions{Replicas: 1, Sync: true})
	mustExec(t, c.Primary(), "insert into words values ('a')")
	if err := c.Replicas()[0].Freeze(); err != nil {
		t.Fatalf("Freeze() = %v, want nil", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Primary().Exec(ctx, database, "insert into words values ('b')"); err == nil {
		t.Error("insert while the only replica is frozen = nil, want it to wait")
	}
	if err := c.Replicas()[0].Thaw(); err != nil {
		t.Fatalf("Thaw() = %v, want nil", err)
	}
	mustExec(t, c.Primary(), "insert into words values ('c')")
}

func TestClustersStartTogether(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, c := range testenv.NewClusters(t, 3, testenv.ClusterOptions{Replicas: 1}) {
		for _, p := range append(c.Replicas(), c.Primary()) {
			seen[p.Addr()] = true
			if err := p.Exec(t.Context(), "postgres", "select 1"); err != nil {
				t.Errorf("Exec() at %s = %v, want nil", p.Addr(), err)
			}
		}
	}
	if len(seen) != 6 {
		t.Errorf("3 clusters have addresses %v, want 6", seen)
	}
}

func TestStartClusterRefuses(t *testing.T) {
	t.Parallel()
	for _, opts := range []testenv.ClusterOptions{
		{Replicas: -1},
		{Sync: true},
		{Settings: map[string]string{"no_such_setting": "1"}},
	} {
		c, err := testenv.StartCluster(t.Context(), opts)
		if err == nil {
			t.Errorf("StartCluster(%+v) = nil, want an error", opts)
			_ = c.Stop()
		}
	}
}
