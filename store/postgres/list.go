package postgres

import (
	"context"
	"fmt"
	"strconv"
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

// searchTimeout limits a search or a list of one domain or state, which may read all links
// of an owner, unless CallTimeout is longer. It is shorter than the timeout of an API
// request, so that the answer can name the shard.
const searchTimeout = 5 * time.Second

// List implements store.Store. It reads the primary. A search, and a list of one domain or state, reads
// the owner's links one by one until the page is full; other lists use an index.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	if !keepable(q.Owner, q.Tag, q.Search, q.Target) || q.Domain != nil && !keepable(*q.Domain) {
		return store.Page{}, ctx.Err() // no link has such a text
	}
	limit := min(max(q.Limit, 1), store.MaxPageLen)
	query, args := listQuery(q, limit+1)
	var links []store.Link
	within := s.opts.CallTimeout
	if q.Search != "" || (q.Domain != nil || q.State != nil) && q.Target == "" {
		within = max(within, searchTimeout)
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

// The owners of links, found one after the other in an index. A query with one of them
// costs more with each owner, but none of the indexes makes creates slower.
const (
	linkOwners = `WITH RECURSIVE owners (hash) AS (
		(SELECT hashtextextended(l.owner, 0) FROM links l WHERE l.deleted_at IS NULL ORDER BY 1 LIMIT 1)
		UNION ALL
		SELECT (SELECT hashtextextended(l.owner, 0) FROM links l
			WHERE l.deleted_at IS NULL AND hashtextextended(l.owner, 0) > o.hash ORDER BY 1 LIMIT 1)
		FROM owners o WHERE o.hash IS NOT NULL
	)`

	tagOwners = `WITH RECURSIVE owners (owner) AS (
		(SELECT t.owner FROM link_tags t ORDER BY 1 LIMIT 1)
		UNION ALL
		SELECT (SELECT t.owner FROM link_tags t WHERE t.owner > o.owner ORDER BY 1 LIMIT 1)
		FROM owners o WHERE o.owner IS NOT NULL
	)`
)

// listQuery returns the query for q, with at most limit rows. It finds the page by one
// index and joins the totals only to the page. Hash expressions are the same as in the
// indexes.
func listQuery(q store.Query, limit int) (query string, args []any) {
	w := walk{key: "l"}
	owners := ""
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
			WHERE t.tag = %s`, q.Tag)
		if q.AllOwners {
			owners = tagOwners
			w.add(` AND t.owner = o.owner`)
		} else {
			w.add(` AND t.owner = %s`, q.Owner)
		}
	case q.AllOwners:
		owners = linkOwners
		w.add(`links l WHERE hashtextextended(l.owner, 0) = o.hash`)
	default:
		w.add(`links l WHERE hashtextextended(l.owner, 0) = hashtextextended(%[1]s, 0) AND l.owner = %[1]s`, q.Owner)
	}
	w.filter(&q)
	w.add(` ORDER BY `+w.key+`.created_at DESC, `+w.key+`.code DESC LIMIT %[1]s`, limit)
	page := `SELECT l.* FROM ` + w.sql.String()
	if owners != "" {
		page = `SELECT l.* FROM owners o CROSS JOIN LATERAL (` + page + `) l ORDER BY l.created_at DESC, l.code DESC LIMIT ` + strconv.Itoa(limit)
	}
	return owners + ` SELECT ` + linkColumns + `, ` + totalColumns + ` FROM (` + page + `) l` + joinTotals + `
		ORDER BY l.created_at DESC, l.code DESC`, w.args
}

// filter adds the conditions of q that need no index.
func (w *walk) filter(q *store.Query) {
	w.add(` AND l.deleted_at IS NULL AND (SELECT b.state = 'owned' FROM buckets b WHERE b.bucket = ` + w.key + `.bucket)`)
	if q.AllOwners {
		w.add(` AND l.owner <> %s`, store.CanaryOwner)
	}
	if !q.After.IsZero() {
		w.add(` AND (`+w.key+`.created_at, `+w.key+`.code) < (%s, %s)`, q.After.CreatedAt, q.After.Code)
	}
	if !q.CreatedFrom.IsZero() {
		w.add(` AND `+w.key+`.created_at >= %s`, q.CreatedFrom)
	}
	if !q.CreatedTo.IsZero() {
		w.add(` AND `+w.key+`.created_at < %s`, q.CreatedTo)
	}
	switch {
	case q.Domain == nil:
	case *q.Domain == "":
		w.add(` AND strpos(l.code, '/') = 0`)
	default:
		w.add(` AND starts_with(l.code, %s)`, store.LinkKey(*q.Domain, ""))
	}
	if q.Search != "" {
		// The search skips the domain in a key. With collation "C", lower changes only ASCII letters.
		w.add(` AND (strpos(lower(substr(l.code, strpos(l.code, '/') + 1)), lower(%[1]s COLLATE "C")) > 0
			OR strpos(lower(l.target), lower(%[1]s COLLATE "C")) > 0
			OR strpos(lower(l.title COLLATE "C"), lower(%[1]s COLLATE "C")) > 0)`, q.Search)
	}
	if q.State != nil {
		w.inState(*q.State, q.Now)
	}
}

// inState adds the condition of a state, see store.Link.State. Each state excludes the ones before it.
func (w *walk) inState(state store.State, now time.Time) {
	const usedUp = `coalesce(l.max_clicks, 0) > 0 AND coalesce(l.used_clicks, 0) >= l.max_clicks`
	if state == store.Disabled {
		w.add(` AND l.disabled_at IS NOT NULL`)
		return
	}
	w.add(` AND l.disabled_at IS NULL`)
	if state == store.Expired {
		w.add(` AND l.expires_at <= %s`, now)
		return
	}
	w.add(` AND (l.expires_at IS NULL OR l.expires_at > %s)`, now)
	if state == store.UsedUp {
		w.add(` AND ` + usedUp)
		return
	}
	w.add(` AND NOT (` + usedUp + `)`)
	switch state {
	case store.NotStarted:
		w.add(` AND l.starts_at > %s`, now)
	case store.Live:
		w.add(` AND (l.starts_at IS NULL OR l.starts_at <= %s)`, now)
	default:
		w.add(` AND false`)
	}
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
