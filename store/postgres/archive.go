package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

// exportLinks reads links in the order of the primary key. It joins the totals only to the
// links of the page.
const exportLinks = `SELECT ` + linkColumns + `, ` + totalColumns + ` FROM (
		SELECT * FROM links l WHERE (l.bucket, l.code) > ($1, $2)
			AND (SELECT b.state = 'owned' FROM buckets b WHERE b.bucket = l.bucket)
		ORDER BY l.bucket, l.code LIMIT $3
	) l` + joinTotals + `
	ORDER BY l.bucket, l.code`

// importLink adds a link with its totals, unless its code is taken or the shard does not own
// its bucket. It returns the number of added links.
const importLink = `WITH added AS (
		INSERT INTO links (created_at, version, bucket, code, target, owner, updated_at, status, forward_query,
			title, tags, starts_at, expires_at, max_clicks, used_clicks, password_hash,
			disabled_at, disabled_reason, deleted_at, confirm, rules, no_visitors, forward_path)
		SELECT $4::timestamptz, $5::integer, $1::smallint, $2, $6, $7, nullif($8::timestamptz, $4::timestamptz), $9::smallint, $10::smallint,
			$11, $12::text[], $13::timestamptz, $14::timestamptz, $15::bigint, $16::bigint, $17,
			$18::timestamptz, $19, $22::timestamptz, $23::boolean, $25, $26::boolean, $27::boolean
		FROM buckets b WHERE b.bucket = $1 AND b.epoch = $3 AND b.state = 'owned'
		ON CONFLICT DO NOTHING
		RETURNING bucket, code
	), counted AS (
		INSERT INTO click_totals AS c (total, robots, last_click_at, bucket, code)
		SELECT $20::bigint, $24::bigint, $21::timestamptz, bucket, code FROM added WHERE $20::bigint > 0 OR $24::bigint > 0
		ON CONFLICT (bucket, code) DO UPDATE SET total = excluded.total, robots = excluded.robots, last_click_at = excluded.last_click_at
	)
	SELECT count(*) FROM added`

// newImports returns the group for imports, with one batch at a time.
func newImports(s *Store) (*batch.Group[store.Link, store.Link], error) {
	return batch.New(batch.Options[store.Link, store.Link]{
		Run:      s.importLinks,
		MaxBatch: s.opts.MaxBatch,
		Timeout:  s.opts.CallTimeout,
		Wait:     s.opts.CallTimeout,
	})
}

// Export implements store.Archive. It reads the primary. Links are ordered by bucket, then by
// code.
func (s *Store) Export(ctx context.Context, after string, limit int) ([]store.Link, error) {
	bucket := -1
	if after != "" {
		bucket = store.BucketOf(after)
	}
	var links []store.Link
	err := s.primary.read(ctx, lists, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, exportLinks, bucket, after, min(max(limit, 1), store.MaxPageLen))
		if err != nil {
			return err
		}
		links, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Link, error) { return scanTotals(row) })
		return err
	})
	return links, wrap(err, "export", "")
}

// Import implements store.Archive.
func (s *Store) Import(ctx context.Context, l store.Link) (store.Link, error) {
	l = asStored(l)
	l.RequestID = ""
	if !l.DeletedAt.IsZero() {
		l = l.Remains()
	}
	// One such text would fail the whole batch.
	if !keepable(l.Code, l.URL, l.Owner, l.Title, l.PasswordHash, l.DisabledReason, l.Rules) || !keepable(l.Tags...) {
		return store.Link{}, wrap(errText, "import", l.Code)
	}
	imported, err := s.imports.Do(ctx, l)
	return imported, wrap(err, "import", l.Code)
}

// importLinks imports the links of one batch in one transaction. They are sorted, so that a
// batch of imports and a batch of creates cannot deadlock.
func (s *Store) importLinks(ctx context.Context, links []store.Link) []batch.Result[store.Link] {
	results := make([]batch.Result[store.Link], len(links))
	order := make([]int, len(links))
	buckets := make([]int, len(links))
	for i := range links {
		order[i], buckets[i] = i, store.BucketOf(links[i].Code)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(buckets[a], buckets[b]), strings.Compare(links[a].Code, links[b].Code))
	})
	added := make([]int, len(links)) // added rows of each link
	epochs, err := s.known(ctx)
	if err == nil {
		err = s.fenced(ctx, buckets, func(b *pgx.Batch) {
			for _, i := range order {
				b.Queue(importLink, importArgs(&links[i], buckets[i], epochs[buckets[i]])...).QueryRow(func(row pgx.Row) error {
					return row.Scan(&added[i])
				})
			}
		})
	}
	switch {
	case err != nil && len(links) > 1 && refusesData(err):
		// A column rejects a value of one link. Import each link alone.
		for i := range links {
			results[i] = s.importLinks(ctx, links[i:i+1])[0]
		}
		return results
	case err != nil:
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	var rest []int
	for i := range links {
		if added[i] > 0 {
			results[i].Value = links[i]
		} else {
			rest = append(rest, i)
		}
	}
	s.judge(ctx, epochs, links, rest, results)
	return results
}

// importArgs returns the arguments of importLink.
func importArgs(l *store.Link, bucket int, epoch int64) []any {
	return []any{
		bucket, l.Code, epoch, l.CreatedAt, l.Version, l.URL, l.Owner, l.UpdatedAt,
		orNull(l.Status, store.DefaultStatus), orNull(l.ForwardQuery, store.ForwardOff), orNull(l.Title, ""), l.Tags,
		orNull(l.StartsAt, time.Time{}), orNull(l.ExpiresAt, time.Time{}), orNull(l.MaxClicks, 0), orNull(l.UsedClicks, 0),
		orNull(l.PasswordHash, ""), orNull(l.DisabledAt, time.Time{}), orNull(l.DisabledReason, ""),
		l.Clicks, orNull(l.LastClickAt, time.Time{}), orNull(l.DeletedAt, time.Time{}), orNull(l.Confirm, false), l.Robots,
		orNull(l.Rules, ""), orNull(l.NoVisitors, false), orNull(l.ForwardPath, false),
	}
}
