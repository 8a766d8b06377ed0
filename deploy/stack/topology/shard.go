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

	"github.com/terse/terse/store/storetest/servers"
)

const (
	database = "terse"

	// syncEvery is how often a standby is looked for.
	syncEvery = 500 * time.Millisecond
	// syncTimeout bounds one look.
	syncTimeout = 5 * time.Second
)

// shard is two servers, a and b, of which one is the primary, a at first.
//
// The other is a synchronous standby for as long as it streams: what was
// acknowledged survives the loss of either, and the loss of the standby does not
// stop writes. That is what Patroni calls synchronous_mode. Safe for concurrent use.
type shard struct {
	name    string
	cluster *servers.Cluster

	mu      sync.Mutex
	primary *servers.Postgres
	standby *servers.Postgres
	synced  bool          // what the standby lacks was never acknowledged
	off     map[part]bool // servers that were stopped on purpose
	isCut   bool          // the primary waits for a standby that it cannot reach
}

func (t *Topology) startShard(ctx context.Context, name string) (*shard, error) {
	c, err := servers.StartCluster(ctx, servers.ClusterOptions{
		Place: t.place(name), Replicas: 1, Durable: t.opts.Durable, Settings: t.opts.postgres(),
	})
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", name, err)
	}
	t.opened(c.Stop)
	s := &shard{name: name, cluster: c, primary: c.Primary(), standby: c.Replicas()[0], off: map[part]bool{}}
	if err := c.NewDatabase(ctx, database); err != nil {
		return nil, fmt.Errorf("shard %s: %w", name, err)
	}
	if err := s.look(ctx); err != nil {
		return nil, fmt.Errorf("shard %s: %w", name, err)
	}
	return s, nil
}

// setting is the shard as TERSE_SHARDS has it: whichever server is the primary, and
// whichever is the standby.
func (s *shard) setting() string {
	primary := s.cluster.DSN(database)
	return fmt.Sprintf("%s %s %s", s.name, primary, strings.Replace(primary, "=read-write", "=standby", 1))
}

// supervise starts a server again that has ended by itself, as Patroni and the kubelet
// do, and makes the standby synchronous for as long as it streams.
func (s *shard) supervise(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.revive(ctx)
			_ = s.look(ctx) // an unreachable primary is asked again
		}
	}
}

// revive starts the servers that have ended by themselves. Postgres ends when it cannot
// write its log, as on a full disk, and each start fails until there is room.
func (s *shard) revive(ctx context.Context) {
	for _, p := range []*servers.Postgres{s.cluster.Primary(), s.cluster.Replicas()[0]} {
		s.mu.Lock()
		ended := p.Pid() == 0 && !s.off[p]
		s.mu.Unlock()
		if ended {
			_ = p.Start(ctx) // it is tried again
		}
	}
}

// intend notes whether a server is meant to run.
func (s *shard) intend(p part, runs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off[p] = !runs
}

// look asks the primary whether its standby streams, and has it wait for the
// standby's word or not.
func (s *shard) look(ctx context.Context) error {
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
	s.synced = false // until the next look finds that it was so
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

// cut cuts the way to the standby, and lets the primary wait for it all the same.
func (s *shard) cut(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.synced {
		return errors.New("the standby is not synchronous")
	}
	s.isCut = true
	return s.standby.CutOff(ctx)
}

// promote makes the standby the primary. The old one must not run, and the
// standby must have had all that was acknowledged.
func (s *shard) promote(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.primary.Pid() != 0:
		return errors.New("the primary runs: kill or stop it first")
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

// rejoin makes a lost primary the standby of the new one, from a fresh copy.
func (s *shard) rejoin(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.standby.Follow(ctx, s.primary); err != nil {
		return err
	}
	s.off[s.standby] = false
	return nil
}
