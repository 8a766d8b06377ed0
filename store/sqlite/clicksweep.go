package sqlite

import (
	"context"

	"github.com/terse/terse/store"
)

// sweepPage is the most rows that one step of a sweep reads.
const sweepPage = 200

const (
	selectSweep = `SELECT coarse_before, drop_before, next_coarse, next_drop, kind, key, day FROM click_sweep`
	updateSweep = `UPDATE click_sweep SET coarse_before = ?, drop_before = ?, next_coarse = ?, next_drop = ?, kind = ?, key = ?, day = ?`
	sweptRows   = `SELECT kind, key, day, CASE WHEN day >= ? AND day < ? THEN data END FROM click_days
		WHERE (kind, key, day) > (?, ?, ?) ORDER BY kind, key, day LIMIT ?`
	dropDay = `DELETE FROM click_days WHERE kind = ? AND key = ? AND day = ?`
)

// sweep is the row of click_sweep.
type sweep struct {
	coarse, drop         int32 // the limits of the last complete pass
	nextCoarse, nextDrop int32 // the limits of the running pass; 0 if there is none
	at                   store.ClickDay
}

// SweepClicks implements store.ClickFolder. A pass goes through all rows in the order of their
// keys. It begins when a limit reaches a new month.
func (s *Store) SweepClicks(ctx context.Context, r store.ClickRetention) (more bool, err error) {
	if !s.days.turn.TryLock() {
		return false, wrap(store.ErrBusy, "sweep clicks", "")
	}
	defer s.days.turn.Unlock()
	s.days.mu.Lock()
	s.days.destroySalts(s.opts.Now())
	s.days.mu.Unlock()
	r = r.WholeMonths()
	return change(ctx, s, "sweep clicks", "", func(ctx context.Context, tx tx) (more bool, err error) {
		err = tx.atomically(ctx, func() error {
			more, err = tx.sweepClicks(ctx, r)
			return err
		})
		return more, err
	})
}

// sweepClicks sweeps one page of the running pass, or begins a pass if one is due.
func (t tx) sweepClicks(ctx context.Context, r store.ClickRetention) (more bool, err error) {
	var w sweep
	err = t.QueryRowContext(ctx, selectSweep).Scan(&w.coarse, &w.drop, &w.nextCoarse, &w.nextDrop, &w.at.Kind, &w.at.Key, &w.at.Day)
	if err != nil {
		return false, err
	}
	if w.nextCoarse == 0 && w.nextDrop == 0 {
		if r.CoarseBefore <= w.coarse && r.DropBefore <= w.drop {
			return false, nil
		}
		w.nextCoarse, w.nextDrop, w.at = max(r.CoarseBefore, w.coarse), max(r.DropBefore, w.drop), store.ClickDay{Kind: -1}
	}
	rows, err := t.QueryContext(ctx, sweptRows, w.coarse, w.nextCoarse, w.at.Kind, w.at.Key, w.at.Day, sweepPage)
	if err != nil {
		return false, err
	}
	page, err := scanDays(rows)
	if err != nil {
		return false, err
	}
	for _, d := range page {
		if err := t.sweepDay(ctx, d, &w, r.Coarsen); err != nil {
			return false, err
		}
	}
	if len(page) == sweepPage {
		w.at = page[sweepPage-1]
	} else {
		w = sweep{coarse: w.nextCoarse, drop: w.nextDrop, at: store.ClickDay{Kind: -1}}
	}
	_, err = t.ExecContext(ctx, updateSweep, w.coarse, w.drop, w.nextCoarse, w.nextDrop, w.at.Kind, w.at.Key, w.at.Day)
	return len(page) == sweepPage, err
}

// sweepDay deletes or rewrites one row, if it is old enough.
func (t tx) sweepDay(ctx context.Context, d store.ClickDay, w *sweep, coarsen func(store.ClickDay) ([]byte, error)) (err error) {
	switch {
	case d.Day < w.nextDrop:
		_, err = t.ExecContext(ctx, dropDay, d.Kind, d.Key, d.Day)
	case d.Day >= w.coarse && d.Day < w.nextCoarse:
		if d.Data, err = coarsen(d); err == nil {
			_, err = t.exec(ctx, t.edits.setDay, d.Kind, d.Key, d.Day, d.Data)
		}
	}
	return err
}
