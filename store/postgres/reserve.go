package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// upsertReservation returns the reservation that stands. It writes the row even
// when that is the earlier one, which only a repeated create meets.
const upsertReservation = `INSERT INTO reservations AS r (created_at, bucket, owner, key, fingerprint, code)
	SELECT $6, $1, $3, $4, $5, $7 FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned'
	ON CONFLICT (bucket, owner, key) DO UPDATE SET
		created_at = CASE WHEN r.created_at < $8 THEN excluded.created_at ELSE r.created_at END,
		fingerprint = CASE WHEN r.created_at < $8 THEN excluded.fingerprint ELSE r.fingerprint END,
		code = CASE WHEN r.created_at < $8 OR r.code = $9 THEN excluded.code ELSE r.code END
	RETURNING owner, key, fingerprint, code, created_at`

// pruneReservations deletes at most 4 expired reservations, which is more than one
// create adds, and skips rows that another transaction deletes. A reservation is kept
// twice as long as it stands, because the clock of a node may differ from the clock of the
// primary. clock_timestamp() is volatile, so no index can be searched for it.
const pruneReservations = `DELETE FROM reservations WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM reservations WHERE created_at < statement_timestamp() - 2 * $1::interval ORDER BY created_at LIMIT 4 FOR UPDATE SKIP LOCKED))`

// Reserve implements store.Store. A reservation older than store.ReservationTTL
// at r.CreatedAt no longer stands.
func (s *Store) Reserve(ctx context.Context, r store.Reservation) (store.Reservation, error) {
	bucket := store.BucketOf(r.Owner + "\x00" + r.Key)
	created := micros(r.CreatedAt)
	ended := created.Add(-store.ReservationTTL)
	stands, err := detached(ctx, s, func(ctx context.Context) (store.Reservation, error) {
		var stands store.Reservation
		epochs, err := s.known(ctx)
		if err != nil {
			return stands, err
		}
		err = s.fenced(ctx, []int{bucket}, func(b *pgx.Batch) {
			b.Queue(upsertReservation, bucket, epochs[bucket], r.Owner, r.Key, r.Fingerprint, created, r.Code, ended, r.Replaces).
				QueryRow(func(row pgx.Row) error {
					err := row.Scan(&stands.Owner, &stands.Key, &stands.Fingerprint, &stands.Code, &stands.CreatedAt)
					if errors.Is(err, pgx.ErrNoRows) {
						return store.ErrMoved
					}
					return err
				})
			b.Queue(pruneReservations, store.ReservationTTL)
		})
		return stands, err
	})
	if err != nil {
		return store.Reservation{}, wrap(err, "reserve", r.Code)
	}
	stands.CreatedAt = stands.CreatedAt.UTC()
	return stands, nil
}
