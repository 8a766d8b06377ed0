//go:build unix

package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// Promote makes a replica the primary of its own, and returns once it accepts
// writes. The old primary is left alone, and so are replicas that follow it.
func (p *Postgres) Promote(ctx context.Context) error {
	if err := p.Exec(ctx, "postgres", "select pg_promote(false)"); err != nil {
		return err
	}
	if err := p.await(ctx, "not pg_is_in_recovery()"); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.primary = nil // a later start must not make it a replica again
	return nil
}

// PauseReplay makes a replica stand still: it goes on to receive changes and
// shows none of them. It returns once nothing more is applied.
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

// SetReadOnly makes transactions read-only, or ends that. It touches no
// connection: open sessions learn of it with their next statement. It returns
// once new sessions see it.
func (p *Postgres) SetReadOnly(ctx context.Context, on bool) error {
	value := map[bool]string{true: "on", false: "off"}[on]
	// ALTER SYSTEM runs in no transaction with others.
	for _, sql := range []string{
		"alter system set default_transaction_read_only = " + value,
		"select pg_reload_conf()",
	} {
		if err := p.Exec(ctx, "postgres", sql); err != nil {
			return err
		}
	}
	err := poll(ctx, func() (bool, error) {
		return p.holds(ctx, "current_setting('default_transaction_read_only') = $1", value)
	})
	if err != nil {
		return fmt.Errorf("wait until %s takes its settings: %w", p.name, err)
	}
	return nil
}

// Follow makes a server that does not run, such as a lost primary, a replica of
// another, from a fresh copy of that one's data: its own is put aside. It returns
// once it streams.
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
		return errors.New("it runs, and must be stopped before")
	}
	data := p.folder.join(p.name)
	// The guard finds there the shared memory that a killed server has left.
	if err := os.Rename(data, fmt.Sprintf("%s-lost-%d", data, p.process.pid)); err != nil {
		return err
	}
	p.primary = primary
	return p.folder.run(ctx, p.install.program("pg_basebackup"), "--pgdata="+data, "--host="+upstream, "--port="+port,
		"--username="+superuser, "--checkpoint=fast", "--wal-method=stream", "--no-sync")
}

// awaitStreaming returns once these replicas receive changes as they happen.
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
