package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/idgen"
	"github.com/terse/terse/idgen/leasetest"
	"github.com/terse/terse/store/postgres"
)

var _ idgen.Leaser = (*postgres.Leases)(nil)

const ttl = 30 * time.Second

func TestLeaser(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	leasetest.TestLeaser(t, func(tb testing.TB) (a, b idgen.Leaser, advance func(time.Duration)) {
		database := c.database(tb)
		s, conn := c.open(tb, database, 0), c.connect(tb, database)
		advance = func(d time.Duration) {
			exec(tb, conn, "UPDATE node_leases SET leased_until = leased_until - $1::interval", d)
		}
		return s.Leases("a"), s.Leases("b"), advance
	})
}

// connect opens a session to the primary for the test.
func (c cluster) connect(tb testing.TB, database string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), c.Primary().DSN(database))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(tb.Context()) })
	return conn
}

func exec(tb testing.TB, conn *pgx.Conn, sql string, args ...any) {
	tb.Helper()
	if _, err := conn.Exec(tb.Context(), sql, args...); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

func TestLeases(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	s, conn := c.open(t, database, 0), c.connect(t, database)
	a, b := s.Leases("pod-a"), s.Leases("pod-b")
	exec(t, conn, "DELETE FROM node_leases WHERE node NOT IN (7, 8)") // the others belong to other shards

	used := time.Now().UTC().Truncate(time.Millisecond).Add(-time.Hour)
	if floor, err := a.AcquireNode(t.Context(), 7, ttl); err != nil || !floor.IsZero() {
		t.Fatalf("AcquireNode(7) = %v, %v, want the zero time", floor, err)
	}
	if held, err := a.Renew(t.Context(), 7, used, ttl); err != nil || !held {
		t.Errorf("Renew(7) = %v, %v, want true", held, err)
	}
	for node, reason := range map[int64]string{7: `leased by "pod-a" until 20`, 9: "another shard"} {
		if _, err := b.AcquireNode(t.Context(), node, ttl); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("AcquireNode(%d) = %v, want %s", node, err, reason)
		}
	}
	if node, _, err := b.Acquire(t.Context(), ttl); err != nil || node != 8 {
		t.Errorf("Acquire() = %d, %v, want 8, the only free one", node, err)
	}
	if node, _, err := b.Acquire(t.Context(), ttl); err == nil {
		t.Errorf("Acquire() = %d, want an error: the other node ids belong to other shards", node)
	}
	if err := a.Release(t.Context(), 7, used); err != nil {
		t.Errorf("Release(7) = %v, want nil", err)
	}
	if floor, err := b.AcquireNode(t.Context(), 7, ttl); err != nil || !floor.Equal(used) {
		t.Errorf("AcquireNode(7) = %v, %v, want %v", floor, err, used)
	}
}
