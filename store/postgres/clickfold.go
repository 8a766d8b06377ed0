package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// clickLock is the advisory lock for writing click_days and its partitions.
const clickLock = bucketLock + 2

const (
	tryClickLock = `SELECT pg_try_advisory_xact_lock($1)`
	waitForFolds = `SELECT pg_advisory_xact_lock($1)`
)

// maxFold limits the memory of a fold: the size of its batches in bytes, before compression.
const maxFold = 32 << 20

// foldIdle is the longest time for a merge. A process that takes longer, for example because it is
// frozen or disconnected, loses the lock to another process.
const foldIdle = 30 * time.Second

// wakeFold reports whether a batch waits.
const wakeFold = `SELECT EXISTS (SELECT FROM click_batches)`

// takeBatches deletes the oldest $1 batches, but at most about $2 bytes. Batches get their id before
// they are committed, so a batch with a smaller id may appear later. The next fold takes it.
const takeBatches = `DELETE FROM click_batches WHERE id = ANY (ARRAY(
	SELECT id FROM (
		SELECT id, sum(size) OVER (ORDER BY id) - size AS before
		FROM (SELECT id, size FROM click_batches ORDER BY id LIMIT $1) AS oldest
	) AS sums WHERE before < $2))
	RETURNING id, coalesce(forget, ''), days`

const forgetDays = `DELETE FROM click_days WHERE bucket = $1 AND kind = 0 AND key = $2`

// addMonths makes the partitions of days.
const addMonths = `SELECT click_days_add_month(` + epochDay + ` + day) FROM unnest($1::int[]) AS day`

// setDays needs no order of rows, because only the holder of clickLock writes them.
const setDays = `INSERT INTO click_days AS d (day, bucket, kind, key, data)
	SELECT ` + epochDay + ` + n.day, n.bucket, n.kind, n.key, n.data
	FROM (SELECT $1::int[], $2::smallint[], $3::smallint[], $4::text[], $5::bytea[] ` + unseen + `) AS q (days, buckets, kinds, keys, data),
		unnest(q.days, q.buckets, q.kinds, q.keys, q.data) AS n (day, bucket, kind, key, data)
	ON CONFLICT (bucket, kind, key, day) DO UPDATE SET data = excluded.data`

// FoldClicks implements store.ClickFolder. It does not check who owns the buckets: when an operator
// moves a bucket, its last batches are folded after the shard has given it up.
func (s *Store) FoldClicks(ctx context.Context, limit int, merge store.ClickMerge) (folded int, err error) {
	if !s.folds.TryLock() {
		return 0, wrap(store.ErrBusy, "fold clicks", "")
	}
	defer s.folds.Unlock()
	err = s.primary.do(ctx, folding, func(ctx context.Context, conn *pgx.Conn) error {
		var waiting bool
		if err := conn.QueryRow(ctx, wakeFold).Scan(&waiting); err != nil || !waiting {
			return err
		}
		return withClickLock(ctx, conn, func(tx pgx.Tx) error {
			n, err := foldBatches(ctx, tx, limit, merge)
			folded = n
			return err
		})
	})
	if err != nil {
		return 0, wrap(err, "fold clicks", "")
	}
	return folded, nil
}

// withClickLock runs fn in a transaction that holds clickLock, or returns store.ErrBusy.
func withClickLock(ctx context.Context, conn *pgx.Conn, fn func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var locked bool
		b := &pgx.Batch{}
		b.Queue(`SELECT set_config('idle_in_transaction_session_timeout', $1, true)`, foldIdle.String())
		b.Queue(tryClickLock, clickLock).QueryRow(func(row pgx.Row) error { return row.Scan(&locked) })
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		if !locked {
			return store.ErrBusy
		}
		return fn(tx)
	})
}

// foldBatches takes batches and stores what merge makes of them.
func foldBatches(ctx context.Context, tx pgx.Tx, limit int, merge store.ClickMerge) (folded int, err error) {
	waiting, folded, err := take(ctx, tx, limit)
	if err != nil || folded == 0 {
		return 0, err
	}
	b := &pgx.Batch{}
	for _, key := range waiting.Forgotten() {
		b.Queue(forgetDays, store.BucketOf(key), key)
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return 0, err
	}
	added := waiting.Days()
	if len(added) == 0 {
		return folded, nil
	}
	rows, err := merge(ctx, added, foldReader{tx})
	if err != nil || len(rows) == 0 {
		return folded, err
	}
	return folded, writeDays(ctx, tx, rows)
}

// take deletes the oldest batches and returns them.
func take(ctx context.Context, tx pgx.Tx, limit int) (waiting *store.WaitingClicks, taken int, err error) {
	type batch struct {
		ID     int64
		Forget string
		Days   []byte
	}
	rows, err := tx.Query(ctx, takeBatches, max(limit, 1), maxFold)
	if err != nil {
		return nil, 0, err
	}
	batches, err := pgx.CollectRows(rows, pgx.RowToStructByPos[batch])
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(batches, func(a, b batch) int { return cmp.Compare(a.ID, b.ID) })
	waiting = &store.WaitingClicks{}
	for _, b := range batches {
		if b.Forget != "" {
			waiting.Forget(b.Forget)
		} else if err := waiting.Add(b.Days); err != nil {
			return nil, 0, err
		}
	}
	return waiting, len(batches), nil
}

// writeDays stores rows. It makes the partitions that they need.
func writeDays(ctx context.Context, tx pgx.Tx, rows []store.ClickDay) error {
	n := len(rows)
	days, buckets, kinds := make([]int32, n), make([]int16, n), make([]int16, n)
	keys, data := make([]string, n), make([][]byte, n)
	for i := range rows {
		d := &rows[i]
		days[i], buckets[i], kinds[i] = d.Day, bucketOfDay(d.Kind, d.Key), int16(d.Kind)
		keys[i], data[i] = d.Key, d.Data
		if d.Data == nil {
			data[i] = []byte{} // nil would be NULL
		}
	}
	b := &pgx.Batch{}
	b.Queue(addMonths, distinct(days))
	b.Queue(setDays, days, buckets, kinds, keys, data)
	return tx.SendBatch(ctx, b).Close()
}

// distinct returns the distinct values, sorted.
func distinct[T cmp.Ordered](values []T) []T {
	return slices.Compact(slices.Sorted(slices.Values(values)))
}

// foldReader implements store.ClickRows in the transaction of a fold.
type foldReader struct{ tx pgx.Tx }

const clickedLinks = `SELECT l.code, l.owner, l.tags
	FROM (SELECT $1::smallint[] AS buckets, $2::text[] AS codes ` + unseen + `) AS q,
		unnest(q.buckets, q.codes) AS k (bucket, code)
	CROSS JOIN LATERAL (SELECT * FROM links l WHERE l.bucket = k.bucket AND l.code = k.code AND l.deleted_at IS NULL OFFSET 0) l`

// Links implements store.ClickRows.
func (r foldReader) Links(ctx context.Context, keys []string) (map[string]store.ClickedLink, error) {
	keys = distinct(keys)
	rows, err := r.tx.Query(ctx, clickedLinks, bucketsOf(keys), keys)
	if err != nil {
		return nil, err
	}
	links := make(map[string]store.ClickedLink, len(keys))
	var key string
	var l store.ClickedLink
	_, err = pgx.ForEachRow(rows, []any{&key, &l.Owner, &l.Tags}, func() error {
		links[key] = l
		l.Tags = nil
		return nil
	})
	return links, err
}

const storedDays = `SELECT d.kind, d.key, d.day - ` + epochDay + `, d.data
	FROM (SELECT $1::int[], $2::smallint[], $3::smallint[], $4::text[] ` + unseen + `) AS q (days, buckets, kinds, keys),
		unnest(q.days, q.buckets, q.kinds, q.keys) AS k (day, bucket, kind, key)
	CROSS JOIN LATERAL (SELECT * FROM click_days d WHERE d.bucket = k.bucket AND d.kind = k.kind AND d.key = k.key
		AND d.day = ` + epochDay + ` + k.day OFFSET 0) d`

// Days implements store.ClickRows.
func (r foldReader) Days(ctx context.Context, of []store.ClickDay) ([]store.ClickDay, error) {
	days, buckets, kinds, keys := make([]int32, len(of)), make([]int16, len(of)), make([]int16, len(of)), make([]string, len(of))
	for i := range of {
		d := &of[i]
		days[i], buckets[i], kinds[i], keys[i] = d.Day, bucketOfDay(d.Kind, d.Key), int16(d.Kind), d.Key
	}
	rows, err := r.tx.Query(ctx, storedDays, days, buckets, kinds, keys)
	if err != nil {
		return nil, err
	}
	return collectDays(rows)
}

const clickBacklog = `SELECT (SELECT count(*) FROM (SELECT FROM click_batches ORDER BY id LIMIT $1) AS b),
	coalesce((SELECT extract(epoch FROM clock_timestamp() - added_at)::float8 FROM click_batches ORDER BY id LIMIT 1), 0)`

// ClickBacklog implements store.ClickFolder.
func (s *Store) ClickBacklog(ctx context.Context) (b store.ClickBacklog, err error) {
	var age float64
	err = s.primary.read(ctx, counting, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, clickBacklog, store.MaxBacklog).Scan(&b.Batches, &age)
	})
	b.Oldest = seconds(age)
	return b, wrap(err, "count batches of clicks", "")
}
