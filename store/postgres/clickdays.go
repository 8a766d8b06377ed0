package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// sumBucket is the bucket of rows of several links. Such rows are partial sums, and stay in their
// shard when buckets move.
const sumBucket = -1

// bucketOfDay returns the bucket of a row of click_days.
func bucketOfDay(kind store.ClickKind, key string) int16 {
	if kind == store.ClickLink {
		return int16(store.BucketOf(key)) //nolint:gosec // 12 bits
	}
	return sumBucket
}

// epochDay is the first day of store.ClickDay.Day.
const epochDay = `'1970-01-01'::date`

// listDays has OFFSET to force a look-up in the index for each key.
const listDays = `SELECT d.kind, d.key, d.day - ` + epochDay + `, d.data
	FROM (SELECT $1::smallint[] AS buckets, $2::text[] AS keys ` + unseen + `) AS q,
		unnest(q.buckets, q.keys) AS k (bucket, key)
	CROSS JOIN LATERAL (SELECT * FROM click_days d WHERE d.bucket = k.bucket AND d.kind = $3 AND d.key = k.key
		AND d.day >= ` + epochDay + ` + $4::int AND d.day < ` + epochDay + ` + $5::int OFFSET 0) d`

// ownsBuckets reports whether the shard owns all buckets $1, which are distinct.
const ownsBuckets = `SELECT count(*) = cardinality($1::smallint[]) FROM buckets WHERE bucket = ANY ($1::smallint[]) AND state = 'owned'`

// ListClickDays implements store.ClickDays. It reads the primary, as List does. If the shard does
// not own the buckets of all links, it returns store.ErrMoved.
func (s *Store) ListClickDays(ctx context.Context, kind store.ClickKind, keys []string, from, to int32) ([]store.ClickDay, error) {
	from, to = max(from, 0), min(to, store.MaxClickDay+1)
	var buckets []int16
	var texts []string
	for _, key := range keys {
		if keepable(key) { // no row has another key
			buckets, texts = append(buckets, bucketOfDay(kind, key)), append(texts, key)
		}
	}
	if len(texts) == 0 || from >= to {
		return nil, ctx.Err()
	}
	var days []store.ClickDay
	var owned bool
	err := s.primary.read(ctx, lists, func(ctx context.Context, conn *pgx.Conn) error {
		owned = kind != store.ClickLink
		var b pgx.Batch
		b.Queue(listDays, buckets, texts, kind, from, to).Query(func(rows pgx.Rows) (err error) {
			days, err = collectDays(rows)
			return err
		})
		if !owned {
			// Checked after the rows are read: if the shard still owns the buckets, the rows are complete.
			b.Queue(ownsBuckets, distinct(buckets)).QueryRow(func(row pgx.Row) error { return row.Scan(&owned) })
		}
		return conn.SendBatch(ctx, &b).Close()
	})
	if err == nil && !owned {
		err = store.ErrMoved
	}
	if err != nil {
		return nil, wrap(err, "list click days", "")
	}
	return days, nil
}

func collectDays(rows pgx.Rows) ([]store.ClickDay, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d store.ClickDay, err error) {
		err = row.Scan(&d.Kind, &d.Key, &d.Day, &d.Data)
		return d, err
	})
}

// resetClicks deletes the totals and days of a link if the shard owns its bucket.
const resetClicks = `WITH owned AS (
		SELECT FROM buckets WHERE bucket = $1 AND epoch = $3 AND state = 'owned'
	), totals AS (
		DELETE FROM click_totals WHERE bucket = $1 AND code = $2 AND EXISTS (SELECT FROM owned)
	), days AS (
		DELETE FROM click_days WHERE bucket = $1 AND kind = 0 AND key = $2 AND EXISTS (SELECT FROM owned)
	)
	INSERT INTO click_batches (forget) SELECT $2 FROM owned RETURNING true`

// ResetClicks implements store.ClickDays. It waits for a running fold.
func (s *Store) ResetClicks(ctx context.Context, key string) error {
	if !keepable(key) {
		return ctx.Err() // no link has such a key
	}
	_, err := detached(ctx, s, func(ctx context.Context) (struct{}, error) {
		epochs, err := s.known(ctx)
		if err != nil {
			return struct{}{}, err
		}
		bucket := store.BucketOf(key)
		return struct{}{}, s.fenced(ctx, []int{bucket}, func(b *pgx.Batch) {
			b.Queue(waitForFolds, clickLock)
			b.Queue(resetClicks, bucket, key, epochs[bucket]).QueryRow(func(row pgx.Row) error {
				var owned bool
				if err := row.Scan(&owned); errors.Is(err, pgx.ErrNoRows) {
					return store.ErrMoved
				} else if err != nil {
					return err
				}
				return nil
			})
		})
	})
	return wrap(err, "reset clicks", key)
}

// The first and the last day that have a salt now.
const (
	firstSalt = `((clock_timestamp() AT TIME ZONE 'UTC') - interval '1 hour')::date`
	lastSalt  = `((clock_timestamp() AT TIME ZONE 'UTC') + interval '1 hour')::date`
)

// makeSalt makes the salt in the database, because the database could log an argument. The salt has
// 244 random bits.
const makeSalt = `INSERT INTO click_salts (day, salt)
	SELECT day, sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'))
	FROM (SELECT ` + epochDay + ` + $1::int AS day) AS d WHERE day BETWEEN ` + firstSalt + ` AND ` + lastSalt + `
	ON CONFLICT DO NOTHING`

const selectSalt = `SELECT salt FROM click_salts WHERE day = ` + epochDay + ` + $1::int AND day BETWEEN ` + firstSalt + ` AND ` + lastSalt

// ClickSalt implements store.ClickDays. The days are those of the primary's clock.
func (s *Store) ClickSalt(ctx context.Context, day int32) (salt []byte, err error) {
	of := store.DayStart(day).Format(time.DateOnly)
	if day < 0 || day > store.MaxClickDay {
		return nil, wrap(store.ErrNotFound, "salt of clicks", of)
	}
	salt, err = detached(ctx, s, func(ctx context.Context) (salt []byte, err error) {
		err = s.primary.do(ctx, counting, func(ctx context.Context, conn *pgx.Conn) error {
			var b pgx.Batch
			b.Queue(makeSalt, day)
			b.Queue(selectSalt, day).QueryRow(func(row pgx.Row) error { return row.Scan(&salt) })
			return conn.SendBatch(ctx, &b).Close()
		})
		return salt, err
	})
	return salt, wrap(err, "salt of clicks", of)
}
