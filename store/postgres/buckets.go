package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// ErrWrongShard is returned for a database that is another shard or has an unusable schema. An
// operator has to fix it.
var ErrWrongShard = errors.New("unusable shard database")

// bucketMap is one reading of the buckets that the shard owns. It never changes.
type bucketMap struct {
	version int64
	owned   []store.Bucket
	epochs  epochs
}

// selectShard reads the state of the database. It also reads the owned buckets, unless the map
// still has version $1.
const selectShard = `SELECT s.name, s.map_version, m.version, m.dirty,
	CASE WHEN s.map_version <> $1 THEN ARRAY(SELECT bucket FROM buckets WHERE state = 'owned' ORDER BY bucket) END,
	CASE WHEN s.map_version <> $1 THEN ARRAY(SELECT epoch FROM buckets WHERE state = 'owned' ORDER BY bucket) END
	FROM schema_migrations m LEFT JOIN shard s ON true`

// Buckets reads from the primary which buckets the shard owns, and keeps their epochs for
// later writes. If the primary is unreachable before the first reading, it reads a
// replica, so that redirects work: the primary fences writes anyway. version grows with
// every change of the buckets. The error is ErrWrongShard if the database has another
// name, or if its schema is dirty or too old. After an error, the earlier reading remains
// in use.
func (s *Store) Buckets(ctx context.Context) (owned []store.Bucket, version int64, err error) {
	last := s.buckets.Load()
	if last == nil {
		last = &bucketMap{}
	}
	var (
		name        *string
		mapVersion  *int64
		schema      int
		dirty       bool
		nums        []int16
		epochValues []int64
	)
	err = s.readShard(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, selectShard, last.version).Scan(&name, &mapVersion, &schema, &dirty, &nums, &epochValues)
	})
	if err == nil {
		err = s.admit(name, schema, dirty)
	}
	if sqlState(err) == codeUndefinedTable || errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: it has no schema yet: run terse migrate up", ErrWrongShard)
	}
	if err != nil {
		return nil, 0, wrap(err, "read buckets", "")
	}
	if *mapVersion == last.version {
		return last.owned, last.version, nil
	}
	next := bucketMap{version: *mapVersion}
	for i, n := range nums {
		next.owned = append(next.owned, store.Bucket{Number: int(n), Epoch: epochValues[i]})
		next.epochs[n] = epochValues[i]
	}
	s.buckets.Store(&next)
	return next.owned, next.version, nil
}

// readShard runs read with a connection to the primary. If the primary is unreachable before
// the first reading, readShard tries the replicas.
func (s *Store) readShard(ctx context.Context, read func(ctx context.Context, conn *pgx.Conn) error) error {
	err := s.primary.read(ctx, control, read)
	if !errors.Is(err, store.ErrUnavailable) || s.buckets.Load() != nil {
		return err
	}
	for _, replica := range s.replicas {
		if replica.read(ctx, control, read) == nil {
			return nil
		}
	}
	return err
}

// admit returns an error for a database that this process must not use.
func (s *Store) admit(name *string, schema int, dirty bool) error {
	switch {
	case dirty:
		return fmt.Errorf("%w: its schema is dirty at version %d: see terse migrate status", ErrWrongShard, schema)
	case schema < s.opts.SchemaVersion:
		return fmt.Errorf("%w: its schema has version %d, this binary needs %d: run terse migrate up", ErrWrongShard, schema, s.opts.SchemaVersion)
	case name == nil:
		return fmt.Errorf("%w: it has no buckets yet: run terse migrate up", ErrWrongShard)
	case *name != s.opts.Name:
		return fmt.Errorf("%w: it is shard %s, not %s", ErrWrongShard, *name, s.opts.Name)
	}
	return nil
}
