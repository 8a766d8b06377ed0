package sqlite

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/terse/terse/store"
)

// clickDays is the state of click days in memory.
type clickDays struct {
	turn sync.Mutex // held by a fold and by a sweep

	mu    sync.Mutex
	salts map[int32][]byte // by day; mu guards it
}

const listDays = `SELECT kind, key, day, data FROM click_days
	WHERE kind = ? AND key IN (SELECT value FROM json_each(?)) AND day >= ? AND day < ?`

// ListClickDays implements store.ClickDays.
func (s *Store) ListClickDays(ctx context.Context, kind store.ClickKind, keys []string, from, to int32) ([]store.ClickDay, error) {
	keys = slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !utf8.ValidString(key) }) // no row has such a key
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, wrap(err, "list click days", "")
	}
	rows, err := s.lists.QueryContext(ctx, listDays, kind, string(list), from, to)
	if err != nil {
		return nil, wrap(err, "list click days", "")
	}
	days, err := scanDays(rows)
	return days, wrap(err, "list click days", "")
}

// ResetClicks implements store.ClickDays. A running fold then stores no days of the link.
func (s *Store) ResetClicks(ctx context.Context, key string) error {
	now := micros(s.opts.Now())
	_, err := change(ctx, s, "reset clicks", key, func(ctx context.Context, tx tx) (none, error) {
		return none{}, tx.atomically(ctx, func() error {
			if _, err := tx.ExecContext(ctx, `DELETE FROM click_totals WHERE code = ?`, key); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM click_days WHERE kind = 0 AND key = ?`, key); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO click_batches (added_at, forget, size, days) VALUES (?, ?, 0, x'')`, now, key)
			return err
		})
	})
	return err
}

const clickBacklog = `SELECT (SELECT count(*) FROM (SELECT 1 FROM click_batches ORDER BY id LIMIT ?)),
	coalesce((SELECT added_at FROM click_batches ORDER BY id LIMIT 1), 0)`

// ClickBacklog implements store.ClickFolder.
func (s *Store) ClickBacklog(ctx context.Context) (b store.ClickBacklog, err error) {
	var oldest int64
	err = s.lists.QueryRowContext(ctx, clickBacklog, store.MaxBacklog).Scan(&b.Batches, &oldest)
	if err == nil && oldest != 0 {
		b.Oldest = max(time.Microsecond, s.opts.Now().Sub(moment(oldest)))
	}
	return b, wrap(err, "count batches of clicks", "")
}

// saltGrace is how long before and after its day a salt exists.
const saltGrace = time.Hour

// ClickSalt implements store.ClickDays. Salts are only in the memory of this process, and not in the
// database, its log or a backup. A restart makes a new salt.
func (s *Store) ClickSalt(_ context.Context, day int32) ([]byte, error) {
	now := s.opts.Now()
	s.days.mu.Lock()
	defer s.days.mu.Unlock()
	s.days.destroySalts(now)
	if day < store.DayOf(now.Add(-saltGrace)) || day > store.DayOf(now.Add(saltGrace)) {
		return nil, wrap(store.ErrNotFound, "salt of clicks", store.DayStart(day).Format(time.DateOnly))
	}
	if s.days.salts == nil {
		s.days.salts = map[int32][]byte{}
	}
	salt := s.days.salts[day]
	if salt == nil {
		salt = make([]byte, store.ClickSaltLen)
		_, _ = rand.Read(salt) // never fails
		s.days.salts[day] = salt
	}
	return append([]byte(nil), salt...), nil
}

// destroySalts overwrites the salts of days that are over. The caller must hold mu.
func (d *clickDays) destroySalts(now time.Time) {
	for day, salt := range d.salts {
		if day < store.DayOf(now.Add(-saltGrace)) {
			clear(salt)
			delete(d.salts, day)
		}
	}
}
