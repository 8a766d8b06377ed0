package sqlite

import (
	"context"
	"math"

	"github.com/terse/terse/store"
)

// selectRevisions reads the current link and its earlier versions: the columns of scanLink,
// then the author. An earlier version without a target is a tombstone.
const selectRevisions = `
	SELECT ` + linkColumns + `, 0, 0, 0, l.edited_by, l.edit_note FROM (
		SELECT code, target, title, tags, owner, status, forward_query, starts_at, expires_at, max_clicks,
			CASE password_hash WHEN '' THEN '' ELSE '*' || substr(password_hash, 8, 6) END AS password_hash,
			disabled_at, disabled_reason, deleted_at, created_at, updated_at, version, '' AS request_id, 0 AS used_clicks,
			confirm, rules, no_visitors, forward_path, edited_by, edit_note
		FROM links WHERE code = ?1 AND version < ?2
		UNION ALL
		SELECT * FROM (
			SELECT h.code, h.target, h.title, h.tags, l.owner, h.status, h.forward_query, h.starts_at, h.expires_at,
				h.max_clicks, h.password_mark, h.disabled_at, h.disabled_reason,
				CASE h.target WHEN '' THEN h.updated_at ELSE 0 END, l.created_at, h.updated_at, h.version,
				'', 0, h.confirm, h.rules, h.no_visitors, h.forward_path, h.edited_by, h.edit_note
			FROM link_history h JOIN links l ON l.code = h.code
			WHERE h.code = ?1 AND h.version < ?2 ORDER BY h.version DESC LIMIT ?3)
	) l ORDER BY l.version DESC LIMIT ?3`

// Revisions implements store.History.
func (s *Store) Revisions(ctx context.Context, code string, before int64, limit int) ([]store.Revision, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.lists.QueryContext(ctx, selectRevisions, code, before, max(limit, 1))
	if err != nil {
		return nil, wrap(err, "revisions", code)
	}
	defer rows.Close()
	var all []store.Revision
	for rows.Next() {
		var r store.Revision
		if r.Link, err = scanLink(extended{rows, []any{&r.Author.ID, &r.Author.Note}}); err != nil {
			return nil, wrap(err, "revisions", code)
		}
		if r.Link.Version == 1 {
			r.Author.ID = r.Link.Owner
		}
		all = append(all, r)
	}
	return all, wrap(rows.Err(), "revisions", code)
}
