package sqlite

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/terse/terse/store"
)

// flushTTL is how long the number of a recorder's latest batch is kept.
const flushTTL = 7 * 24 * time.Hour

// upsertFlush changes no row for a batch that was added already.
const upsertFlush = `INSERT INTO click_flushes (recorder, seq, flushed_at) VALUES (?, ?, ?)
	ON CONFLICT (recorder) DO UPDATE SET seq = excluded.seq, flushed_at = excluded.flushed_at
	WHERE excluded.seq > seq`

// addClicks takes a JSON array of [code, n, robots, last]. CROSS JOIN forces SQLite to look up the
// links one by one.
const addClicks = `INSERT INTO click_totals (code, total, robots, last_click_at)
	SELECT l.code, b.value ->> 1, b.value ->> 2, b.value ->> 3
	FROM json_each(?) b CROSS JOIN links l ON l.code = b.value ->> 0
	WHERE l.deleted_at = 0
	ON CONFLICT (code) DO UPDATE SET total = total + excluded.total, robots = robots + excluded.robots,
	last_click_at = max(last_click_at, excluded.last_click_at)`

const addDays = `INSERT INTO click_batches (added_at, forget, size, days) VALUES (?, '', ?, ?)`

const pruneFlushes = `DELETE FROM click_flushes WHERE recorder IN
	(SELECT recorder FROM click_flushes WHERE flushed_at < ? ORDER BY flushed_at LIMIT 4)`

// AddClicks implements store.ClickSink. The batches of a recorder must arrive in the order
// of their numbers.
func (s *Store) AddClicks(ctx context.Context, b store.ClickBatch) error {
	days, size, err := store.PackClickDays(b.Days)
	if err != nil {
		return wrap(err, "add clicks", b.Recorder)
	}
	counts := make([][4]any, len(b.Counts))
	for i, c := range b.Counts {
		if c.N == 0 {
			c.Last = time.Time{}
		}
		counts[i] = [4]any{c.Code, c.N, c.Robots, micros(c.Last)}
	}
	list, err := json.Marshal(counts)
	if err != nil {
		return wrap(err, "add clicks", b.Recorder)
	}
	now := s.opts.Now()
	flushed := micros(now)
	if b.Keep {
		flushed = math.MaxInt64 // never pruned
	}
	_, err = change(ctx, s, "add clicks", b.Recorder, func(ctx context.Context, tx tx) (none, error) {
		return none{}, tx.atomically(ctx, func() error {
			added, err := tx.exec(ctx, tx.edits.flush, b.Recorder, b.Seq, flushed)
			if err != nil || added == 0 {
				return err
			}
			if _, err := tx.exec(ctx, tx.edits.count, string(list)); err != nil {
				return err
			}
			if size > 0 {
				if _, err := tx.exec(ctx, tx.edits.addDays, micros(now), size, days); err != nil {
					return err
				}
			}
			return tx.prune(ctx, tx.edits.pruneFlushes, micros(now.Add(-flushTTL)))
		})
	})
	return err
}

// clickSequences takes a JSON array of names.
const clickSequences = `SELECT recorder, seq FROM click_flushes WHERE recorder IN (SELECT value FROM json_each(?))`

// ClickSequences implements store.ClickLedger.
func (s *Store) ClickSequences(ctx context.Context, recorders []string) (map[string]int64, error) {
	list, err := json.Marshal(recorders)
	if err != nil {
		return nil, wrap(err, "click sequences", "")
	}
	rows, err := s.lists.QueryContext(ctx, clickSequences, string(list))
	if err != nil {
		return nil, wrap(err, "click sequences", "")
	}
	defer rows.Close()
	found := map[string]int64{}
	for rows.Next() {
		var name string
		var seq int64
		if err := rows.Scan(&name, &seq); err != nil {
			return nil, wrap(err, "click sequences", "")
		}
		found[name] = seq
	}
	return found, wrap(rows.Err(), "click sequences", "")
}
