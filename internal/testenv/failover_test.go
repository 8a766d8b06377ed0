//go:build unix

package testenv_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/terse/terse/internal/testenv"
)

func TestPausedReplayShowsNothingNew(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.ClusterOptions{Replicas: 1})
	replica := c.Replicas()[0]
	waitReplicas(t, c)
	if err := replica.PauseReplay(t.Context()); err != nil {
		t.Fatalf("PauseReplay() = %v, want nil", err)
	}
	mustExec(t, c.Primary(), "insert into words values ('a')")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.WaitReplicas(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitReplicas() while replay is paused = %v, want %v", err, context.DeadlineExceeded)
	}
	wantWords(t, "paused replica", replica.DSN(database), 0)
	if err := replica.ResumeReplay(t.Context()); err != nil {
		t.Fatalf("ResumeReplay() = %v, want nil", err)
	}
	waitReplicas(t, c)
	wantWords(t, "resumed replica", replica.DSN(database), 1)
}

// TestCutOffStandbyHoldsCommits holds that a commit waits while the only synchronous
// standby is cut off, and is done once the standby is back.
func TestCutOffStandbyHoldsCommits(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.ClusterOptions{Replicas: 1, Sync: true})
	standby := c.Replicas()[0]
	if err := standby.CutOff(t.Context()); err != nil {
		t.Fatalf("CutOff() = %v, want nil", err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Primary().Exec(t.Context(), database, "insert into words values ('a')") }()
	testenv.Await(t, "a commit waits for a standby", func() bool {
		conn := connect(t, c.Primary().DSN(database))
		var waits bool
		err := conn.QueryRow(t.Context(), "select exists (select from pg_stat_activity where wait_event = 'SyncRep')").Scan(&waits)
		return err == nil && waits
	})
	select {
	case err := <-done:
		t.Errorf("insert while the standby is cut off = %v, want it to wait", err)
	default:
	}
	if err := standby.Reconnect(t.Context()); err != nil {
		t.Fatalf("Reconnect() = %v, want nil", err)
	}
	if err := <-done; err != nil {
		t.Errorf("insert after Reconnect() = %v, want nil", err)
	}
	waitReplicas(t, c)
	wantWords(t, "standby", standby.DSN(database), 1)
}

func TestReplicaTakesOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.ClusterOptions{Replicas: 1})
	old, replica := c.Primary(), c.Replicas()[0]
	mustExec(t, old, "insert into words values ('a')")
	waitReplicas(t, c)
	if err := old.Kill(); err != nil {
		t.Fatalf("Kill() = %v, want nil", err)
	}
	if err := replica.Promote(t.Context()); err != nil {
		t.Fatalf("Promote() = %v, want nil", err)
	}
	mustExec(t, replica, "insert into words values ('b')")
	wantWords(t, "cluster", c.DSN(database), 2)

	if err := old.Follow(t.Context(), replica); err != nil {
		t.Fatalf("Follow() = %v, want nil", err)
	}
	mustExec(t, replica, "insert into words values ('c')")
	testenv.Await(t, "the old primary shows 3 words", func() bool { return words(t, old.DSN(database)) == 3 })
	for _, p := range []*testenv.Postgres{old, replica} {
		if err := p.Stop(); err != nil {
			t.Fatalf("Stop() = %v, want nil", err)
		}
		if err := p.Start(t.Context()); err != nil {
			t.Fatalf("Start() = %v, want nil", err)
		}
	}
	mustExec(t, replica, "insert into words values ('d')")
	testenv.Await(t, "the old primary shows 4 words", func() bool { return words(t, old.DSN(database)) == 4 })
}

func TestKilledPrimaryRecovers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.ClusterOptions{})
	p := c.Primary()
	mustExec(t, p, "insert into words values ('a')")
	conn := connect(t, p.DSN(database))
	addr, pid := p.Addr(), p.Pid()
	if err := p.Kill(); err != nil {
		t.Fatalf("Kill() = %v, want nil", err)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("Ping() of a session of the killed server = nil, want an error")
	}
	if err := p.Kill(); err == nil {
		t.Error("Kill() of a killed server = nil, want an error")
	}
	if got := p.Pid(); got != 0 {
		t.Errorf("Pid() of a killed server = %d, want 0", got)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatalf("Start() = %v, want nil", err)
	}
	if err := p.Start(t.Context()); err == nil {
		t.Error("Start() of a running server = nil, want an error")
	}
	if p.Addr() != addr || p.Pid() == pid {
		t.Errorf("started again at %s as %d, want %s and not %d", p.Addr(), p.Pid(), addr, pid)
	}
	wantWords(t, "recovered server", p.DSN(database), 1)
}

func TestReadOnlyLeavesSessionsOpen(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.ClusterOptions{})
	p := c.Primary()
	open := connect(t, p.DSN(database))
	if err := p.SetReadOnly(t.Context(), true); err != nil {
		t.Fatalf("SetReadOnly(true) = %v, want nil", err)
	}
	const readOnly = "25006"
	testenv.Await(t, "an open session is read-only", func() bool {
		_, err := open.Exec(t.Context(), "insert into words values ('a') on conflict do nothing")
		var pgErr *pgconn.PgError
		return errors.As(err, &pgErr) && pgErr.Code == readOnly
	})
	if _, err := pgx.Connect(t.Context(), c.DSN(database)); err == nil {
		t.Error("Connect() for writing to a read-only cluster = nil, want an error")
	}
	if err := p.SetReadOnly(t.Context(), false); err != nil {
		t.Fatalf("SetReadOnly(false) = %v, want nil", err)
	}
	mustExec(t, p, "insert into words values ('b')")
}

func TestFrozenServerAnswersNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.ClusterOptions{})
	p := c.Primary()
	conn := connect(t, p.DSN(database))
	if err := p.Freeze(); err != nil {
		t.Fatalf("Freeze() = %v, want nil", err)
	}
	for name, ask := range map[string]func(ctx context.Context) error{
		"open session": func(ctx context.Context) error {
			_, err := conn.PgConn().Exec(ctx, "select 1").ReadAll()
			return err
		},
		"new session": func(ctx context.Context) error { return p.Exec(ctx, database, "select 1") },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := ask(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of a frozen server = %v, want %v", name, err, context.DeadlineExceeded)
		}
		cancel()
	}
	if err := p.Thaw(); err != nil {
		t.Fatalf("Thaw() = %v, want nil", err)
	}
	mustExec(t, p, "insert into words values ('a')")
	if err := p.Freeze(); err != nil {
		t.Fatalf("Freeze() = %v, want nil", err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("Stop() of a frozen server = %v, want nil", err)
	}
}

func TestKillEndsEveryProcess(t *testing.T) {
	t.Parallel()
	p := newCluster(t, testenv.ClusterOptions{}).Primary()
	if err := p.Freeze(); err != nil { // otherwise its children would end on their own
		t.Fatalf("Freeze() = %v, want nil", err)
	}
	s := signOf(t, p.Pid(), p.Addr())
	if len(s.pids) < 4 {
		t.Errorf("server has processes %v, want a postmaster and its children", s.pids)
	}
	if err := p.Kill(); err != nil {
		t.Fatalf("Kill() = %v, want nil", err)
	}
	if !s.gone(t) {
		t.Errorf("server %+v still exists after Kill()", s)
	}
}
