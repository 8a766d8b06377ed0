package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// upsertReservations returns the valid reservations. It also writes the row when an
// earlier reservation is still valid, which happens only for a repeated create. Rows are
// sorted, so that two batches cannot deadlock.
const upsertReservations = `INSERT INTO reservations AS r (created_at, bucket, owner, key, fingerprint, code)
	SELECT n.created_at, n.bucket, n.owner, n.key, n.fingerprint, n.code
	FROM (SELECT $1::smallint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[] ` + unseen + `)
		AS q (bucket, epoch, owner, key, fingerprint, code, created_at),
		unnest(bucket, epoch, owner, key, fingerprint, code, created_at) AS n (bucket, epoch, owner, key, fingerprint, code, created_at)
	WHERE n.epoch = (SELECT b.epoch FROM buckets b WHERE b.bucket = n.bucket AND b.state = 'owned')
	ORDER BY n.bucket, n.owner COLLATE "C", n.key COLLATE "C"
	ON CONFLICT (bucket, owner, key) DO UPDATE SET
		created_at = CASE WHEN r.created_at < excluded.created_at - $8::interval THEN excluded.created_at ELSE r.created_at END,
		fingerprint = CASE WHEN r.created_at < excluded.created_at - $8::interval THEN excluded.fingerprint ELSE r.fingerprint END,
		code = CASE WHEN r.created_at < excluded.created_at - $8::interval THEN excluded.code ELSE r.code END
	RETURNING owner, key, fingerprint, code, created_at`

// replaceReservation changes the code of a reservation.
const replaceReservation = `UPDATE reservations r SET code = $6
	FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned'
	AND r.bucket = $1 AND r.owner = $3 AND r.key = $4 AND r.code = $5`

// pruneReservations deletes at most $2 expired reservations, more than the statement
// before it adds, and skips rows that another transaction deletes. A reservation is kept
// twice as long as it is valid, because the clocks of nodes and of the primary may
// differ. statement_timestamp() is used because an index cannot be searched for
// clock_timestamp(), which is volatile.
const pruneReservations = `DELETE FROM reservations WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM reservations WHERE created_at < statement_timestamp() - 2 * $1::interval ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))`

// Reserve implements store.Store. A reservation that is older than store.ReservationTTL
// at r.CreatedAt is no longer valid.
func (s *Store) Reserve(ctx context.Context, r store.Reservation) (store.Reservation, error) {
	var rows reservationRows
	r.CreatedAt = micros(r.CreatedAt)
	rows.add(&r)
	bucket := r.Bucket()
	stands, err := detached(ctx, s, func(ctx context.Context) (store.Reservation, error) {
		var stands store.Reservation
		epochs, err := s.known(ctx)
		if err != nil {
			return stands, err
		}
		err = s.fenced(ctx, []int{bucket}, func(b *pgx.Batch) {
			if r.Replaces != "" {
				b.Queue(replaceReservation, bucket, epochs[bucket], r.Owner, r.Key, r.Replaces, r.Code)
			}
			b.Queue(upsertReservations, rows.args(epochs)...).QueryRow(func(row pgx.Row) (err error) {
				if stands, err = scanReservation(row); errors.Is(err, pgx.ErrNoRows) {
					return store.ErrMoved
				}
				return err
			})
			b.Queue(pruneReservations, store.ReservationTTL, 4)
		})
		return stands, err
	})
	if err != nil {
		return store.Reservation{}, wrap(err, "reserve", r.Code)
	}
	return stands, nil
}

// scanReservation reads what upsertReservations returns.
func scanReservation(row pgx.Row) (r store.Reservation, err error) {
	err = row.Scan(&r.Owner, &r.Key, &r.Fingerprint, &r.Code, &r.CreatedAt)
	r.CreatedAt = r.CreatedAt.UTC()
	return r, err
}

// reservationRows are new reservations by column.
type reservationRows struct {
	buckets                           []int
	owners, keys, fingerprints, codes []string
	created                           []time.Time
}

// add appends a reservation.
func (r *reservationRows) add(v *store.Reservation) {
	r.buckets = append(r.buckets, v.Bucket())
	r.owners, r.keys = append(r.owners, v.Owner), append(r.keys, v.Key)
	r.fingerprints, r.codes = append(r.fingerprints, v.Fingerprint), append(r.codes, v.Code)
	r.created = append(r.created, v.CreatedAt)
}

// args are the arguments of upsertReservations.
func (r *reservationRows) args(epochs *epochs) []any {
	return []any{r.buckets, epochs.of(r.buckets), r.owners, r.keys, r.fingerprints, r.codes, r.created, store.ReservationTTL}
}
