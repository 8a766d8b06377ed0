package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// selectTags finds the tags of the owner $1 after $2 one after the other in the primary key of
// link_tags, and counts at most $4 links of each. IS TRUE makes Postgres read the owned buckets once,
// and not join them for each tag.
const selectTags = `WITH RECURSIVE names (tag, n) AS (
		(SELECT t.tag, 1 FROM link_tags t WHERE t.owner = $1 AND t.tag > $2 ORDER BY t.tag LIMIT 1)
		UNION ALL
		SELECT (SELECT t.tag FROM link_tags t WHERE t.owner = $1 AND t.tag > names.tag ORDER BY t.tag LIMIT 1), names.n + 1
		FROM names WHERE names.tag IS NOT NULL AND names.n < $3
	)
	SELECT names.tag, (SELECT count(*) FROM (SELECT FROM link_tags t WHERE t.owner = $1 AND t.tag = names.tag
		AND (t.bucket IN (SELECT b.bucket FROM buckets b WHERE b.state = 'owned')) IS TRUE LIMIT $4) counted)
	FROM names WHERE names.tag IS NOT NULL`

// ListTags implements store.Tags. It reads the primary.
func (s *Store) ListTags(ctx context.Context, q store.TagQuery) (page store.TagPage, err error) {
	if !keepable(q.Owner, q.After) {
		return store.TagPage{}, ctx.Err() // no link has such a text
	}
	limit := min(max(q.Limit, 1), store.MaxPageLen)
	err = s.primary.read(ctx, lists, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, selectTags, q.Owner, q.After, limit+1, store.MaxTagLinks)
		if err != nil {
			return err
		}
		page.Tags, err = pgx.CollectRows(rows, pgx.RowToStructByPos[store.Tag])
		return err
	})
	if err != nil {
		return store.TagPage{}, wrap(err, "list tags", "")
	}
	if len(page.Tags) > limit {
		page.Tags = page.Tags[:limit]
		page.Next = page.Tags[limit-1].Name
	}
	page.Tags = slices.DeleteFunc(page.Tags, func(t store.Tag) bool { return t.Links == 0 }) // a moved bucket may have left its tags here
	return page, nil
}
