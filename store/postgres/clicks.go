package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// addClicks adds nothing when the batch was added before, or when a bucket of it
// is not owned. It returns whether all are. The order keeps two recorders from
// waiting for each other.
const addClicks = `WITH owned AS (
		SELECT NOT EXISTS (
			SELECT FROM unnest($3::smallint[]) AS n (bucket)
			LEFT JOIN buckets b ON b.bucket = n.bucket AND b.state = 'owned'
			WHERE b.bucket IS NULL) AS all
	), flush AS (
		INSERT INTO click_flushes AS f (recorder, seq, flushed_at)
		SELECT $1, $2, clock_timestamp() FROM owned WHERE owned.all
		ON CONFLICT (recorder) DO UPDATE SET seq = excluded.seq, flushed_at = excluded.flushed_at
		WHERE f.seq < excluded.seq
		RETURNING recorder
	), counts AS (
		SELECT n.bucket, n.code, sum(n.clicks)::bigint AS clicks, max(n.last) AS last
		FROM unnest($3::smallint[], $4::text[], $5::bigint[], $6::timestamptz[]) AS n (bucket, code, clicks, last)
		GROUP BY n.bucket, n.code
	), added AS (
		INSERT INTO click_totals AS c (total, last_click_at, bucket, code)
		SELECT n.clicks, n.last, n.bucket, n.code
		FROM flush CROSS JOIN counts n
		JOIN links l ON l.bucket = n.bucket AND l.code = n.code AND l.deleted_at IS NULL
		ORDER BY n.bucket, n.code
		ON CONFLICT (bucket, code) DO UPDATE SET total = c.total + excluded.total,
			last_click_at = greatest(c.last_click_at, excluded.last_click_at)
	)
	SELECT owned.all FROM owned`

// pruneFlushes forgets recorders that have been silent for a week.
const pruneFlushes = `DELETE FROM click_flushes WHERE recorder = ANY (ARRAY(
	SELECT recorder FROM click_flushes WHERE flushed_at < clock_timestamp() - interval '7 days'
	ORDER BY flushed_at LIMIT 4 FOR UPDATE SKIP LOCKED))`

// AddClicks implements store.ClickSink. The batches of a recorder must come in
// the order of their numbers. A batch with a code whose bucket this shard does not
// own is refused as a whole with store.ErrMoved. It takes no locks of buckets, of
// which it may have all: whoever moves one moves its totals last.
func (s *Store) AddClicks(ctx context.Context, b store.ClickBatch) error {
	var (
		buckets = make([]int, len(b.Counts))
		codes   = make([]string, len(b.Counts))
		clicks  = make([]int64, len(b.Counts))
		last    = make([]time.Time, len(b.Counts))
	)
	for i, c := range b.Counts {
		buckets[i], codes[i], clicks[i], last[i] = store.BucketOf(c.Code), c.Code, c.N, c.Last
	}
	_, err := detached(ctx, s, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.primary.do(ctx, counting, func(ctx context.Context, conn *pgx.Conn) error {
			var together pgx.Batch // one transaction
			together.Queue(addClicks, b.Recorder, b.Seq, buckets, codes, clicks, last).QueryRow(func(row pgx.Row) error {
				var owned bool
				if err := row.Scan(&owned); err != nil || owned {
					return err
				}
				return store.ErrMoved
			})
			together.Queue(pruneFlushes)
			return conn.SendBatch(ctx, &together).Close()
		})
	})
	return wrap(err, "add clicks", b.Recorder)
}
