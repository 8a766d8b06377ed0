package postgres

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// selectRevisions reads linkColumns and the author of the current link and its earlier
// versions. An earlier version without a target is a tombstone. If the shard owns the bucket,
// it returns at least one row.
const selectRevisions = `
	SELECT ` + linkColumns + `, l.edited_by, l.edit_note
	FROM buckets b LEFT JOIN LATERAL (
		SELECT * FROM (
			SELECT code, target, owner, created_at, updated_at, version, status, forward_query, title, tags, starts_at,
				expires_at, max_clicks, NULL::bigint AS used_clicks, '*' || substr(password_hash, 8, 6) AS password_hash,
				disabled_at, disabled_reason, deleted_at, NULL::text AS request_id, confirm, rules, no_visitors, forward_path, edited_by, edit_note
			FROM links WHERE bucket = $1 AND code = $2 AND version < $3
			UNION ALL
			SELECT h.code, h.target, k.owner, k.created_at, h.updated_at, h.version, h.status, h.forward_query, h.title,
				h.tags, h.starts_at, h.expires_at, h.max_clicks, NULL, h.password_mark, h.disabled_at, h.disabled_reason,
				CASE h.target WHEN '' THEN coalesce(h.updated_at, k.created_at) END, NULL, h.confirm, h.rules, h.no_visitors, h.forward_path,
				h.edited_by, h.edit_note
			FROM link_history h JOIN links k ON k.bucket = h.bucket AND k.code = h.code
			WHERE h.bucket = $1 AND h.code = $2 AND h.version < $3
		) v ORDER BY v.version DESC LIMIT $4
	) l ON true
	WHERE b.bucket = $1 AND b.state = 'owned' ORDER BY l.version DESC`

// Revisions implements store.History. It reads the primary.
func (s *Store) Revisions(ctx context.Context, code string, before int64, limit int) ([]store.Revision, error) {
	if before <= 0 || before > math.MaxInt32 {
		before = math.MaxInt32
	}
	var all []store.Revision
	err := s.primary.read(ctx, lists, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, selectRevisions, store.BucketOf(code), code, before, max(limit, 1))
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scanRevision)
		switch {
		case err != nil:
			return err
		case len(all) == 0:
			return store.ErrMoved
		case all[0].Link.Version == 0: // the outer join found no version
			all = nil
		}
		return nil
	})
	return all, wrap(err, "revisions", code)
}

func scanRevision(row pgx.CollectableRow) (r store.Revision, err error) {
	r.Link, err = scanLink(row, text(&r.Author.ID), text(&r.Author.Note))
	if r.Link.Version == 1 {
		r.Author.ID = r.Link.Owner
	}
	return r, err
}
