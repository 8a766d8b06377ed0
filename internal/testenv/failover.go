//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// Promote makes a replica a primary and returns once it accepts writes. It does not
// touch the old primary or the replicas that follow the old primary.
func (p *Postgres) Promote(ctx context.Context) error {
	if err := p.Exec(ctx, "postgres", "select pg_promote(false)"); err != nil {
		return err
	}
	if err := p.await(ctx, "not pg_is_in_recovery()"); err != nil {
		return err
	}
	// What CutOff has set would reach whoever follows from a copy.
	if err := p.reload(ctx, "alter system reset primary_conninfo"); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.primary = nil // so that a later start does not make it a replica again
	return nil
}

// PauseReplay makes a replica continue to receive changes but not apply them. It
// returns once the replica has stopped applying.
func (p *Postgres) PauseReplay(ctx context.Context) error {
	if err := p.Exec(ctx, "postgres", "select pg_wal_replay_pause()"); err != nil {
		return err
	}
	return p.await(ctx, "pg_get_wal_replay_pause_state() = 'paused'")
}

// ResumeReplay ends PauseReplay.
func (p *Postgres) ResumeReplay(ctx context.Context) error {
	return p.Exec(ctx, "postgres", "select pg_wal_replay_resume()")
}

// CutOff cuts the way from a replica to its primary: the replica receives no more
// changes, and a primary with no other synchronous standby waits with every commit. It
// returns once both sides have noticed.
func (p *Postgres) CutOff(ctx context.Context) error {
	// Nobody listens there. ALTER SYSTEM runs in no transaction with others.
	if err := p.reload(ctx, "alter system set primary_conninfo = 'host=127.0.0.1 port=1'"); err != nil {
		return err
	}
	if err := p.await(ctx, "not exists (select from pg_stat_wal_receiver where status = 'streaming')"); err != nil {
		return err
	}
	p.mu.Lock()
	primary := p.primary
	p.mu.Unlock()
	return primary.await(ctx, "not exists (select from pg_stat_replication where application_name = $1)", p.applicationName())
}

// Reconnect ends CutOff, and returns once the replica streams again.
func (p *Postgres) Reconnect(ctx context.Context) error {
	if err := p.reload(ctx, "alter system reset primary_conninfo"); err != nil {
		return err
	}
	p.mu.Lock()
	primary := p.primary
	p.mu.Unlock()
	return primary.awaitStreaming(ctx, p)
}

// reload runs an ALTER SYSTEM and has the server read its settings again.
func (p *Postgres) reload(ctx context.Context, alter string) error {
	for _, sql := range []string{alter, "select pg_reload_conf()"} {
		if err := p.Exec(ctx, "postgres", sql); err != nil {
			return err
		}
	}
	return nil
}

// SetReadOnly makes transactions read-only, or writable again. It closes no
// connection: open sessions are affected from their next statement. It returns once
// new sessions are affected.
func (p *Postgres) SetReadOnly(ctx context.Context, on bool) error {
	return p.set(ctx, "default_transaction_read_only", map[bool]string{true: "on", false: "off"}[on])
}

// HangCommits makes every commit wait for a standby that does not exist, or ends
// that. Reads continue. A commit whose client cancels it stays: it was written
// before the wait. HangCommits returns once new sessions see the change.
func (p *Postgres) HangCommits(ctx context.Context, on bool) error {
	return p.set(ctx, "synchronous_standby_names", map[bool]string{true: "nobody", false: ""}[on])
}

// set changes a setting of the running server, and returns once new sessions see it.
func (p *Postgres) set(ctx context.Context, name, value string) error {
	if err := p.reload(ctx, fmt.Sprintf("alter system set %s = '%s'", name, value)); err != nil {
		return err
	}
	err := poll(ctx, func() (bool, error) {
		return p.isTrue(ctx, "current_setting($1) = $2", name, value)
	})
	if err != nil {
		return fmt.Errorf("wait until %s takes its settings: %w", p.name, err)
	}
	return nil
}

// Follow makes p a replica of primary, with a fresh copy of the primary's data. p
// must not be running; it may be a killed primary. The old data of p is renamed, not
// deleted. Follow returns once p streams.
func (p *Postgres) Follow(ctx context.Context, primary *Postgres) error {
	if err := p.copyFrom(ctx, primary); err != nil {
		return fmt.Errorf("%s follows %s: %w", p.name, primary.name, err)
	}
	if err := p.Start(ctx); err != nil {
		return err
	}
	return primary.awaitStreaming(ctx, p)
}

func (p *Postgres) copyFrom(ctx context.Context, primary *Postgres) error {
	upstream, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.process.ended() {
		return errors.New("it is running: stop it first")
	}
	data := p.folder.join(p.name)
	// The guard reads postmaster.pid in the renamed folder to remove the shared memory
	// of a killed server.
	if err := os.Rename(data, fmt.Sprintf("%s-lost-%d", data, p.process.pid)); err != nil {
		return err
	}
	p.primary = primary
	return p.folder.run(ctx, p.install.program("pg_basebackup"), "--pgdata="+data, "--host="+upstream, "--port="+port,
		"--username="+superuser, "--checkpoint=fast", "--wal-method=stream", "--no-sync")
}

// awaitStreaming returns once these replicas stream from p.
func (p *Postgres) awaitStreaming(ctx context.Context, replicas ...*Postgres) error {
	for _, replica := range replicas {
		err := p.await(ctx, "exists (select from pg_stat_replication where application_name = $1 and state = 'streaming')",
			replica.applicationName())
		if err != nil {
			return err
		}
	}
	return nil
}
