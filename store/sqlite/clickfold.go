package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/terse/terse/store"
)

// maxFold limits the memory of a fold: the size of its batches in bytes, before compression.
const maxFold = 16 << 20

const takeBatches = `SELECT id, forget, size, days FROM click_batches ORDER BY id LIMIT ?`

// These statements take JSON arrays: of keys, and of [kind, key, day].
const (
	clickedLinks = `SELECT l.code, l.owner, l.tags FROM json_each(?) k CROSS JOIN links l ON l.code = k.value WHERE l.deleted_at = 0`
	storedDays   = `SELECT d.kind, d.key, d.day, d.data FROM json_each(?) k CROSS JOIN click_days d
		ON d.kind = k.value ->> 0 AND d.key = k.value ->> 1 AND d.day = k.value ->> 2`
)

const (
	deleteBatches = `DELETE FROM click_batches WHERE id <= ?`
	newlyForgot   = `SELECT forget FROM click_batches WHERE forget <> '' AND id > ?`
	forgetDays    = `DELETE FROM click_days WHERE kind = 0 AND key IN (SELECT value FROM json_each(?))`
	setDay        = `INSERT INTO click_days (kind, key, day, data) VALUES (?, ?, ?, ?)
		ON CONFLICT (kind, key, day) DO UPDATE SET data = excluded.data`
)

// FoldClicks implements store.ClickFolder. It reads and merges before the write transaction, so that
// a fold does not delay other writes. Only one process may serve a folder, so only a delete or a
// reset of a link can change days in the meantime. The write transaction checks for both.
func (s *Store) FoldClicks(ctx context.Context, limit int, merge store.ClickMerge) (folded int, err error) {
	if !s.days.turn.TryLock() {
		return 0, wrap(store.ErrBusy, "fold clicks", "")
	}
	defer s.days.turn.Unlock()
	f := fold{}
	if err := s.readFold(ctx, &f, limit, merge); err != nil || f.batches == 0 {
		return 0, wrap(err, "fold clicks", "")
	}
	_, err = change(ctx, s, "fold clicks", "", func(ctx context.Context, tx tx) (none, error) {
		return none{}, tx.atomically(ctx, func() error { return f.write(ctx, tx) })
	})
	if err != nil {
		return 0, err
	}
	return f.batches, nil
}

// fold is the batches of one fold and the merged rows.
type fold struct {
	waiting store.WaitingClicks
	batches int
	last    int64 // id of the last taken batch
	newest  int64 // id of the newest batch, taken or not
	rows    []store.ClickDay
}

// readFold takes batches and merges them, in one snapshot of the database.
func (s *Store) readFold(ctx context.Context, f *fold, limit int, merge store.ClickMerge) error {
	snapshot, err := s.lists.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = snapshot.Rollback() }()
	if err := f.take(ctx, snapshot, limit); err != nil || f.batches == 0 {
		return err
	}
	err = snapshot.QueryRowContext(ctx, `SELECT max(id) FROM click_batches`).Scan(&f.newest)
	if err != nil {
		return err
	}
	if days := f.waiting.Days(); len(days) > 0 {
		f.rows, err = merge(ctx, days, foldReader{snapshot, f.waiting.Forgotten()})
	}
	return err
}

// take reads the oldest batches, at least one and at most maxFold bytes.
func (f *fold) take(ctx context.Context, snapshot *sql.Tx, limit int) error {
	rows, err := snapshot.QueryContext(ctx, takeBatches, max(limit, 1))
	if err != nil {
		return err
	}
	defer rows.Close()
	sum := 0
	for rows.Next() {
		var id int64
		var forget string
		var size int
		var days []byte
		if err := rows.Scan(&id, &forget, &size, &days); err != nil {
			return err
		}
		if sum += size; sum > maxFold && f.batches > 0 {
			break
		}
		f.batches, f.last = f.batches+1, id
		if forget != "" {
			f.waiting.Forget(forget)
		} else if err := f.waiting.Add(days); err != nil {
			return err
		}
	}
	return rows.Err()
}

// write stores the rows and deletes the batches. It returns store.ErrBusy if another process
// has folded them.
func (f *fold) write(ctx context.Context, tx tx) error {
	result, err := tx.ExecContext(ctx, deleteBatches, f.last)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != int64(f.batches) {
		return orError(err, store.ErrBusy)
	}
	forgotten, err := json.Marshal(f.waiting.Forgotten())
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, forgetDays, string(forgotten)); err != nil {
		return err
	}
	skip, err := f.forgottenSince(ctx, tx)
	if err != nil {
		return err
	}
	for i := range f.rows {
		d := &f.rows[i]
		if d.Kind == store.ClickLink && skip[d.Key] {
			continue
		}
		if _, err := tx.exec(ctx, tx.edits.setDay, d.Kind, d.Key, d.Day, append([]byte{}, d.Data...)); err != nil { // nil would be NULL
			return err
		}
	}
	return nil
}

// forgottenSince returns the links that were deleted or reset since the snapshot of the fold.
func (f *fold) forgottenSince(ctx context.Context, tx tx) (map[string]bool, error) {
	rows, err := tx.QueryContext(ctx, newlyForgot, f.newest)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	keys := map[string]bool{}
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys[key] = true
	}
	return keys, rows.Err()
}

// orError returns err, or instead if err is nil.
func orError(err, instead error) error {
	if err == nil {
		return instead
	}
	return err
}

// foldReader implements store.ClickRows in the snapshot of a fold.
type foldReader struct {
	snapshot  *sql.Tx
	forgotten []string // links without stored days
}

// Links implements store.ClickRows.
func (r foldReader) Links(ctx context.Context, keys []string) (map[string]store.ClickedLink, error) {
	list, err := encodeList(keys)
	if err != nil {
		return nil, err
	}
	rows, err := r.snapshot.QueryContext(ctx, clickedLinks, list)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	links := make(map[string]store.ClickedLink, len(keys))
	for rows.Next() {
		var key, tags string
		var l store.ClickedLink
		if err := rows.Scan(&key, &l.Owner, &tags); err != nil {
			return nil, err
		}
		if l.Tags, err = decodeList[string](tags); err != nil {
			return nil, err
		}
		links[key] = l
	}
	return links, rows.Err()
}

// Days implements store.ClickRows.
func (r foldReader) Days(ctx context.Context, days []store.ClickDay) ([]store.ClickDay, error) {
	forgotten := map[string]bool{}
	for _, key := range r.forgotten {
		forgotten[key] = true
	}
	keys := make([][3]any, 0, len(days))
	for i := range days {
		if d := &days[i]; d.Kind != store.ClickLink || !forgotten[d.Key] {
			keys = append(keys, [3]any{d.Kind, d.Key, d.Day})
		}
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	rows, err := r.snapshot.QueryContext(ctx, storedDays, string(list))
	if err != nil {
		return nil, err
	}
	return scanDays(rows)
}

// scanDays reads rows of days and closes them.
func scanDays(rows *sql.Rows) (days []store.ClickDay, err error) {
	defer rows.Close()
	for rows.Next() {
		var d store.ClickDay
		if err := rows.Scan(&d.Kind, &d.Key, &d.Day, &d.Data); err != nil {
			return nil, err
		}
		days = append(days, d)
	}
	return days, rows.Err()
}
