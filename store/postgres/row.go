package postgres

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/terse/terse/store"
)

// linkColumns are the columns of a link, in the order of linkRow. NULL is replaced by its
// meaning while reading, which costs less than in the query.
const linkColumns = `l.code, l.target, l.owner, l.created_at, l.updated_at,
	l.version, l.status, l.forward_query,
	l.title, l.tags, l.starts_at, l.expires_at, l.max_clicks, l.used_clicks,
	l.password_hash, l.disabled_at, l.disabled_reason, l.deleted_at, l.request_id, l.confirm, l.rules, l.no_visitors,
	l.forward_path`

// totalColumns are the columns of a link's totals. They follow linkColumns for
// scanTotals. A tombstone has no totals, even if a flush adds some during the delete.
const totalColumns = `coalesce(c.total, 0), coalesce(c.robots, 0), c.last_click_at`

// joinTotals joins the totals to a page of links l. OFFSET makes the planner look up each
// row, because it does not know how short the page is.
const joinTotals = ` LEFT JOIN LATERAL
	(SELECT * FROM click_totals c WHERE c.bucket = l.bucket AND c.code = l.code AND l.deleted_at IS NULL OFFSET 0) c ON true`

// linkRow reads rows of linkColumns one after the other.
type linkRow struct {
	link            store.Link
	status, forward zeronull.Int8
	confirm         pgtype.Bool
	noVisitors      pgtype.Bool
	forwardPath     pgtype.Bool
	places          []any // targets of Scan, in the order of the columns
}

// newLinkRow returns a linkRow. more are the targets of further columns after linkColumns.
func newLinkRow(more ...any) *linkRow {
	r := &linkRow{}
	l := &r.link
	r.places = append([]any{
		text(&l.Code), text(&l.URL), text(&l.Owner), at(&l.CreatedAt), at(&l.UpdatedAt),
		number(&l.Version), &r.status, &r.forward,
		text(&l.Title), &l.Tags, at(&l.StartsAt), at(&l.ExpiresAt), number(&l.MaxClicks), number(&l.UsedClicks),
		text(&l.PasswordHash), at(&l.DisabledAt), text(&l.DisabledReason), at(&l.DeletedAt), text(&l.RequestID),
		&r.confirm, text(&l.Rules), &r.noVisitors, &r.forwardPath,
	}, more...)
	return r
}

// scan reads a row. The link is valid until the next scan. Its Version is 0 if an outer
// join found no link.
func (r *linkRow) scan(row pgx.Row) (*store.Link, error) {
	l := &r.link
	l.Tags = nil // the caller may still use the tags of the row before
	if err := row.Scan(r.places...); err != nil {
		return nil, err
	}
	l.Status, l.ForwardQuery = cmp.Or(int(r.status), store.DefaultStatus), store.ForwardQuery(r.forward) //nolint:gosec // few
	l.Confirm, l.NoVisitors, l.ForwardPath = r.confirm.Bool, r.noVisitors.Bool, r.forwardPath.Bool
	if l.UpdatedAt.IsZero() {
		l.UpdatedAt = l.CreatedAt
	}
	for _, t := range moments(l) {
		*t = t.UTC()
	}
	return l, nil
}

// scanLink reads linkColumns, and further columns into more. The Version of the link is 0
// if an outer join found no link.
func scanLink(row pgx.Row, more ...any) (store.Link, error) {
	l, err := newLinkRow(more...).scan(row)
	if err != nil {
		return store.Link{}, err
	}
	return *l, nil
}

// scanTotals reads linkColumns and totalColumns, and further columns into more.
func scanTotals(row pgx.Row, more ...any) (store.Link, error) {
	var clicks, robots int64
	var last time.Time
	l, err := scanLink(row, append([]any{&clicks, &robots, at(&last)}, more...)...)
	if err != nil {
		return store.Link{}, err
	}
	l.Clicks, l.Robots, l.LastClickAt = clicks, robots, last.UTC()
	return l, nil
}

// text reads a column where NULL means the empty text.
func text(s *string) *zeronull.Text { return (*zeronull.Text)(s) }

// number reads a column where NULL means 0.
func number(n *int64) *zeronull.Int8 { return (*zeronull.Int8)(n) }

// at reads a column where NULL means the zero time.
func at(t *time.Time) *zeronull.Timestamptz { return (*zeronull.Timestamptz)(t) }

// moments returns pointers to the times of a link.
func moments(l *store.Link) [7]*time.Time {
	return [...]*time.Time{
		&l.CreatedAt, &l.UpdatedAt, &l.StartsAt, &l.ExpiresAt, &l.DisabledAt, &l.DeletedAt, &l.LastClickAt,
	}
}

// asStored returns a copy of l, including Tags, as the database would return it. A write
// uses a copy because it may outlive its caller.
func asStored(l store.Link) store.Link {
	for _, t := range moments(&l) {
		*t = micros(*t)
	}
	l.Tags = slices.Clone(l.Tags)
	if len(l.Tags) == 0 {
		l.Tags = nil
	}
	return l
}

// micros returns a time as a column stores it: in UTC, rounded down to microseconds.
func micros(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

// orNull returns v for a column, or nil (NULL) if v is usual.
func orNull[T comparable](v, usual T) *T {
	if v == usual {
		return nil
	}
	return &v
}

// errText is returned for a text that a column cannot store.
var errText = errors.New("text must be valid UTF-8 without U+0000")

// keepable reports whether text columns can store all texts.
func keepable(texts ...string) bool {
	for _, s := range texts {
		if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
			return false
		}
	}
	return true
}
