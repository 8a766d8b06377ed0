package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// walkIndexes makes the planner read links in the order of an index until the page is
// full, for the rest of the transaction. The planner would otherwise sort all links of an
// owner, because it cannot estimate how many have the same hash. The setting makes sorts
// look expensive, so compilation is turned off, too.
const walkIndexes = `SELECT set_config('enable_sort', 'off', true), set_config('jit', 'off', true)`

// searchTimeout limits a search, which may read all links of an owner. It is shorter than
// the timeout of an API request, so that the answer can name the shard.
const searchTimeout = 5 * time.Second

// List implements store.Store. It reads the primary. A search reads the owner's links one
// by one until the page is full; other lists use an index.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	if !keepable(q.Owner, q.Tag, q.Search, q.Target) {
		return store.Page{}, ctx.Err() // no link has such a text
	}
	limit := min(max(q.Limit, 1), store.MaxPageLen)
	query, args := listQuery(q, limit+1)
	var links []store.Link
	within := s.opts.CallTimeout
	if q.Search != "" {
		within = searchTimeout
	}
	err := s.primary.readWithin(ctx, within, listRole(q), func(ctx context.Context, conn *pgx.Conn) error {
		var b pgx.Batch // one transaction
		b.Queue(walkIndexes)
		b.Queue(query, args...).Query(func(rows pgx.Rows) (err error) {
			links, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Link, error) { return scanTotals(row) })
			return err
		})
		return conn.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return store.Page{}, wrap(err, "list", "")
	}
	if len(links) <= limit {
		return store.Page{Links: links}, nil
	}
	last := links[limit-1]
	return store.Page{Links: links[:limit], Next: store.Cursor{CreatedAt: last.CreatedAt, Code: last.Code}}, nil
}

// listRole returns the role of a list. A list by target is part of a create.
func listRole(q store.Query) role {
	if q.Target != "" {
		return reads
	}
	return lists
}

// listQuery returns the query for q, with at most limit rows. It finds the page by one
// index and joins the totals only to the page. Hash expressions are the same as in the
// indexes.
func listQuery(q store.Query, limit int) (query string, args []any) {
	w := walk{key: "l"}
	switch {
	case q.Target != "":
		w.add(`links l WHERE hashtextextended(l.target, hashtextextended(l.owner, 0)) =
			hashtextextended(%[1]s, hashtextextended(%[2]s, 0)) AND l.target = %[1]s AND l.owner = %[2]s`, q.Target, q.Owner)
		if q.Tag != "" {
			w.add(` AND %s = ANY (l.tags)`, q.Tag)
		}
	case q.Tag != "":
		w.key = "t"
		// OFFSET keeps the planner from joining the tables in another order.
		w.add(`link_tags t CROSS JOIN LATERAL
			(SELECT * FROM links l WHERE l.bucket = t.bucket AND l.code = t.code OFFSET 0) l
			WHERE t.owner = %s AND t.tag = %s`, q.Owner, q.Tag)
	default:
		w.add(`links l WHERE hashtextextended(l.owner, 0) = hashtextextended(%[1]s, 0) AND l.owner = %[1]s`, q.Owner)
	}
	w.add(` AND l.deleted_at IS NULL AND (SELECT b.state = 'owned' FROM buckets b WHERE b.bucket = ` + w.key + `.bucket)`)
	if !q.After.IsZero() {
		w.add(` AND (`+w.key+`.created_at, `+w.key+`.code) < (%s, %s)`, q.After.CreatedAt, q.After.Code)
	}
	if q.Search != "" {
		// With collation "C", lower changes only ASCII letters.
		w.add(` AND (strpos(lower(l.code), lower(%[1]s COLLATE "C")) > 0
			OR strpos(lower(l.target), lower(%[1]s COLLATE "C")) > 0
			OR strpos(lower(l.title COLLATE "C"), lower(%[1]s COLLATE "C")) > 0)`, q.Search)
	}
	w.add(` ORDER BY `+w.key+`.created_at DESC, `+w.key+`.code DESC LIMIT %s`, limit)
	return `SELECT ` + linkColumns + `, ` + totalColumns + ` FROM (SELECT l.* FROM ` + w.sql.String() + `) l` + joinTotals + `
		ORDER BY l.created_at DESC, l.code DESC`, w.args
}

// walk builds a query for links piece by piece.
type walk struct {
	key  string // the table with the columns bucket, created_at and code of the order
	sql  strings.Builder
	args []any
}

// add appends a piece of SQL. Its formatting verbs are replaced by the numbers of the values.
func (w *walk) add(piece string, values ...any) {
	places := make([]any, len(values))
	for i := range values {
		places[i] = fmt.Sprintf("$%d", len(w.args)+1+i)
	}
	fmt.Fprintf(&w.sql, piece, places...)
	w.args = append(w.args, values...)
}
