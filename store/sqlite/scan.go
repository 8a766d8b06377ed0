package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

// selectChanges finds changes owner by owner, because no index has all links in the order of
// time.
const selectChanges = `
	WITH RECURSIVE owners (owner) AS (
		SELECT min(owner) FROM links WHERE deleted_at = 0
		UNION ALL
		SELECT (SELECT min(l.owner) FROM links l WHERE l.deleted_at = 0 AND l.owner > o.owner)
		FROM owners o WHERE o.owner IS NOT NULL
	), changes (at, code) AS (
		SELECT l.created_at, l.code FROM owners o CROSS JOIN links l
		WHERE l.owner = o.owner AND l.deleted_at = 0 AND (l.created_at, l.code) > (?1, ?2)
		UNION ALL
		SELECT h.replaced_at, h.code FROM link_history h WHERE (h.replaced_at, h.code) > (?1, ?2)
	)
	SELECT ` + linkColumns + `, 0, 0, 0, c.at
	FROM (SELECT at, code FROM changes ORDER BY at, code LIMIT ?3) c JOIN links l ON l.code = c.code
	ORDER BY c.at, c.code`

const claimScan = `INSERT INTO scans (name, state, holder, held_until) VALUES (?1, '', ?2, ?4)
	ON CONFLICT DO UPDATE SET holder = ?2, held_until = ?4 WHERE holder = ?2 OR held_until <= ?3
	RETURNING state`

// Changes implements store.Scanned.
func (s *Store) Changes(ctx context.Context, after store.Cursor, limit int) ([]store.Change, error) {
	rows, err := s.lists.QueryContext(ctx, selectChanges, micros(after.CreatedAt), after.Code, min(max(limit, 1), store.MaxPageLen))
	if err != nil {
		return nil, wrap(err, "changes", "")
	}
	defer rows.Close()
	var all []store.Change
	for rows.Next() {
		var c store.Change
		var at int64
		if c.Link, err = scanLink(extended{rows, []any{&at}}); err != nil {
			return nil, wrap(err, "changes", "")
		}
		c.At = moment(at)
		all = append(all, c)
	}
	return all, wrap(rows.Err(), "changes", "")
}

// ClaimScan implements store.Scanned.
func (s *Store) ClaimScan(ctx context.Context, name, holder string, ttl time.Duration) (string, error) {
	return change(ctx, s, "claim scan", name, func(ctx context.Context, tx tx) (state string, err error) {
		now := s.opts.Now()
		err = tx.QueryRowContext(ctx, claimScan, name, holder, micros(now), micros(now.Add(ttl))).Scan(&state)
		if errors.Is(err, sql.ErrNoRows) {
			err = store.ErrBusy
		}
		return state, err
	})
}

// SaveScan implements store.Scanned.
func (s *Store) SaveScan(ctx context.Context, name, holder, state string, ttl time.Duration) error {
	_, err := change(ctx, s, "save scan", name, func(ctx context.Context, tx tx) (none, error) {
		saved, err := tx.changes(ctx, `UPDATE scans SET state = ?, held_until = ? WHERE name = ? AND holder = ?`,
			state, micros(s.opts.Now().Add(ttl)), name, holder)
		if err == nil && !saved {
			err = store.ErrBusy
		}
		return none{}, err
	})
	return err
}
