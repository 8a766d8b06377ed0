package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

// resetGap is the least time between two resets, so that a server which refuses
// one kind of call does not cost all others their connections.
const resetGap = 100 * time.Millisecond

// primaryName is the name of the primary. Replicas are replica-1 and so on.
const primaryName = "primary"

// server is one server of the shard and the connections to it.
type server struct {
	name    string // "primary", "replica-1", …
	replica bool
	opts    *Options
	metrics *serverMetrics
	pools   [roles]*pgxpool.Pool // nil for what the server is not asked
	lines   [roles]line
	dropped atomic.Int64 // when all connections were, in Unix nanoseconds
	cold    *batch.Group[string, store.Link]
	shared  *branches // of the shard
	view    view
}

// newServer returns a server for some roles, to which nothing is connected yet.
func newServer(ctx context.Context, name, dsn string, of *Store, asked []role) (*server, error) {
	opts, m := &of.opts, of.metrics
	s := &server{name: name, replica: name != primaryName, opts: opts, metrics: m.server(name), shared: of.branches}
	for _, r := range asked {
		var err error
		s.lines[r] = newLine(m.breaker(name, r), s.metrics.retries)
		s.lines[r].took = m.calls(name, r)
		var primaryOf *branches
		if !s.replica {
			primaryOf = of.branches
		}
		if s.pools[r], err = newPool(ctx, dsn, r, primaryOf, opts.Tracer); err != nil {
			s.close()
			return nil, err
		}
	}
	m.pools(s)
	return s, nil
}

// do lets fn use a connection of role r. It tries again, for a second at most and
// within ctx, what is certain not to have been done, and asks nothing of a server
// that has just failed several times. Errors are those of the store, and ctx's own
// when that ended first.
func (s *server) do(ctx context.Context, r role, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	began := time.Now()
	err := s.lines[r].calls.WithContext(ctx).Run(func() error { return s.once(ctx, r, fn) })
	s.lines[r].took.Observe(time.Since(began).Seconds())
	switch {
	case err == nil:
		s.answered()
	case outage(err):
		s.metrics.failures.Inc()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return translate(err)
}

// read is do for an fn that changes nothing, within CallTimeout. It also retries
// after a connection broke.
func (s *server) read(ctx context.Context, r role, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	return s.readWithin(ctx, s.opts.CallTimeout, r, fn)
}

// readWithin is read with a timeout of its own. A server that does not answer in
// time is store.ErrUnavailable.
func (s *server) readWithin(ctx context.Context, timeout time.Duration, r role, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	own, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := s.do(own, r, func(ctx context.Context, conn *pgx.Conn) error {
		err := fn(ctx, conn)
		if outage(err) {
			return undone{err}
		}
		return err
	})
	if err != nil && own.Err() != nil && ctx.Err() == nil && errors.Is(err, own.Err()) {
		return unavailable(err)
	}
	return err
}

// once lets fn use a connection, and drops all connections when it turns out that
// they lead to the wrong place.
func (s *server) once(ctx context.Context, r role, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	conn, err := s.pools[r].Acquire(ctx)
	if err != nil {
		return undone{err}
	}
	defer conn.Release()
	if err := s.shared.current(conn.Conn()); err != nil {
		_ = conn.Conn().Close(ctx) // the pool connects to another server
		return undone{err}
	}
	if err = fn(ctx, conn.Conn()); demoted(err) {
		s.reset()
	}
	err = replicated(conn.Conn().PgConn(), err)
	if err == nil { // nothing is acknowledged that another server's branch lacks
		err = s.shared.current(conn.Conn())
	}
	return err
}

// answered lets reads try again at once, since the server has just answered. It
// leaves the breakers of other roles alone: a server whose commits hang answers
// reads and probes.
func (s *server) answered() {
	for _, r := range [...]role{redirects, reads, lists} {
		if s.pools[r] != nil && s.lines[r].breaker.IsOpen() {
			s.lines[r].breaker.HalfOpen()
		}
	}
}

// reset drops all connections: idle ones now, others when they are given back.
// Many calls that fail at once are one reason.
func (s *server) reset() {
	now, last := s.opts.Now().UnixNano(), s.dropped.Load()
	if now-last < int64(resetGap) || !s.dropped.CompareAndSwap(last, now) {
		return
	}
	s.metrics.resets.Inc()
	for _, pool := range s.pools {
		if pool != nil {
			pool.Reset()
		}
	}
}

// errPromoted is why a server that is listed as a replica is not read like one:
// it may be the new primary, or one that others have left behind.
var errPromoted = errors.New("it is no replica: it is or was a primary")

// inPlace refuses a server that is not what it is listed as. A primary that has
// become a replica may lead to another one when it is connected to anew.
func (s *server) inPlace(inRecovery bool) error {
	switch {
	case s.replica == inRecovery:
		return nil
	case s.replica:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, errPromoted)
	}
	s.reset()
	return fmt.Errorf("%w: it is a replica, not the primary", store.ErrUnavailable)
}

// close waits for the calls under way and closes all connections.
func (s *server) close() {
	if s.cold != nil {
		s.cold.Close()
	}
	for _, pool := range s.pools {
		if pool != nil {
			pool.Close()
		}
	}
}
