package sqlite

import (
	"context"
	"math"
	"strings"

	"github.com/terse/terse/store"
)

// List implements store.Store. A search reads the owner's links one by one until the page is
// full; every other query uses an index.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	limit := min(max(q.Limit, 1), store.MaxPageLen)
	query, args := listQuery(q, limit+1)
	rows, err := s.lists.QueryContext(ctx, query, args...)
	if err != nil {
		return store.Page{}, wrap(err, "list", "")
	}
	defer rows.Close()
	var page store.Page
	if page.Links, err = scanLinks(rows); err != nil {
		return store.Page{}, wrap(err, "list", "")
	}
	if len(page.Links) > limit {
		page.Links = page.Links[:limit]
		last := page.Links[limit-1]
		page.Next = store.Cursor{CreatedAt: last.CreatedAt, Code: last.Code}
	}
	return page, nil
}

// listQuery returns the query for q, with at most limit rows. It writes the condition on
// deleted_at like the partial indexes do, so that SQLite uses them.
func listQuery(q store.Query, limit int) (query string, args []any) {
	after := int64(math.MaxInt64)
	if !q.After.IsZero() {
		after = micros(q.After.CreatedAt)
	}
	var b strings.Builder
	where := func(condition string, values ...any) {
		b.WriteString(condition)
		args = append(args, values...)
	}
	b.WriteString(`SELECT ` + linkColumns + `, coalesce(c.total, 0), coalesce(c.last_click_at, 0) `)
	order := "l"
	if q.Tag == "" {
		where(`FROM links l LEFT JOIN click_totals c ON c.code = l.code WHERE l.owner = ?`, q.Owner)
	} else {
		order = "t"
		where(`FROM link_tags t JOIN links l ON l.code = t.code
			LEFT JOIN click_totals c ON c.code = l.code WHERE t.owner = ? AND t.tag = ?`, q.Owner, q.Tag)
	}
	where(` AND l.deleted_at = 0 AND (`+order+`.created_at, `+order+`.code) < (?, ?)`, after, q.After.Code)
	if q.Target != "" {
		where(` AND l.target_hash = ? AND l.target = ?`, targetHash(q.Target), q.Target)
	}
	if q.Search != "" {
		// lower converts only ASCII letters.
		where(` AND (instr(lower(l.code), lower(?)) OR instr(lower(l.target), lower(?)) OR instr(lower(l.title), lower(?)))`,
			q.Search, q.Search, q.Search)
	}
	where(` ORDER BY `+order+`.created_at DESC, `+order+`.code DESC LIMIT ?`, limit)
	return b.String(), args
}
