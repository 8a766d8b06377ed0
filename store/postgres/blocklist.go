package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/terse/terse/store"
)

const blockHost = `INSERT INTO blocked_hosts (blocked_at, bucket, pattern, reason, blocked_by)
	SELECT $3, $1, $4, $5, $6 FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned'
	ON CONFLICT (pattern) DO UPDATE SET reason = excluded.reason`

const unblockHost = `DELETE FROM blocked_hosts h USING buckets b
	WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned' AND h.bucket = b.bucket AND h.pattern = $3`

const selectBlockedHosts = `SELECT h.pattern, h.reason, h.blocked_by, h.blocked_at
	FROM blocked_hosts h JOIN buckets b ON b.bucket = h.bucket AND b.state = 'owned'
	WHERE h.pattern > $1 ORDER BY h.pattern LIMIT $2`

// ownsBucket reports whether the shard owns the bucket, for a statement that changed nothing.
const ownsBucket = `SELECT EXISTS (SELECT FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned')`

// BlockHost implements store.Blocklist.
func (s *Store) BlockHost(ctx context.Context, h store.BlockedHost) error {
	pattern := h.Pattern.String()
	_, err := s.execOwned(ctx, store.BucketOf(pattern), blockHost, micros(h.BlockedAt), pattern, h.Reason, h.By)
	return wrap(err, "block host", pattern)
}

// UnblockHost implements store.Blocklist.
func (s *Store) UnblockHost(ctx context.Context, p store.HostPattern) error {
	pattern := p.String()
	removed, err := s.execOwned(ctx, store.BucketOf(pattern), unblockHost, pattern)
	if err == nil && removed == 0 {
		err = store.ErrNotFound
	}
	return wrap(err, "unblock host", pattern)
}

// execOwned runs a statement and returns the number of rows that it changed. The first
// arguments of the statement are a bucket and its epoch. If the shard does not own the bucket,
// the error is store.ErrMoved. A result of 0 rows is as durable as a change.
func (s *Store) execOwned(ctx context.Context, bucket int, statement string, args ...any) (int64, error) {
	return detached(ctx, s, func(ctx context.Context) (int64, error) {
		epochs, err := s.known(ctx)
		if err != nil {
			return 0, err
		}
		var changed int64
		var owned bool
		err = s.fenced(ctx, []int{bucket}, func(b *pgx.Batch) {
			b.Queue(statement, append([]any{bucket, epochs[bucket]}, args...)...).Exec(func(tag pgconn.CommandTag) error {
				changed = tag.RowsAffected()
				return nil
			})
			b.Queue(ownsBucket, bucket, epochs[bucket]).QueryRow(func(row pgx.Row) error { return row.Scan(&owned) })
			b.Queue(barrier)
		})
		if err == nil && !owned {
			err = store.ErrMoved
		}
		return changed, err
	})
}

// BlockedHosts implements store.Blocklist.
func (s *Store) BlockedHosts(ctx context.Context, after string, limit int) ([]store.BlockedHost, error) {
	var all []store.BlockedHost
	err := s.primary.read(ctx, reads, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, selectBlockedHosts, after, max(limit, 1))
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scanBlockedHost)
		return err
	})
	return all, wrap(err, "blocked hosts", "")
}

func scanBlockedHost(row pgx.CollectableRow) (h store.BlockedHost, err error) {
	var pattern string
	if err := row.Scan(&pattern, &h.Reason, &h.By, &h.BlockedAt); err != nil {
		return h, err
	}
	h.BlockedAt = h.BlockedAt.UTC()
	h.Pattern, err = store.ParseHostPattern(pattern)
	return h, err
}

// BlocklistVersion implements store.BlocklistSource.
func (s *Store) BlocklistVersion(ctx context.Context) (version int64, err error) {
	err = s.primary.read(ctx, reads, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT version FROM blocklist_version`).Scan(&version)
	})
	return version, wrap(err, "version of the blocklist", "")
}
