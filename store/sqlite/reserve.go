package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

const selectReservation = `SELECT owner, key, fingerprint, code, created_at FROM reservations
	WHERE owner = ? AND key = ?`

const upsertReservation = `INSERT INTO reservations (owner, key, fingerprint, code, created_at)
	VALUES (?, ?, ?, ?, ?)
	ON CONFLICT (owner, key) DO UPDATE SET
	fingerprint = excluded.fingerprint, code = excluded.code, created_at = excluded.created_at`

// pruneReservations deletes up to 4 old reservations, more than one create adds.
const pruneReservations = `DELETE FROM reservations WHERE (owner, key) IN
	(SELECT owner, key FROM reservations WHERE created_at < ? ORDER BY created_at LIMIT 4)`

// Reserve implements store.Store. A reservation that is older than store.ReservationTTL at
// r.CreatedAt has expired.
func (s *Store) Reserve(ctx context.Context, r store.Reservation) (store.Reservation, error) {
	return change(ctx, s, "reserve", r.Code, func(ctx context.Context, tx tx) (store.Reservation, error) {
		return tx.reserve(ctx, r, s.opts.Now())
	})
}

// reserve stores r unless there is a valid reservation that r does not replace. It returns
// the reservation that is valid now.
func (t tx) reserve(ctx context.Context, r store.Reservation, now time.Time) (store.Reservation, error) {
	ended := r.CreatedAt.Add(-store.ReservationTTL)
	stands, err := t.reservation(ctx, r.Owner, r.Key)
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && stands.CreatedAt.Before(ended):
		stands = r
		stands.Replaces = ""
	case err != nil:
		return store.Reservation{}, err
	case r.Replaces == "" || stands.Code != r.Replaces:
		return stands, nil
	default:
		stands.Code = r.Code
	}
	if _, err := t.exec(ctx, t.edits.reserve,
		stands.Owner, stands.Key, stands.Fingerprint, stands.Code, micros(stands.CreatedAt)); err != nil {
		return store.Reservation{}, err
	}
	return stands, t.prune(ctx, t.edits.pruneReservations, min(micros(ended), micros(now.Add(-store.ReservationTTL))))
}

// reservation returns an owner's reservation with a key.
func (t tx) reservation(ctx context.Context, owner, key string) (store.Reservation, error) {
	var r store.Reservation
	var created int64
	err := t.row(ctx, t.edits.reservation, owner, key).Scan(&r.Owner, &r.Key, &r.Fingerprint, &r.Code, &created)
	r.CreatedAt = moment(created)
	return r, err
}
