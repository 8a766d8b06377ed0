package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// probeTimeout limits one probe of one server.
const probeTimeout = time.Second

// probe reads the state of a server. A replica that does not replay has no position. The
// last column is the age of the latest transaction that a replica has replayed. After a
// restart of the replica it is the age of its first checkpoint.
const probe = `SELECT pg_is_in_recovery(),
	(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint,
	(SELECT name FROM shard), pg_postmaster_start_time(), clock_timestamp(),
	NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off',
	` + selectBranch + `,
	extract(epoch FROM clock_timestamp()
		- coalesce(pg_last_xact_replay_timestamp(), (SELECT checkpoint_time FROM pg_control_checkpoint())))::float8`

// view is the result of the latest probe of a server. Safe for concurrent use.
type view struct {
	mu sync.Mutex
	look
}

// look is the result of one probe.
type look struct {
	at         time.Time // when the server was asked; zero before the first probe
	answered   time.Time // when it last reported a position
	err        error     // why the server cannot be used
	unfit      bool      // the server must not be read, not even by readAnyAge
	inRecovery bool
	started    time.Time // start of the server; a different start means a different server
	clock      time.Time // time on the server's clock
	writes     bool      // it accepts writes
	branch     branch
	shows      time.Time // replica: commit time of its latest transaction
	position   position
	covers     time.Time // replica: see history.covers
	strayed    time.Time // replica: when it was last found ahead of the primary; zero if it is not
	compared   time.Time // replica: when it was last found not to be ahead of the primary
}

func (v *view) get() look {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.look
}

func (v *view) set(l look) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.look = l
}

// watch probes a server every ProbeEvery until ctx ends.
func (s *Store) watch(ctx context.Context, server *server) {
	tick := time.NewTicker(s.opts.ProbeEvery)
	defer tick.Stop()
	for {
		s.look(ctx, server)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look probes a server once, and logs when it becomes usable or unusable.
func (s *Store) look(ctx context.Context, server *server) {
	was := server.view.get()
	is := look{at: s.opts.Now()}
	is.err = s.probe(ctx, server, &is)
	if ctx.Err() != nil {
		return
	}
	is.answered = s.opts.Now()
	if is.err == nil {
		server.answered()
	}
	if errors.Is(is.err, errPromoted) {
		is.covers = was.covers
	}
	if is.position == 0 { // keep the earlier reading of its data
		is.position, is.answered, is.covers, is.shows = was.position, was.answered, was.covers, was.shows
		is.strayed, is.compared = was.strayed, was.compared
		is.unfit = is.unfit || was.unfit
	}
	if server == s.primary && is.err == nil {
		s.history.add(sample{is.at, is.position})
		if was.err != nil || !was.started.Equal(is.started) {
			s.history.doubt(is.answered)
		}
		s.written.forget(s.shown(is.at))
	}
	if server.replica && is.err == nil {
		s.age(&was, &is)
	}
	if is.err != nil && was.err == nil {
		server.reset()
	}
	server.view.set(is)
	server.metrics.looked(is, s.lagOf(is), s.opts.Now().Sub(is.upTo()))
	switch {
	case is.err != nil && (was.err == nil || was.at.IsZero()):
		s.opts.Logger.WarnContext(ctx, "server cannot be used", "shard", s.opts.Name, "server", server.name, "err", is.err)
	case is.err == nil && was.err != nil:
		s.opts.Logger.InfoContext(ctx, "server can be used again", "shard", s.opts.Name, "server", server.name)
	}
}

// probe asks a server without its breaker, so that it notices when the server recovers.
func (s *Store) probe(ctx context.Context, server *server, l *look) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var sent, got instant
	err := server.pools[control].AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		sent = s.instant()
		defer func() { got = s.instant() }()
		return s.inspect(ctx, c.Conn(), l)
	})
	if err != nil {
		s.branches.note(server.name, nil)
		if demoted(err) {
			server.reset()
		}
		return err
	}
	s.clock.read(sent, got, l.clock, !server.replica)
	s.saw(server.name, l)
	if err = s.branches.check(l.branch); err != nil {
		l.unfit = true
		server.reset()
		return err
	}
	err = server.inPlace(l.inRecovery)
	l.unfit = err != nil && !errors.Is(err, errPromoted)
	return err
}

// inspect reads the state of a connection's server. It returns an error if the server
// does not belong to the shard.
func (s *Store) inspect(ctx context.Context, conn *pgx.Conn, l *look) error {
	var name *string
	var at *int64
	var system, walFile string
	var age float64
	err := conn.QueryRow(ctx, probe).Scan(&l.inRecovery, &at, &name, &l.started, &l.clock, &l.writes, &system, &walFile, &age)
	switch {
	case err != nil:
		return err
	case at == nil:
		return errors.New("it has replayed nothing yet")
	case name == nil:
		return errors.New("it has no buckets yet: run terse migrate up")
	case *name != s.opts.Name:
		l.unfit = true
		return fmt.Errorf("%w: it is shard %s", ErrWrongShard, *name)
	}
	l.position = position(*at)
	l.shows = s.opts.Now().Add(-seconds(age))
	l.branch, err = newBranch(system, walFile)
	return err
}

// saw records the state of a server, and logs when several servers accept writes.
func (s *Store) saw(address string, l *look) {
	before := s.branches.writable()
	raised := s.branches.note(address, &sighting{l.branch, l.started, l.writes})
	now := s.branches.writable()
	switch {
	case now > 1 && before <= 1:
		s.opts.Logger.Error("several servers of a shard accept writes", "shard", s.opts.Name, "servers", now)
	case raised:
		s.opts.Logger.Info("another server was promoted", "shard", s.opts.Name, "server", address, "timeline", l.branch.timeline)
	}
	if raised {
		s.primary.reset()
	}
}

// age sets how old the data of a replica is. was is the result of the probe before.
//
// A replica ahead of the primary has writes that a failover discarded. It is unusable
// until the primary has passed it and it replays again, because then it follows the new
// primary. After the primary was unreachable, a replica is not trusted until it was found
// not to be ahead.
func (s *Store) age(was, is *look) {
	last, ok := s.history.last()
	comparable := ok && last.asked.After(was.answered)
	ahead := comparable && last.at < was.position
	is.compared = was.compared
	if comparable && !ahead {
		is.compared = last.asked
	}
	switch {
	case ahead:
		is.strayed = last.asked
	case was.position == is.position || !is.compared.After(was.strayed):
		is.strayed = was.strayed
	}
	if !is.strayed.IsZero() {
		is.unfit = true
		is.err = errors.New("it is ahead of the primary: it has followed another primary")
		return
	}
	if !s.history.trusts(is.compared) {
		return
	}
	is.covers = s.history.covers(is.position)
	if is.covers.IsZero() && is.position >= was.position {
		is.covers = was.covers
	}
}

// upTo returns the latest known time t with this property: the server shows every write
// before t.
func (l *look) upTo() time.Time {
	if l.covers.After(l.shows) {
		return l.covers
	}
	return l.shows
}

// keepMarks limits how long edits are remembered for a replica that does not replay.
const keepMarks = 10 * time.Minute

// shown returns a time t: all replicas show every edit before t, so that those edits need
// not be remembered.
func (s *Store) shown(now time.Time) time.Time {
	oldest := now.Add(-s.opts.MaxLag)
	for _, replica := range s.replicas {
		if l := replica.view.get(); l.position > 0 && l.covers.Before(oldest) {
			oldest = l.covers
		}
	}
	if most := now.Add(-keepMarks); oldest.Before(most) {
		return most
	}
	return oldest
}

// lagOf returns how far a replica is behind the primary.
func (s *Store) lagOf(l look) time.Duration {
	if l.covers.IsZero() {
		return s.opts.MaxLag + l.at.Sub(s.opened)
	}
	return s.opts.Now().Sub(l.covers)
}
