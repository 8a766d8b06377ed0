package sqlite

import (
	"context"

	"github.com/terse/terse/store"
)

// selectTags finds the tags one after the other in the primary key of link_tags.
const selectTags = `WITH RECURSIVE names (tag, n) AS (
		SELECT min(tag), 1 FROM link_tags WHERE owner = ?1 AND tag > ?2
		UNION ALL
		SELECT (SELECT min(tag) FROM link_tags WHERE owner = ?1 AND tag > names.tag), n + 1 FROM names WHERE names.tag IS NOT NULL AND n < ?3
	)
	SELECT n.tag, (SELECT count(*) FROM (SELECT 1 FROM link_tags WHERE owner = ?1 AND tag = n.tag LIMIT ?4))
	FROM names n WHERE n.tag IS NOT NULL`

// ListTags implements store.Tags.
func (s *Store) ListTags(ctx context.Context, q store.TagQuery) (page store.TagPage, err error) {
	limit := min(max(q.Limit, 1), store.MaxPageLen)
	rows, err := s.lists.QueryContext(ctx, selectTags, q.Owner, q.After, limit+1, store.MaxTagLinks)
	if err != nil {
		return store.TagPage{}, wrap(err, "list tags", "")
	}
	defer rows.Close()
	for rows.Next() {
		var t store.Tag
		if err := rows.Scan(&t.Name, &t.Links); err != nil {
			return store.TagPage{}, wrap(err, "list tags", "")
		}
		page.Tags = append(page.Tags, t)
	}
	if len(page.Tags) > limit {
		page.Tags = page.Tags[:limit]
		page.Next = page.Tags[limit-1].Name
	}
	return page, wrap(rows.Err(), "list tags", "")
}
