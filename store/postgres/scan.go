package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// selectChanges goes from owner to owner through the index of their links. An index of
// all links by time would slow down every create.
const selectChanges = linkOwners + `, changes (at, bucket, code) AS (
		SELECT l.created_at, l.bucket, l.code FROM owners o CROSS JOIN LATERAL (
			SELECT l.created_at, l.bucket, l.code FROM links l
			WHERE hashtextextended(l.owner, 0) = o.hash AND l.deleted_at IS NULL AND l.created_at >= $1
				AND (l.created_at, l.code) > ($1, $2)
				AND (SELECT b.state = 'owned' FROM buckets b WHERE b.bucket = l.bucket)
			ORDER BY l.created_at, l.code LIMIT $3
		) l
		UNION ALL
		(SELECT h.replaced_at, h.bucket, h.code FROM link_history h
		WHERE h.replaced_at >= $1 AND (h.replaced_at, h.code) > ($1, $2)
			AND (SELECT b.state = 'owned' FROM buckets b WHERE b.bucket = h.bucket)
		ORDER BY h.replaced_at, h.code LIMIT $3)
	)
	SELECT ` + linkColumns + `, c.at
	FROM (SELECT c.at, c.bucket, c.code FROM changes c ORDER BY c.at, c.code LIMIT $3) c
	CROSS JOIN LATERAL (SELECT * FROM links l WHERE l.bucket = c.bucket AND l.code = c.code OFFSET 0) l
	ORDER BY c.at, c.code`

const claimScan = `INSERT INTO scans AS s (name, holder, held_until, state)
	VALUES ($1, $2, clock_timestamp() + $3::interval, '')
	ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
	WHERE s.holder = excluded.holder OR s.held_until <= clock_timestamp()
	RETURNING state`

const saveScan = `UPDATE scans SET state = $3, held_until = clock_timestamp() + $4::interval WHERE name = $1 AND holder = $2`

// Changes implements store.Scanned. It reads the primary.
func (s *Store) Changes(ctx context.Context, after store.Cursor, limit int) ([]store.Change, error) {
	var all []store.Change
	err := s.primary.read(ctx, lists, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, selectChanges, micros(after.CreatedAt), after.Code, min(max(limit, 1), store.MaxPageLen))
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c store.Change, err error) {
			c.Link, err = scanLink(row, &c.At)
			c.At = c.At.UTC()
			return c, err
		})
		return err
	})
	return all, wrap(err, "changes", "")
}

// ClaimScan implements store.Scanned.
func (s *Store) ClaimScan(ctx context.Context, name, holder string, ttl time.Duration) (string, error) {
	state, err := detached(ctx, s, func(ctx context.Context) (state string, err error) {
		err = s.primary.do(ctx, writes, func(ctx context.Context, conn *pgx.Conn) error {
			err := conn.QueryRow(ctx, claimScan, name, holder, ttl).Scan(&state)
			if errors.Is(err, pgx.ErrNoRows) {
				return store.ErrBusy
			}
			return err
		})
		return state, err
	})
	return state, wrap(err, "claim scan", name)
}

// SaveScan implements store.Scanned.
func (s *Store) SaveScan(ctx context.Context, name, holder, state string, ttl time.Duration) error {
	_, err := detached(ctx, s, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.primary.do(ctx, writes, func(ctx context.Context, conn *pgx.Conn) error {
			tag, err := conn.Exec(ctx, saveScan, name, holder, state, ttl)
			if err == nil && tag.RowsAffected() == 0 {
				return store.ErrBusy
			}
			return err
		})
	})
	return wrap(err, "save scan", name)
}
