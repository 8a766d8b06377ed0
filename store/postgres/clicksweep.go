package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// sweepPage is the most rows that one step of a sweep rewrites.
const sweepPage = 200

// sweepLock is how long a step waits for the lock of a table. Meanwhile it delays other calls.
const sweepLock = time.Second

// prepareMonths makes the partitions of this month and of the next one, and destroys old salts.
const prepareMonths = `SELECT click_days_add_month((now() AT TIME ZONE 'UTC')::date),
	click_days_add_month(((now() AT TIME ZONE 'UTC') + interval '1 month')::date),
	click_salts_destroy(` + firstSalt + `)`

// listMonths returns the first days of all partitions.
const listMonths = `SELECT to_date(right(c.relname::text, 7), 'YYYY_MM') - ` + epochDay + `
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'click_days'::regclass ORDER BY 1`

const selectSweep = `SELECT coarse_before - ` + epochDay + `, bucket, kind, key, day - ` + epochDay + ` FROM click_sweep`

const updateSweep = `UPDATE click_sweep SET coarse_before = ` + epochDay + ` + $1::int, bucket = $2, kind = $3, key = $4, day = ` + epochDay + ` + $5::int`

// sweptDays reads one partition in the order of its primary key.
const sweptDays = `SELECT kind, key, day - ` + epochDay + `, data FROM click_days
	WHERE day >= ` + epochDay + ` + $1::int AND day < ` + epochDay + ` + $2::int
	AND (bucket, kind, key, day) > ($3, $4, $5, ` + epochDay + ` + $6::int)
	ORDER BY bucket, kind, key, day LIMIT $7`

const dropMonth = `SELECT click_days_drop_month(` + epochDay + ` + $1::int)`

// SweepClicks implements store.ClickFolder. It rewrites a page of rows or else drops a month. Each
// call also makes the partitions of this month and the next one.
func (s *Store) SweepClicks(ctx context.Context, r store.ClickRetention) (more bool, err error) {
	if !s.folds.TryLock() {
		return false, wrap(store.ErrBusy, "sweep clicks", "")
	}
	defer s.folds.Unlock()
	r = r.WholeMonths()
	prepared := s.sweep(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, prepareMonths)
		return err
	})
	if errors.Is(prepared, store.ErrBusy) {
		return false, wrap(prepared, "sweep clicks", "")
	}
	err = s.sweep(ctx, func(ctx context.Context, tx pgx.Tx) error {
		more, err = coarsen(ctx, tx, r)
		return err
	})
	if err == nil && !more {
		err = s.sweep(ctx, func(ctx context.Context, tx pgx.Tx) error {
			more, err = drop(ctx, tx, r.DropBefore)
			return err
		})
	}
	if err = errors.Join(prepared, err); err != nil {
		return false, wrap(err, "sweep clicks", "")
	}
	return more, nil
}

// sweep runs one step in a transaction that holds clickLock.
func (s *Store) sweep(ctx context.Context, step func(ctx context.Context, tx pgx.Tx) error) error {
	return s.primary.do(ctx, folding, func(ctx context.Context, conn *pgx.Conn) error {
		return withClickLock(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, sweepLock.String()); err != nil {
				return err
			}
			return step(ctx, tx)
		})
	})
}

// coarsen rewrites the next page of the first month that is due.
func coarsen(ctx context.Context, tx pgx.Tx, r store.ClickRetention) (more bool, err error) {
	var month int32
	var bucket int16
	var at store.ClickDay
	if err := tx.QueryRow(ctx, selectSweep).Scan(&month, &bucket, &at.Kind, &at.Key, &at.Day); err != nil {
		return false, err
	}
	months, err := monthsOf(ctx, tx)
	if err != nil {
		return false, err
	}
	for _, m := range months {
		if m < month || m < r.DropBefore {
			continue
		}
		if m >= r.CoarseBefore {
			break
		}
		if m > month {
			bucket, at = firstBucket, store.ClickDay{}
		}
		return true, coarsenPage(ctx, tx, m, bucket, at, r.Coarsen)
	}
	return false, nil
}

// firstBucket is less than the buckets of all rows.
const firstBucket = sumBucket - 1

// coarsenPage rewrites the rows of a month after a row, and records the progress.
func coarsenPage(ctx context.Context, tx pgx.Tx, month int32, bucket int16, after store.ClickDay, rewrite func(store.ClickDay) ([]byte, error)) error {
	next := store.DayOf(store.DayStart(month).AddDate(0, 1, 0))
	rows, err := tx.Query(ctx, sweptDays, month, next, bucket, after.Kind, after.Key, after.Day, sweepPage)
	if err != nil {
		return err
	}
	page, err := collectDays(rows)
	if err != nil {
		return err
	}
	for i := range page {
		if page[i].Data, err = rewrite(page[i]); err != nil {
			return err
		}
	}
	if len(page) > 0 {
		if err := writeDays(ctx, tx, page); err != nil {
			return err
		}
	}
	bucket, after = firstBucket, store.ClickDay{}
	if len(page) == sweepPage {
		after, next = page[sweepPage-1], month
		bucket = bucketOfDay(after.Kind, after.Key)
	}
	_, err = tx.Exec(ctx, updateSweep, next, bucket, after.Kind, after.Key, after.Day)
	return err
}

// drop drops the oldest month before a day, and reports whether another one remains.
func drop(ctx context.Context, tx pgx.Tx, before int32) (more bool, err error) {
	months, err := monthsOf(ctx, tx)
	if err != nil || len(months) == 0 || months[0] >= before {
		return false, err
	}
	_, err = tx.Exec(ctx, dropMonth, months[0])
	return len(months) > 1 && months[1] < before, err
}

// monthsOf returns the first days of the months with a partition, sorted.
func monthsOf(ctx context.Context, tx pgx.Tx) ([]int32, error) {
	rows, err := tx.Query(ctx, listMonths)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int32])
}
