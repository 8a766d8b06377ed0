//go:build unix

package topology

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
)

const (
	database = "terse"

	// syncEvery is the interval between two checks of the standby.
	syncEvery = 500 * time.Millisecond
	// syncTimeout is the timeout of one check.
	syncTimeout = 5 * time.Second
)

// shard has two servers, a and b. At first a is the primary and b the standby.
//
// The standby is synchronous while it streams. So acknowledged writes survive the loss of
// either server, and the loss of the standby does not stop writes. Patroni calls this
// synchronous_mode. Safe for concurrent use.
type shard struct {
	name    string
	cluster *testenv.Cluster

	mu      sync.Mutex
	primary *testenv.Postgres
	standby *testenv.Postgres
	synced  bool          // the standby has every acknowledged write
	off     map[part]bool // servers that were stopped on purpose
	isCut   bool          // the primary waits for an unreachable standby
}

func (t *Topology) startShard(ctx context.Context, name string) (*shard, error) {
	c, err := testenv.StartCluster(ctx, testenv.ClusterOptions{
		Location: t.location(name), Replicas: 1, Durable: t.opts.Durable, Settings: t.opts.postgres(),
	})
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", name, err)
	}
	t.opened(c.Stop)
	s := &shard{name: name, cluster: c, primary: c.Primary(), standby: c.Replicas()[0], off: map[part]bool{}}
	if err := c.NewDatabase(ctx, database); err != nil {
		return nil, fmt.Errorf("shard %s: %w", name, err)
	}
	if err := s.checkStandby(ctx); err != nil {
		return nil, fmt.Errorf("shard %s: %w", name, err)
	}
	return s, nil
}

// setting returns the shard's part of TERSE_SHARDS. Its addresses find the current primary
// and standby.
func (s *shard) setting() string {
	primary := s.cluster.DSN(database)
	return fmt.Sprintf("%s %s %s", s.name, primary, strings.Replace(primary, "=read-write", "=standby", 1))
}

// supervise restarts servers that ended by themselves, like Patroni and the kubelet do,
// and makes the standby synchronous while it streams.
func (s *shard) supervise(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.revive(ctx)
			_ = s.checkStandby(ctx) // an error is retried at the next tick
		}
	}
}

// revive starts the servers that ended by themselves. Postgres ends when it cannot write
// its log, for example on a full disk. Each start then fails until there is space.
func (s *shard) revive(ctx context.Context) {
	for _, p := range []*testenv.Postgres{s.cluster.Primary(), s.cluster.Replicas()[0]} {
		s.mu.Lock()
		ended := p.Pid() == 0 && !s.off[p]
		s.mu.Unlock()
		if ended {
			_ = p.Start(ctx) // retried at the next tick
		}
	}
}

// intend records whether a server should run.
func (s *shard) intend(p part, runs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off[p] = !runs
}

// checkStandby checks whether the standby streams, and makes commits of the primary wait
// for the standby only while it does.
func (s *shard) checkStandby(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isCut {
		return nil
	}
	conn, err := pgx.Connect(ctx, s.primary.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var streams, waits bool
	err = conn.QueryRow(ctx, `
		select exists (select from pg_stat_replication where state = 'streaming'),
		       current_setting('synchronous_standby_names') <> ''`).Scan(&streams, &waits)
	if err != nil {
		return err
	}
	if streams == waits {
		s.synced = waits
		return nil
	}
	s.synced = false // the next check sets it, when the change is in effect
	return setSync(ctx, conn, streams)
}

func setSync(ctx context.Context, conn *pgx.Conn, on bool) error {
	names := map[bool]string{true: "ANY 1 (*)", false: ""}[on]
	for _, sql := range []string{"alter system set synchronous_standby_names = '" + names + "'", "select pg_reload_conf()"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// cut stops the replication to the standby. The primary still waits for the standby.
func (s *shard) cut(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.synced {
		return errors.New("the standby is not synchronous")
	}
	s.isCut = true
	return s.standby.CutOff(ctx)
}

// promote makes the standby the primary. It returns an error when the old primary runs,
// or when the standby may lack acknowledged writes.
func (s *shard) promote(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.primary.Pid() != 0:
		return errors.New("the primary is running: kill or stop it first")
	case !s.synced:
		return errors.New("the standby was not synchronous, so acknowledged links may be lost: start the old primary instead")
	}
	if err := s.standby.Promote(ctx); err != nil {
		return err
	}
	s.primary, s.standby, s.synced, s.isCut = s.standby, s.primary, false, false
	conn, err := pgx.Connect(ctx, s.primary.DSN("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return setSync(ctx, conn, false)
}

// rejoin makes the old primary the standby of the new one, from a fresh copy.
func (s *shard) rejoin(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.standby.Follow(ctx, s.primary); err != nil {
		return err
	}
	s.off[s.standby] = false
	return nil
}
