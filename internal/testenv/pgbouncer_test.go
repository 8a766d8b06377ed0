//go:build unix

package testenv_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
)

func TestPgBouncerPoolsTransactions(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.ClusterOptions{})
	b := testenv.NewPgBouncer(t, c.Primary())
	mustExec(t, c.Primary(), "insert into words values ('a')")
	wantWords(t, "pooler", b.DSN(database), 1)

	// The pool has one idle connection, and both sessions use it in turn.
	first, second := connect(t, b.DSN(database)), connect(t, b.DSN(database))
	if got, want := backend(t, second), backend(t, first); got != want {
		t.Errorf("two idle sessions run in backends %d and %d, want one for both", want, got)
	}
	if err := b.Kill(); err != nil {
		t.Fatalf("Kill() = %v, want nil", err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatalf("Start() = %v, want nil", err)
	}
	wantWords(t, "restarted pooler", b.DSN(database), 1)
}

// backend returns the process id of the server's side of a session.
func backend(t *testing.T, conn *pgx.Conn) (pid int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "select pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid); err != nil {
		t.Fatalf("query through PgBouncer = %v, want nil", err)
	}
	return pid
}
