//go:build unix

package schema_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store/postgres/schema"
)

var lockTests = map[string]func(*testing.T, *cluster){
	"LockTimeout":     lockTimeout,
	"ContextEnds":     contextEnds,
	"WaitsForAnother": waitsForAnother,
	"ForeignLock":     foreignLock,
	"PoolerIsRefused": poolerIsRefused,
	"SeveralHosts":    severalHosts,
}

// blocked returns a Migrator. Its next step waits for a transaction, which
// locks the table links of the first target until release is called.
func blocked(t *testing.T, timeout time.Duration, targets ...schema.Target) (m *schema.Migrator, release func()) {
	t.Helper()
	up(t, targets...)
	opts := options(t, targets...)
	opts.LockTimeout = timeout
	m, err := schema.NewWithSteps(opts, steps(t, "CREATE TABLE next (); ALTER TABLE links ADD COLUMN next text", "ALTER TABLE links DROP COLUMN next"))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := connect(t, targets[0]).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE links IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	return m, func() {
		t.Helper()
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func lockTimeout(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2")
	m, release := blocked(t, 300*time.Millisecond, targets...)
	refused(t, "Up()", m.Up(t.Context()), "shard s1: ", "longer than 300ms", "run the command again")
	atVersion(t, m, latest)
	release()
	if err := m.Up(t.Context()); err != nil {
		t.Fatalf("Up() again = %v, want nil", err)
	}
	atVersion(t, m, next)
}

func contextEnds(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2")
	m, release := blocked(t, time.Minute, targets...)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Up(ctx) }()
	testenv.Await(t, "the wait for a lock", func() bool { return waiting(t, targets[0]) })
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Up() = %v, want %v", err, context.Canceled)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("Up() continued after the end of its context")
	}
	atVersion(t, m, latest)
}

func waitsForAnother(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2")
	m, release := blocked(t, time.Minute, targets...)
	ended := make(chan error, 2)
	go func() { ended <- m.Up(t.Context()) }()
	testenv.Await(t, "the wait for a lock", func() bool { return waiting(t, targets[0]) })
	log := &output{}
	opts := options(t, targets[1]) // only one of the shards
	opts.Logger = slog.New(slog.NewTextHandler(log, nil))
	other, err := schema.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- other.Down(ctx) }()
	testenv.Await(t, "the wait for another run", func() bool { return strings.Contains(log.String(), "waiting for another migration") })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Down() during another run = %v, want %v", err, context.Canceled)
	}
	release()
	if err := <-ended; err != nil {
		t.Errorf("Up() = %v, want nil", err)
	}
	atVersion(t, m, next)
}

// foreignLock checks that waiting for golang-migrate's own lock ends after LockTimeout.
// The migrate program takes the same lock.
func foreignLock(t *testing.T, c *cluster) {
	target := c.target(t, "s1")
	m, release := blocked(t, 300*time.Millisecond, target)
	release()
	holder := connect(t, target)
	name := holder.Config().Database
	id, err := database.GenerateAdvisoryLockId(name, "public", "schema_migrations")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_lock($1::text::bigint)", id); err != nil {
		t.Fatal(err)
	}
	refused(t, "Up()", m.Up(t.Context()), "shard s1: ", "longer than 300ms", "run the command again")
	atVersion(t, m, latest)
}

func poolerIsRefused(t *testing.T, c *cluster) {
	s1 := c.target(t, "s1")
	config := connect(t, s1).Config()
	pooler := testenv.NewPgBouncer(t, c.Primary())
	m := migrator(t, schema.Target{Name: "s1", DSN: pooler.DSN(config.Database)})
	refused(t, "Up()", m.Up(t.Context()), "shard s1: ", "unsupported startup parameter")
	atVersion(t, migrator(t, s1), 0)
}

func severalHosts(t *testing.T, c *cluster) {
	s1 := c.target(t, "s1")
	s1.DSN = strings.Replace(s1.DSN, "@127", "@127.0.0.1:1,127", 1)
	up(t, s1)
	dealtOnce(t, s1)
}

// waiting reports whether a statement waits for a lock.
func waiting(t *testing.T, target schema.Target) bool {
	t.Helper()
	return query[bool](t, target, `
		SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`)
}
