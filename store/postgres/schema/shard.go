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

// connectTimeout limits an attempt to connect, unless the DSN has its own limit.
const connectTimeout = 10 * time.Second

// source is a shard and how to connect to it.
type source struct {
	name   string
	config *pgx.ConnConfig
}

// newSource parses the DSN of a target. It hides pgx's error, which may contain parts of
// the password.
func newSource(t Target, lockTimeout time.Duration) (source, error) {
	pool, err := pgxpool.ParseConfig(t.DSN) // also accepts the settings of pools
	if err != nil || t.DSN == "" {
		return source{}, fmt.Errorf("shard %s: its DSN is not a valid connection URL", t.Name)
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
	// The server must notice a dead client, because its session keeps locks.
	config.RuntimeParams["tcp_keepalives_idle"] = "30"
	config.RuntimeParams["tcp_keepalives_interval"] = "10"
	config.RuntimeParams["tcp_keepalives_count"] = "3"
	return source{t.Name, config}, nil
}

// shard is a source with a connection and its state when it was last read.
type shard struct {
	source
	conn    *pgx.Conn // nil if the shard is unreachable
	version int       // of the schema; 0 means no schema
	dirty   bool
	row     *row // nil if no shard is recorded in the database
}

// row is what a database records about its shard.
type row struct {
	name  string
	among []string // sorted names of the shards of the deal
	dealt bool     // all of them have their buckets and node ids
	owned int      // number of buckets that it owns
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
		return fmt.Errorf("find the schema: %w", err)
	}
	if versioned {
		err := s.conn.QueryRow(ctx, "SELECT version, dirty FROM schema_migrations LIMIT 1").Scan(&s.version, &s.dirty)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("read the schema version: %w", err)
		}
		s.version = max(0, s.version) // golang-migrate uses -1 for no schema
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
		return fmt.Errorf("read the shard's row: %w", err)
	}
	s.row = r
	return nil
}

// itself returns an error for the database of another shard.
func (s *shard) itself() error {
	if s.row != nil && s.row.name != s.name {
		return fmt.Errorf("this database is shard %s, not %s", s.row.name, s.name)
	}
	return nil
}

// clean returns an error for the database of another shard, and for a dirty schema.
func (s *shard) clean() error {
	err := s.itself()
	if s.dirty {
		err = errors.Join(err, dirtyError{s.name, s.version})
	}
	return err
}

// group is the shards of one run, in the order of their names.
type group []*shard

// connect connects to all shards. The error names unreachable shards. The caller must
// close the group even after an error.
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

// inspect reads the state of all reachable shards.
func (g group) inspect(ctx context.Context) error {
	var errs []error
	for _, s := range g {
		if s.conn != nil {
			errs = append(errs, s.wrap(s.inspect(ctx)))
		}
	}
	return errors.Join(errs...)
}

// check runs one check on all shards.
func (g group) check(check func(*shard) error) error {
	var errs []error
	for _, s := range g {
		errs = append(errs, s.wrap(check(s)))
	}
	return errors.Join(errs...)
}

// close closes the connections, which releases their locks.
func (g group) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	for _, s := range g {
		if s.conn != nil {
			_ = s.conn.Close(ctx) // no statement is running
		}
	}
}

// closeTimeout limits the clean-up after the end of a run.
const closeTimeout = 5 * time.Second
