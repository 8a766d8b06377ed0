package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// probeTimeout bounds one look at one server.
const probeTimeout = time.Second

// probe reads what a server is. A replica that replays nothing has no position.
const probe = `SELECT pg_is_in_recovery(),
	(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint,
	(SELECT name FROM shard), pg_postmaster_start_time()`

// view is what the latest probe said of a server. Safe for concurrent use.
type view struct {
	mu sync.Mutex
	look
}

// look is the outcome of one probe.
type look struct {
	at         time.Time // when the server was asked; zero when it never was
	answered   time.Time // when it told its position
	err        error     // why it cannot be used
	unfit      bool      // what it shows must not be read, however old it may be
	inRecovery bool
	started    time.Time // when the server was: another time is another server
	position   position
	covers     time.Time // of a replica: see history
	strayed    time.Time // of a replica: when it was last found to have what the primary has not; zero when it was not
	compared   time.Time // of a replica: when it was last found not to be ahead of the primary
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

// look probes a server once, and tells the log when it turns usable or not.
func (s *Store) look(ctx context.Context, server *server) {
	was := server.view.get()
	is := look{at: s.opts.Now()}
	is.err = s.probe(ctx, server, &is)
	if ctx.Err() != nil {
		return
	}
	is.answered = s.opts.Now()
	if is.err == nil {
		server.heard()
	}
	if is.position == 0 { // what is known of its data stays true
		is.position, is.answered, is.covers = was.position, was.answered, was.covers
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
	server.metrics.looked(is, s.lagOf(is))
	switch {
	case is.err != nil && (was.err == nil || was.at.IsZero()):
		s.opts.Logger.WarnContext(ctx, "server cannot be used", "shard", s.opts.Name, "server", server.name, "err", is.err)
	case is.err == nil && was.err != nil:
		s.opts.Logger.InfoContext(ctx, "server can be used again", "shard", s.opts.Name, "server", server.name)
	}
}

// probe asks a server past its breaker, so that it is found when it comes back.
func (s *Store) probe(ctx context.Context, server *server, l *look) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var name *string
	var at *int64
	err := server.pools[control].AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		return c.QueryRow(ctx, probe).Scan(&l.inRecovery, &at, &name, &l.started)
	})
	switch {
	case err != nil:
		if demoted(err) {
			server.reset()
		}
		return err
	case at == nil:
		return errors.New("it has replayed nothing yet")
	case name == nil:
		return errors.New("it was dealt no buckets yet")
	case *name != s.opts.Name:
		l.unfit = true
		return fmt.Errorf("%w: it is shard %s", ErrWrongShard, *name)
	}
	l.position = position(*at)
	err = server.inPlace(l.inRecovery)
	l.unfit = err != nil && !errors.Is(err, errPromoted)
	return err
}

// age tells how old the data of a replica is, which showed was before. One that
// was ahead of the primary has what that lost when another took its place: it is
// of no use until the primary is past it and it moves, and so follows the new one. After the primary was away, a replica is
// not trusted before that was looked at.
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
		is.err = errors.New("it is ahead of the primary: it followed another one")
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

// keepMarks bounds for how long edits are remembered on account of a replica that
// stands still.
const keepMarks = 10 * time.Minute

// shown returns the moment before which all replicas show everything, so that
// edits from before it need not be remembered.
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

// lagOf returns how long ago the latest moment is that a replica shows.
func (s *Store) lagOf(l look) time.Duration {
	if l.covers.IsZero() {
		return s.opts.MaxLag + l.at.Sub(s.opened)
	}
	return s.opts.Now().Sub(l.covers)
}
