package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// addClicks adds nothing if the batch was added before, or if the shard does not own all
// buckets $3. It returns whether the shard owns them all. Rows are in the order of the primary
// key, so that two recorders cannot deadlock and neighbors are written together. It does not
// check that the links exist, because that would double its time; a counted click had a link.
const addClicks = `WITH owned AS (
		SELECT count(*) = cardinality($3::smallint[]) AS all
		FROM buckets WHERE bucket = ANY ($3::smallint[]) AND state = 'owned'
	), flush AS (
		INSERT INTO click_flushes AS f (recorder, seq, flushed_at)
		SELECT $1, $2, CASE WHEN $11 THEN 'infinity' ELSE clock_timestamp() END FROM owned WHERE owned.all
		ON CONFLICT (recorder) DO UPDATE SET seq = excluded.seq, flushed_at = excluded.flushed_at
		WHERE f.seq < excluded.seq
		RETURNING recorder
	), added AS (
		INSERT INTO click_totals AS c (total, robots, last_click_at, bucket, code)
		SELECT n.clicks, n.robots, n.last, n.bucket, n.code
		FROM (SELECT $4::smallint[], $5::text[], $6::bigint[], $7::bigint[], $8::timestamptz[] ` + unseen + `) AS q (bucket, code, clicks, robots, last),
			unnest(q.bucket, q.code, q.clicks, q.robots, q.last) AS n (bucket, code, clicks, robots, last)
		WHERE EXISTS (SELECT FROM flush)
		ORDER BY n.bucket, n.code COLLATE "C"
		ON CONFLICT (bucket, code) DO UPDATE SET total = c.total + excluded.total, robots = c.robots + excluded.robots,
			last_click_at = greatest(c.last_click_at, excluded.last_click_at)
	), waiting AS (
		INSERT INTO click_batches (days, size) SELECT $9, $10 FROM flush WHERE $10::bigint > 0
	)
	SELECT owned.all FROM owned`

// pruneFlushes deletes recorders that have not flushed for a week, unless they are kept for ever.
const pruneFlushes = `DELETE FROM click_flushes WHERE recorder = ANY (ARRAY(
	SELECT recorder FROM click_flushes WHERE flushed_at < statement_timestamp() - interval '7 days'
	ORDER BY flushed_at LIMIT 4 FOR UPDATE SKIP LOCKED))`

// flushTimeout limits one flush of clicks, unless CallTimeout is longer. No request waits for it.
const flushTimeout = 5 * time.Second

// AddClicks implements store.ClickSink. A recorder must send its batches in the order of
// their numbers. If the shard does not own all buckets of a batch, AddClicks adds nothing
// and returns store.ErrMoved. It does not lock buckets, because a batch may concern all
// of them. A move of a bucket must wait for running flushes and fold the clicks, and then move
// the totals and the days.
func (s *Store) AddClicks(ctx context.Context, b store.ClickBatch) error {
	days, size, err := store.PackClickDays(b.Days)
	if err != nil {
		return wrap(err, "add clicks", b.Recorder)
	}
	rows := newClickRows(&b)
	_, err = detachedFor(ctx, s, max(flushTimeout, s.opts.CallTimeout), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.primary.do(ctx, counting, func(ctx context.Context, conn *pgx.Conn) error {
			var together pgx.Batch // one transaction
			together.Queue(addClicks, b.Recorder, b.Seq, rows.owners, rows.buckets, rows.codes, rows.clicks, rows.robots, rows.last, days, size, b.Keep).QueryRow(func(row pgx.Row) error {
				var owned bool
				if err := row.Scan(&owned); err != nil || owned {
					return err
				}
				return store.ErrMoved
			})
			together.Queue(pruneFlushes)
			together.Queue(barrier) // also for a batch that was added before and changes nothing
			return conn.SendBatch(ctx, &together).Close()
		})
	})
	return wrap(err, "add clicks", b.Recorder)
}

const clickSequences = `SELECT recorder, seq FROM click_flushes WHERE recorder = ANY ($1)`

// ClickSequences implements store.ClickLedger.
func (s *Store) ClickSequences(ctx context.Context, recorders []string) (map[string]int64, error) {
	found := make(map[string]int64, len(recorders))
	err := s.primary.read(ctx, lists, func(ctx context.Context, conn *pgx.Conn) error {
		clear(found)
		var name string
		var seq int64
		rows, err := conn.Query(ctx, clickSequences, recorders)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&name, &seq}, func() error {
			found[name] = seq
			return nil
		})
		return err
	})
	return found, wrap(err, "click sequences", "")
}

// clickRows are clicks by column, in the order of addClicks.
type clickRows struct {
	owners  []int16 // the distinct buckets
	buckets []int16
	codes   []string
	clicks  []int64
	robots  []int64
	last    []*time.Time // nil if no person has clicked
}

// newClickRows sorts clicks by bucket and code, and adds up clicks of the same code.
func newClickRows(b *store.ClickBatch) *clickRows {
	counts := b.Counts
	type place struct {
		bucket int16
		of     *store.ClickCount
	}
	places := make([]place, len(counts))
	for i := range counts {
		places[i] = place{int16(store.BucketOf(counts[i].Code)), &counts[i]} //nolint:gosec // 12 bits
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), strings.Compare(a.of.Code, b.of.Code))
	})
	r := &clickRows{
		owners:  []int16{}, // nil would be NULL
		buckets: make([]int16, 0, len(places)), codes: make([]string, 0, len(places)),
		clicks: make([]int64, 0, len(places)), robots: make([]int64, 0, len(places)), last: make([]*time.Time, 0, len(places)),
	}
	for _, p := range places {
		r.add(p.bucket, p.of)
	}
	for i := range b.Days { // the shard must own their links, too
		if d := &b.Days[i]; d.Kind == store.ClickLink {
			r.owners = append(r.owners, int16(store.BucketOf(d.Key))) //nolint:gosec // 12 bits
		}
	}
	slices.Sort(r.owners)
	r.owners = slices.Compact(r.owners)
	return r
}

// add appends clicks. Calls must be in the order of buckets and codes.
func (r *clickRows) add(bucket int16, c *store.ClickCount) {
	var last *time.Time
	if c.N > 0 {
		last = &c.Last
	}
	n := len(r.codes)
	if n == 0 || r.buckets[n-1] != bucket {
		r.owners = append(r.owners, bucket)
	} else if r.codes[n-1] == c.Code {
		r.clicks[n-1] += c.N
		r.robots[n-1] += c.Robots
		if last != nil && (r.last[n-1] == nil || last.After(*r.last[n-1])) {
			r.last[n-1] = last
		}
		return
	}
	r.buckets, r.codes = append(r.buckets, bucket), append(r.codes, c.Code)
	r.clicks, r.robots, r.last = append(r.clicks, c.N), append(r.robots, c.Robots), append(r.last, last)
}
