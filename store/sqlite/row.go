package sqlite

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/terse/terse/store"
)

// linkColumns are the columns of a link, in the order of linkValues and scanLink.
const linkColumns = `l.code, l.target, l.title, l.tags, l.owner, l.status, l.forward_query,
	l.starts_at, l.expires_at, l.max_clicks, l.password_hash, l.disabled_at, l.disabled_reason,
	l.deleted_at, l.created_at, l.updated_at, l.version, l.request_id, l.used_clicks, l.confirm, l.rules, l.no_visitors, l.forward_path`

// totalColumns are the clicks of a link. They follow linkColumns.
const totalColumns = `coalesce(c.total, 0), coalesce(c.robots, 0), coalesce(c.last_click_at, 0)`

// linkWithTotals selects links with their clicks. The caller adds conditions.
const linkWithTotals = `SELECT ` + linkColumns + `, ` + totalColumns + `
	FROM links l LEFT JOIN click_totals c ON c.code = l.code `

// linkWithoutTotals selects links for redirects. The caller adds conditions.
const linkWithoutTotals = `SELECT ` + linkColumns + `, 0, 0, 0 FROM links l `

// linkValues returns the values of linkColumns for l, and then the hash of its target.
func linkValues(l *store.Link) ([]any, error) {
	tags, err := encodeList(l.Tags)
	if err != nil {
		return nil, fmt.Errorf("tags: %w", err)
	}
	return []any{
		l.Code, l.URL, l.Title, tags, l.Owner, l.Status, l.ForwardQuery,
		micros(l.StartsAt), micros(l.ExpiresAt), l.MaxClicks, l.PasswordHash, micros(l.DisabledAt), l.DisabledReason,
		micros(l.DeletedAt), micros(l.CreatedAt), micros(l.UpdatedAt), l.Version, l.RequestID, l.UsedClicks, l.Confirm, l.Rules, l.NoVisitors, l.ForwardPath,
		targetHash(l.URL),
	}, nil
}

// scanner is one row of a result.
type scanner interface{ Scan(dest ...any) error }

// scanLink reads linkColumns and the click totals.
func scanLink(row scanner) (store.Link, error) {
	var (
		l                                                          store.Link
		tags                                                       string
		starts, expires, disabled, deleted, created, updated, last int64
	)
	err := row.Scan(
		&l.Code, &l.URL, &l.Title, &tags, &l.Owner, &l.Status, &l.ForwardQuery,
		&starts, &expires, &l.MaxClicks, &l.PasswordHash, &disabled, &l.DisabledReason,
		&deleted, &created, &updated, &l.Version, &l.RequestID, &l.UsedClicks, &l.Confirm, &l.Rules, &l.NoVisitors, &l.ForwardPath,
		&l.Clicks, &l.Robots, &last,
	)
	if err != nil {
		return store.Link{}, err
	}
	if l.Tags, err = decodeList[string](tags); err != nil {
		return store.Link{}, fmt.Errorf("tags: %w", err)
	}
	l.StartsAt, l.ExpiresAt = moment(starts), moment(expires)
	l.DisabledAt, l.DeletedAt = moment(disabled), moment(deleted)
	l.CreatedAt, l.UpdatedAt = moment(created), moment(updated)
	l.LastClickAt = moment(last)
	return l, nil
}

// scanLinks reads linkColumns and the click totals of all rows.
func scanLinks(rows *sql.Rows) (links []store.Link, err error) {
	for rows.Next() {
		l, err := scanLink(rows)
		if err != nil {
			return nil, err
		}
		links = append(links, l)
	}
	return links, rows.Err()
}

// asStored returns a copy of l, including Tags, with the values that the database would
// return. A write uses such a copy, because the write may outlast its caller.
func asStored(l store.Link) store.Link {
	for _, at := range []*time.Time{
		&l.StartsAt, &l.ExpiresAt, &l.DisabledAt, &l.DeletedAt, &l.CreatedAt, &l.UpdatedAt, &l.LastClickAt,
	} {
		*at = moment(micros(*at))
	}
	l.Tags = slices.Clone(l.Tags)
	if len(l.Tags) == 0 {
		l.Tags = nil
	}
	return l
}

// targetHash returns the hash that finds links by target.
func targetHash(target string) int64 {
	return int64(xxhash.Sum64String(target)) //nolint:gosec // keeps all 64 bits
}

// micros returns the stored form of a time: Unix microseconds, or 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// moment converts the stored form of a time to UTC.
func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// emptyList is the stored form of an empty list.
const emptyList = "[]"

// encodeList returns the stored form of a list of strings.
func encodeList[S ~string](list []S) (string, error) {
	if len(list) == 0 {
		return emptyList, nil
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// decodeList reads the stored form of a list. An empty list is nil.
func decodeList[S ~string](text string) (list []S, err error) {
	if text == emptyList {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &list)
	return list, err
}
