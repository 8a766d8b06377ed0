package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Status is the state of a shard.
type Status struct {
	Name          string
	SchemaVersion int
	Dirty         bool  // a migration failed midway
	MapVersion    int64 // grows with every change of Buckets
	Buckets       int   // owned by the shard
	Links         int64 // including tombstones
	Counted       bool  // Links is exact; else it is the planner's estimate
	Err           error // why the fields above are unknown
	Servers       []ServerStatus
}

// ServerStatus is the state of one server of a shard.
type ServerStatus struct {
	Name       string // "primary", "replica-1", …
	Usable     bool   // it may be read
	Address    string // host:port that was reached, or all that were tried
	InRecovery bool   // it is a replica
	Lag        Lag    // only for a replica
	Err        error  // why the server cannot be used
}

// Lag is how far a replica is behind the primary.
type Lag struct {
	Known bool
	Bytes int64         // of write-ahead log
	Time  time.Duration // age of the latest transaction that it shows; 0 if it shows all
}

// mostCounted is how many links are counted exactly. For more links the planner has an
// estimate, unless the table is new.
const mostCounted = 10_000

// selectStatus reads the state of the shard.
const selectStatus = `SELECT m.version, m.dirty, coalesce(s.map_version, 0), coalesce(s.name, ''),
	(SELECT count(*) FROM buckets WHERE state = 'owned'),
	(SELECT count(*) FROM (SELECT FROM links LIMIT $1 + 1) AS l)
	FROM schema_migrations m LEFT JOIN shard s ON true`

// estimateLinks returns the number of rows that the planner expects from the size of the
// table.
const estimateLinks = `EXPLAIN (FORMAT JSON) SELECT FROM links`

// selectServer reads the role and the position of a server.
const selectServer = `SELECT pg_is_in_recovery(),
	coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0', 0)::bigint,
	coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)::float8,
	coalesce((SELECT name FROM shard), '')`

// Status asks every server now. Each part has its own Err if its server did not answer.
func (s *Store) Status(ctx context.Context) Status {
	status := Status{Name: s.opts.Name, Servers: make([]ServerStatus, 1+len(s.replicas))}
	reached := make([]reach, len(status.Servers))
	var asking sync.WaitGroup
	asking.Go(func() { status.Err = s.askShard(ctx, &status) })
	asking.Go(func() { status.Servers[0], reached[0] = s.askServer(ctx, s.primary) })
	asking.Wait()
	// Replicas are asked after the primary: a lower position then means that they are behind.
	for i, replica := range s.replicas {
		asking.Go(func() { status.Servers[i+1], reached[i+1] = s.askServer(ctx, replica) })
	}
	asking.Wait()
	primary := &status.Servers[0]
	primary.Usable = primary.Err == nil
	for i := range s.replicas {
		replica, r := &status.Servers[i+1], reached[i+1]
		if replica.Err != nil || primary.Err != nil {
			continue
		}
		replica.Lag = Lag{Known: true, Bytes: max(0, int64(reached[0].at-r.at))}
		if replica.Lag.Bytes > 0 {
			replica.Lag.Time = r.age
		}
		replica.Usable = replica.Lag.Time <= s.opts.MaxLag
	}
	return status
}

// reach is how far a server has written or replayed the log.
type reach struct {
	at  position
	age time.Duration // age of the latest transaction that a replica shows
}

// askShard asks the primary for the state of the shard.
func (s *Store) askShard(ctx context.Context, status *Status) error {
	return s.ask(ctx, s.primary, func(conn *pgx.Conn) error {
		var name string
		err := conn.QueryRow(ctx, selectStatus, mostCounted).Scan(&status.SchemaVersion, &status.Dirty, &status.MapVersion,
			&name, &status.Buckets, &status.Links)
		if err != nil {
			return err
		}
		if status.Counted = status.Links <= mostCounted; !status.Counted {
			if err := status.estimate(ctx, conn); err != nil {
				return err
			}
		}
		return s.own(name)
	})
}

// estimate sets the number of links to the planner's estimate.
func (s *Status) estimate(ctx context.Context, conn *pgx.Conn) error {
	var plans []struct {
		Plan struct {
			Rows int64 `json:"Plan Rows"`
		}
	}
	if err := conn.QueryRow(ctx, estimateLinks).Scan(&plans); err != nil {
		return err
	}
	for i := range plans {
		s.Links = max(s.Links, plans[i].Plan.Rows)
	}
	return nil
}

// askServer asks one server for its role and its position.
func (s *Store) askServer(ctx context.Context, server *server) (status ServerStatus, r reach) {
	config := server.pools[control].Config().ConnConfig
	status = ServerStatus{Name: server.name, Address: fmt.Sprintf("%s:%d", config.Host, config.Port)}
	for _, f := range config.Fallbacks {
		status.Address += fmt.Sprintf(",%s:%d", f.Host, f.Port)
	}
	status.Err = s.ask(ctx, server, func(conn *pgx.Conn) error {
		status.Address = conn.PgConn().Conn().RemoteAddr().String()
		var name string
		var seconds float64
		if err := conn.QueryRow(ctx, selectServer).Scan(&status.InRecovery, &r.at, &seconds, &name); err != nil {
			return err
		}
		r.age = time.Duration(seconds * float64(time.Second))
		if err := s.own(name); err != nil {
			return err
		}
		if err := server.shared.current(conn); err != nil {
			return err
		}
		return server.inPlace(status.InRecovery)
	})
	return status, r
}

// own returns an error for the database of another shard.
func (s *Store) own(name string) error {
	if name != s.opts.Name {
		return fmt.Errorf("%w: it is shard %q", ErrWrongShard, name)
	}
	return nil
}

// askTimeout limits one question, so that an unreachable server leaves time for the others.
const askTimeout = 2 * time.Second

// ask runs fn with a connection of role control, without the breaker.
func (s *Store) ask(ctx context.Context, server *server, fn func(conn *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return server.pools[control].AcquireFunc(ctx, func(c *pgxpool.Conn) error { return fn(c.Conn()) })
}
