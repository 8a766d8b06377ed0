package sqlite

import (
	"context"

	"github.com/terse/terse/store"
)

// BlockHost implements store.Blocklist.
func (s *Store) BlockHost(ctx context.Context, h store.BlockedHost) error {
	pattern := h.Pattern.String()
	_, err := change(ctx, s, "block host", pattern, func(ctx context.Context, tx tx) (none, error) {
		_, err := tx.ExecContext(ctx, `INSERT INTO blocked_hosts (pattern, reason, blocked_by, blocked_at)
			VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET reason = excluded.reason`, pattern, h.Reason, h.By, micros(h.BlockedAt))
		return none{}, err
	})
	return err
}

// UnblockHost implements store.Blocklist.
func (s *Store) UnblockHost(ctx context.Context, p store.HostPattern) error {
	pattern := p.String()
	_, err := change(ctx, s, "unblock host", pattern, func(ctx context.Context, tx tx) (none, error) {
		removed, err := tx.changes(ctx, `DELETE FROM blocked_hosts WHERE pattern = ?`, pattern)
		if err == nil && !removed {
			err = store.ErrNotFound
		}
		return none{}, err
	})
	return err
}

// BlockedHosts implements store.Blocklist.
func (s *Store) BlockedHosts(ctx context.Context, after string, limit int) ([]store.BlockedHost, error) {
	rows, err := s.lists.QueryContext(ctx, `SELECT pattern, reason, blocked_by, blocked_at FROM blocked_hosts
		WHERE pattern > ? ORDER BY pattern LIMIT ?`, after, max(limit, 1))
	if err != nil {
		return nil, wrap(err, "blocked hosts", "")
	}
	defer rows.Close()
	var all []store.BlockedHost
	for rows.Next() {
		var h store.BlockedHost
		var pattern string
		var at int64
		if err := rows.Scan(&pattern, &h.Reason, &h.By, &at); err != nil {
			return nil, wrap(err, "blocked hosts", "")
		}
		if h.Pattern, err = store.ParseHostPattern(pattern); err != nil {
			return nil, wrap(err, "blocked hosts", pattern)
		}
		h.BlockedAt = moment(at)
		all = append(all, h)
	}
	return all, wrap(rows.Err(), "blocked hosts", "")
}

// BlocklistVersion implements store.BlocklistSource.
func (s *Store) BlocklistVersion(ctx context.Context) (version int64, err error) {
	err = s.lists.QueryRowContext(ctx, `SELECT version FROM blocklist_version`).Scan(&version)
	return version, wrap(err, "version of the blocklist", "")
}
