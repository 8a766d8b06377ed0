package postgres

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/terse/terse/store"
)

// linkColumns are the columns of a link in the order of linkRow. What stands for
// NULL is put in when they are read, which costs less than in the query.
const linkColumns = `l.code, l.target, l.owner, l.created_at, l.updated_at,
	l.version, l.status, l.forward_query,
	l.title, l.tags, l.starts_at, l.expires_at, l.max_clicks, l.used_clicks,
	l.password_hash, l.disabled_at, l.disabled_reason, l.deleted_at, l.request_id`

// totalColumns are the columns of a link's totals, which stand behind linkColumns
// for scanTotals. A tombstone has none, although a flush may add some while the
// link is deleted.
const totalColumns = `coalesce(c.total, 0), c.last_click_at`

// joinTotals joins the totals of the links l to a page of them. OFFSET makes the planner
// look each of them up: it does not know how short the page is.
const joinTotals = ` LEFT JOIN LATERAL
	(SELECT * FROM click_totals c WHERE c.bucket = l.bucket AND c.code = l.code AND l.deleted_at IS NULL OFFSET 0) c ON true`

// linkRow reads rows of linkColumns, one after the other.
type linkRow struct {
	link            store.Link
	status, forward zeronull.Int8
	places          []any // where the columns go
}

// newLinkRow returns a linkRow for rows that have further columns behind
// linkColumns, which go into more.
func newLinkRow(more ...any) *linkRow {
	r := &linkRow{}
	l := &r.link
	r.places = append([]any{
		text(&l.Code), text(&l.URL), text(&l.Owner), at(&l.CreatedAt), at(&l.UpdatedAt),
		number(&l.Version), &r.status, &r.forward,
		text(&l.Title), &l.Tags, at(&l.StartsAt), at(&l.ExpiresAt), number(&l.MaxClicks), number(&l.UsedClicks),
		text(&l.PasswordHash), at(&l.DisabledAt), text(&l.DisabledReason), at(&l.DeletedAt), text(&l.RequestID),
	}, more...)
	return r
}

// scan reads a row, and lends the link until the next one is read. The link of an
// outer join that found none has Version 0.
func (r *linkRow) scan(row pgx.Row) (*store.Link, error) {
	l := &r.link
	l.Tags = nil // the caller may keep those of the row before
	if err := row.Scan(r.places...); err != nil {
		return nil, err
	}
	l.Status, l.ForwardQuery = cmp.Or(int(r.status), http.StatusFound), store.ForwardQuery(r.forward) //nolint:gosec // few
	if l.UpdatedAt.IsZero() {
		l.UpdatedAt = l.CreatedAt
	}
	for _, t := range moments(l) {
		*t = t.UTC()
	}
	return l, nil
}

// scanLink reads linkColumns, and into more the columns behind them. The link of
// an outer join that found none has Version 0.
func scanLink(row pgx.Row, more ...any) (store.Link, error) {
	l, err := newLinkRow(more...).scan(row)
	if err != nil {
		return store.Link{}, err
	}
	return *l, nil
}

// scanTotals reads linkColumns, totalColumns, and into more the columns behind
// them.
func scanTotals(row pgx.Row, more ...any) (store.Link, error) {
	var clicks int64
	var last time.Time
	l, err := scanLink(row, append([]any{&clicks, at(&last)}, more...)...)
	if err != nil {
		return store.Link{}, err
	}
	l.Clicks, l.LastClickAt = clicks, last.UTC()
	return l, nil
}

// text reads a column in which NULL stands for the empty text.
func text(s *string) *zeronull.Text { return (*zeronull.Text)(s) }

// number reads a column in which NULL stands for 0.
func number(n *int64) *zeronull.Int8 { return (*zeronull.Int8)(n) }

// at reads a column in which NULL stands for the zero time.
func at(t *time.Time) *zeronull.Timestamptz { return (*zeronull.Timestamptz)(t) }

// moments are the times of a link.
func moments(l *store.Link) [7]*time.Time {
	return [...]*time.Time{
		&l.CreatedAt, &l.UpdatedAt, &l.StartsAt, &l.ExpiresAt, &l.DisabledAt, &l.DeletedAt, &l.LastClickAt,
	}
}

// asStored returns a copy of l, Tags included, as it comes back from the
// database. A write works on such a copy, because it may outlast its caller.
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

// micros returns a time as a column keeps it.
func micros(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

// orNull returns v for a column in which NULL stands for usual.
func orNull[T comparable](v, usual T) *T {
	if v == usual {
		return nil
	}
	return &v
}

// errText is returned for a text that no column can keep.
var errText = errors.New("text must be valid UTF-8 without U+0000")

// keepable reports whether text columns can keep all of these.
func keepable(texts ...string) bool {
	for _, s := range texts {
		if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
			return false
		}
	}
	return true
}
