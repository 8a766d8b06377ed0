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

// resetGap is the shortest time between two resets. Without it, a server that rejects one
// kind of call would close the connections of all other calls.
const resetGap = 100 * time.Millisecond

// primaryName is the name of the primary. Replicas are replica-1 and so on.
const primaryName = "primary"

// server is one server of the shard and the connections to it.
type server struct {
	name    string // "primary", "replica-1", …
	replica bool
	opts    *Options
	metrics *serverMetrics
	pools   [roles]*pgxpool.Pool // nil for roles that the server does not have
	lines   [roles]line
	dropped atomic.Int64 // time of the last reset, in Unix nanoseconds
	cold    *batch.Group[string, store.Link]
	shared  *branches // the shard's branches
	view    view
}

// newServer returns a server for some roles. It connects at the first use.
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

// do runs fn with a connection of role r. It retries for at most a second, within ctx, if
// fn certainly changed nothing. While the breaker is open it does not run fn. Errors are
// errors of the store, or the error of ctx if that ended first.
func (s *server) do(ctx context.Context, r role, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	began := time.Now()
	err := s.lines[r].run(ctx, func() error { return s.once(ctx, r, fn) })
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

// read is do within CallTimeout, for an fn that changes nothing. It also retries after a
// connection broke.
func (s *server) read(ctx context.Context, r role, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	return s.readWithin(ctx, s.opts.CallTimeout, r, fn)
}

// readWithin is read with another timeout. After that timeout the error is
// store.ErrUnavailable.
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

// once runs fn with a connection. If the error shows that connections are broken or
// lead to a server with another role, once drops all connections.
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
	if err == nil { // do not acknowledge a write that the new primary lacks
		err = s.shared.current(conn.Conn())
	}
	return err
}

// answered lets reads retry at once, because the server has just answered. It does not
// change the breakers of other roles: a server with hanging commits still answers reads
// and probes.
func (s *server) answered() {
	for _, r := range [...]role{redirects, reads, lists} {
		if s.pools[r] != nil && s.lines[r].breaker.IsOpen() {
			s.lines[r].breaker.HalfOpen()
		}
	}
}

// reset closes all connections: idle connections now, others when their calls end.
// Concurrent failures cause one reset.
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

// errPromoted is the error of a server that is listed as a replica but accepts writes. It
// may be the new primary, or a replaced one.
var errPromoted = errors.New("it is no replica: it is or was a primary")

// inPlace returns an error if a server does not have the role that it is listed with. If
// the primary has become a replica, new connections may lead to the new primary.
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

// close waits for running calls and closes all connections.
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
