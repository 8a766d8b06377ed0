//go:build unix

package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
)

// TestClickTablesLocked locks the tables of clicks. Redirects and creates do not wait for the
// lock. After its release every click is counted exactly once.
func TestClickTablesLocked(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 1, testenv.ClusterOptions{})
	a := newAuditor(f, "")
	f.serve()
	f.serve()
	known := a.seed(400)[0]
	l := a.newLoad()
	l.creates()
	l.hot(known[:10])
	l.cold(known[10:])
	awaitDone(a, "create", 0, 20)

	conn, err := pgx.Connect(t.Context(), f.shards[0].DSN(testenv.ShardDatabase))
	must(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	lock, err := conn.Begin(t.Context())
	must(t, err)
	_, err = lock.Exec(t.Context(), "lock table click_totals, click_flushes")
	must(t, err)
	began := time.Now()
	testenv.Await(t, "a flush to wait for the lock", func() bool {
		var waits bool
		must(t, lock.QueryRow(t.Context(), "select exists (select from pg_locks where not granted)").Scan(&waits))
		return waits
	})
	for _, op := range []string{"hot", "cold", "create"} {
		awaitDone(a, op, 0, 100)
	}
	for _, op := range []string{"hot", "create"} {
		took := a.took(began, op)
		t.Logf("%d %ss, %v at most", len(took), op, took[len(took)-1])
	}
	must(t, lock.Rollback(t.Context()))
	l.stop()

	wantNone(a, began, "create", 0, 100)
	var visits int64
	for _, op := range []string{"hot", "cold", "fresh"} {
		wantNone(a, began, op, 0, 100)
		visits += int64(a.Counts()[op].Done)
	}
	var counted int64
	testenv.Await(t, fmt.Sprintf("%d clicks to be counted", visits), func() bool {
		counted, err = a.Clicks(t.Context())
		must(t, err)
		return counted >= visits
	})
	if counted != visits {
		t.Errorf("%d clicks were counted, want %d", counted, visits)
	}
	a.audit()
}
