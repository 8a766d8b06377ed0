package schema

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connectTimeout bounds an attempt to connect whose DSN does not.
const connectTimeout = 10 * time.Second

// source is a shard and how to connect to it.
type source struct {
	name   string
	config *pgx.ConnConfig
}

// newSource reads the DSN of a target. pgx's error for one that cannot be read
// may hold parts of the password.
func newSource(t Target, lockTimeout time.Duration) (source, error) {
	pool, err := pgxpool.ParseConfig(t.DSN) // knows the settings of pools, which a DSN may carry
	if err != nil || t.DSN == "" {
		return source{}, fmt.Errorf("shard %s: its DSN is no connection URL that can be read", t.Name)
	}
	config := pool.ConnConfig
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	config.RuntimeParams["application_name"] = "terse migrate"
	config.RuntimeParams["lock_timeout"] = strconv.FormatInt(max(1, lockTimeout.Milliseconds()), 10)
	config.RuntimeParams["statement_timeout"] = "0"
	// A server must notice that a run is gone, or the locks of its sessions stay.
	config.RuntimeParams["tcp_keepalives_idle"] = "30"
	config.RuntimeParams["tcp_keepalives_interval"] = "10"
	config.RuntimeParams["tcp_keepalives_count"] = "3"
	return source{t.Name, config}, nil
}

// shard is a source with a connection, and what was last seen there.
type shard struct {
	source
	conn    *pgx.Conn // nil: it could not be reached
	version int       // of the schema; 0: none
	dirty   bool
	row     *row // nil: the database has not been told what it is
}

// row is what a shard knows of itself.
type row struct {
	name  string
	among []string // names of the shards among which buckets were dealt, sorted
	dealt bool     // all of them have their share
	owned int      // how many buckets it owns
}

func (s *shard) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("shard %s: %w", s.name, err)
}

// inspect reads the state of the shard.
func (s *shard) inspect(ctx context.Context) error {
	s.version, s.dirty, s.row = 0, false, nil
	var versioned, told bool
	err := s.conn.QueryRow(ctx, `
		SELECT to_regclass('schema_migrations') IS NOT NULL, to_regclass('shard') IS NOT NULL`).Scan(&versioned, &told)
	if err != nil {
		return fmt.Errorf("look at the schema: %w", err)
	}
	if versioned {
		err := s.conn.QueryRow(ctx, "SELECT version, dirty FROM schema_migrations LIMIT 1").Scan(&s.version, &s.dirty)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("read the schema's version: %w", err)
		}
		s.version = max(0, s.version) // golang-migrate's word for none is -1
	}
	if !told {
		return nil
	}
	r := &row{}
	err = s.conn.QueryRow(ctx, `
		SELECT name, dealt_among, dealt, (SELECT count(*) FROM buckets WHERE state = 'owned') FROM shard`,
	).Scan(&r.name, &r.among, &r.dealt, &r.owned)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read what the shard is: %w", err)
	}
	s.row = r
	return nil
}

// itself refuses the database of another shard.
func (s *shard) itself() error {
	if s.row != nil && s.row.name != s.name {
		return fmt.Errorf("this database is shard %s, not %s", s.row.name, s.name)
	}
	return nil
}

// clean refuses what itself refuses, and a shard on which a step failed.
func (s *shard) clean() error {
	err := s.itself()
	if s.dirty {
		err = errors.Join(err, dirtyError{s.name, s.version})
	}
	return err
}

// group is the shards of one run, in the order of their names.
type group []*shard

// connect connects to all shards. The group is to be closed also when some could
// not be reached, which the error names.
func connect(ctx context.Context, sources []source) (group, error) {
	g, errs := make(group, len(sources)), make([]error, len(sources))
	var all sync.WaitGroup
	for i, source := range sources {
		g[i] = &shard{source: source}
		all.Go(func() {
			conn, err := pgx.ConnectConfig(ctx, source.config)
			g[i].conn, errs[i] = conn, g[i].wrap(err)
		})
	}
	all.Wait()
	return g, errors.Join(errs...)
}

// inspect reads the state of all shards that could be reached.
func (g group) inspect(ctx context.Context) error {
	var errs []error
	for _, s := range g {
		if s.conn != nil {
			errs = append(errs, s.wrap(s.inspect(ctx)))
		}
	}
	return errors.Join(errs...)
}

// check asks one of the shards' checks of all.
func (g group) check(check func(*shard) error) error {
	var errs []error
	for _, s := range g {
		errs = append(errs, s.wrap(check(s)))
	}
	return errors.Join(errs...)
}

// close closes the connections, which frees their locks.
func (g group) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	for _, s := range g {
		if s.conn != nil {
			_ = s.conn.Close(ctx) // nothing is under way there
		}
	}
}

// closeTimeout bounds what is done with a server after the end of a run.
const closeTimeout = 5 * time.Second
