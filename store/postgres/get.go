package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// stored is the state of one code on the primary.
type stored struct {
	epoch int64      // of its bucket; 0 if this shard does not own it
	link  store.Link // Version is 0 if the link does not exist
}

// selectStored joins each table to the codes, so that each code has a row in the result,
// and so that the planner can only look up the whole key.
const selectStored = `SELECT ` + linkColumns + `, ` + totalColumns + `,
	coalesce((SELECT b.epoch FROM buckets b WHERE b.bucket = k.bucket AND b.state = 'owned'), 0), k.place
	FROM (SELECT $1::smallint[] AS buckets, $2::text[] AS codes ` + unseen + `) AS q,
		unnest(q.buckets, q.codes) WITH ORDINALITY AS k (bucket, code, place)
	LEFT JOIN links l ON l.bucket = k.bucket AND l.code = k.code
	LEFT JOIN click_totals c ON c.bucket = k.bucket AND c.code = k.code AND l.deleted_at IS NULL`

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, code string) (store.Link, error) {
	got, err := s.lookUpOne(ctx, code)
	return got.link, wrap(err, "get", code)
}

// lookUpOne reads one code from the primary, or returns why there is no link.
func (s *Store) lookUpOne(ctx context.Context, code string) (stored, error) {
	all, err := s.lookUp(ctx, []string{code})
	if err == nil {
		err = all[0].lack()
	}
	if err != nil {
		return stored{}, err
	}
	return all[0], nil
}

// lack returns why there is no link, or nil.
func (s *stored) lack() error {
	switch {
	case s.epoch == 0:
		return store.ErrMoved
	case s.link.Version == 0:
		return store.ErrNotFound
	}
	return nil
}

// lookUp reads codes from the primary. The results have the order of codes.
func (s *Store) lookUp(ctx context.Context, codes []string) ([]stored, error) {
	all := make([]stored, len(codes))
	err := s.primary.read(ctx, reads, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, selectStored, bucketsOf(codes), codes)
		if err != nil {
			return err
		}
		defer rows.Close()
		return scanStored(rows, all)
	})
	return all, err
}

func bucketsOf(codes []string) []int {
	buckets := make([]int, len(codes))
	for i, code := range codes {
		buckets[i] = store.BucketOf(code)
	}
	return buckets
}

// scanStored reads the rows of selectStored into all, in the order of the codes.
func scanStored(rows pgx.Rows, all []stored) (err error) {
	for rows.Next() {
		var one stored
		var place int
		if one.link, err = scanTotals(rows, &one.epoch, &place); err != nil {
			return err
		}
		all[place-1] = one
	}
	return rows.Err()
}
