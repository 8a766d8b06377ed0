package sqlite

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/terse/terse/store"
)

// List implements store.Store. A search, and a list of one domain or state, reads the owner's links one
// by one until the page is full; every other query uses an index.
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

// owners are the owners of links, found one after the other in the index of the table.
const owners = `WITH RECURSIVE owners (owner) AS (
	SELECT min(owner) FROM %[1]s%[2]s
	UNION ALL
	SELECT (SELECT min(owner) FROM %[1]s WHERE owner > o.owner%[3]s) FROM owners o WHERE o.owner IS NOT NULL
) `

// listQuery returns the query for q, with at most limit rows. It writes the condition on
// deleted_at like the partial indexes do, so that SQLite uses them.
func listQuery(q store.Query, limit int) (query string, args []any) {
	var b strings.Builder
	where := func(condition string, values ...any) {
		b.WriteString(condition)
		args = append(args, values...)
	}
	const totals = ` LEFT JOIN click_totals c ON c.code = l.code `
	const columns = `SELECT ` + linkColumns + `, ` + totalColumns + ` `
	order := "l"
	if q.Tag != "" {
		order = "t"
	}
	switch {
	case q.AllOwners && q.Tag != "":
		where(fmt.Sprintf(owners, "link_tags", "", ""))
		where(columns + `FROM owners o JOIN links l ON l.code IN (SELECT t.code FROM link_tags t JOIN links l ON l.code = t.code WHERE t.owner = o.owner `)
	case q.AllOwners:
		where(fmt.Sprintf(owners, "links", " WHERE deleted_at = 0", " AND deleted_at = 0"))
		where(columns + `FROM owners o JOIN links l ON l.code IN (SELECT l.code FROM links l WHERE l.owner = o.owner `)
	case q.Tag != "":
		where(columns+`FROM link_tags t JOIN links l ON l.code = t.code`+totals+`WHERE t.owner = ? `, q.Owner)
	default:
		where(columns+`FROM links l`+totals+`WHERE l.owner = ? `, q.Owner)
	}
	filter(&q, order, where)
	where(` ORDER BY `+order+`.created_at DESC, `+order+`.code DESC LIMIT ?`, limit)
	if q.AllOwners {
		where(`)`+totals+`ORDER BY l.created_at DESC, l.code DESC LIMIT ?`, limit)
	}
	return b.String(), args
}

// filter adds the conditions of q except the owner. order is the table with the order.
func filter(q *store.Query, order string, where func(condition string, values ...any)) {
	after := int64(math.MaxInt64)
	if !q.CreatedTo.IsZero() {
		after = micros(q.CreatedTo)
	}
	code := ""
	if !q.After.IsZero() && micros(q.After.CreatedAt) < after {
		after, code = micros(q.After.CreatedAt), q.After.Code
	}
	where(` AND l.deleted_at = 0 AND (`+order+`.created_at, `+order+`.code) < (?, ?)`, after, code)
	if !q.CreatedFrom.IsZero() {
		where(` AND `+order+`.created_at >= ?`, micros(q.CreatedFrom))
	}
	if q.AllOwners {
		where(` AND l.owner <> ?`, store.CanaryOwner)
	}
	switch {
	case q.Domain == nil:
	case *q.Domain == "":
		where(` AND instr(l.code, '/') = 0`)
	default:
		prefix := store.LinkKey(*q.Domain, "")
		where(` AND substr(l.code, 1, length(?)) = ?`, prefix, prefix)
	}
	if q.Tag != "" {
		where(` AND t.tag = ?`, q.Tag)
	}
	if q.Target != "" {
		where(` AND l.target_hash = ? AND l.target = ?`, targetHash(q.Target), q.Target)
	}
	if q.Search != "" {
		// The search skips the domain in a key. lower converts only ASCII letters.
		where(` AND (instr(lower(substr(l.code, instr(l.code, '/') + 1)), lower(?)) OR instr(lower(l.target), lower(?)) OR instr(lower(l.title), lower(?)))`,
			q.Search, q.Search, q.Search)
	}
	if q.State != nil {
		inState(*q.State, micros(q.Now), where)
	}
}

// inState adds the condition of a state, see store.Link.State. Each state excludes the ones before it.
func inState(state store.State, now int64, where func(condition string, values ...any)) {
	const usedUp = `l.max_clicks > 0 AND l.used_clicks >= l.max_clicks`
	if state == store.Disabled {
		where(` AND l.disabled_at <> 0`)
		return
	}
	where(` AND l.disabled_at = 0`)
	if state == store.Expired {
		where(` AND l.expires_at <> 0 AND l.expires_at <= ?`, now)
		return
	}
	where(` AND (l.expires_at = 0 OR l.expires_at > ?)`, now)
	if state == store.UsedUp {
		where(` AND ` + usedUp)
		return
	}
	where(` AND NOT (` + usedUp + `)`)
	switch state {
	case store.NotStarted:
		where(` AND l.starts_at > ?`, now)
	case store.Live:
		where(` AND l.starts_at <= ?`, now)
	default:
		where(` AND false`)
	}
}
