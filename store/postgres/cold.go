package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

// selectLinks reads codes; n is the position of a code in $2. One statement reads a link
// and the owner of its bucket at the same moment. It joins by unnest, because a condition
// with an array for each column of the key would try every pair of a bucket and a code.
const selectLinks = `SELECT ` + linkColumns + `, k.n, o.bucket IS NOT NULL, pg_is_in_recovery()
	FROM (SELECT $1::smallint[] AS buckets, $2::text[] AS codes ` + unseen + `) AS q,
		unnest(q.buckets, q.codes) WITH ORDINALITY AS k (bucket, code, n)
	LEFT JOIN buckets o ON o.bucket = k.bucket AND o.state = 'owned'
	LEFT JOIN links l ON l.bucket = k.bucket AND l.code = k.code`

// unseen hides the length of the arrays in a subquery from the planner. The planner would
// otherwise plan again for each new length, and planning takes several times as long as
// execution.
const unseen = `OFFSET 0`

// openCold makes the group for cold reads from a server.
func (s *Store) openCold(server *server) (err error) {
	opts := batch.Options[string, store.Link]{
		Run: func(ctx context.Context, codes []string) []batch.Result[store.Link] {
			return s.readLinks(ctx, server, codes)
		},
		MaxBatch: s.opts.MaxBatch,
		Timeout:  s.opts.ReadTimeout,
		Wait:     s.opts.ReadTimeout,
		Observe:  server.metrics.coldBatch,
	}
	if s.opts.MaxBatch == 1 {
		opts.Parallel = int(conns[redirects])
	}
	if server.cold, err = batch.New(opts); err != nil {
		return err
	}
	s.metrics.waiting("cold_reads", s.metrics.labels(server.name), server.cold.Waiting)
	return nil
}

// readLinks reads codes from one server in one statement. The error of a code is
// store.ErrMoved if the shard does not own its bucket.
func (s *Store) readLinks(ctx context.Context, server *server, codes []string) []batch.Result[store.Link] {
	buckets := make([]int16, len(codes))
	for i, code := range codes {
		buckets[i] = int16(store.BucketOf(code)) //nolint:gosec // 12 bits
	}
	results := make([]batch.Result[store.Link], len(codes))
	err := server.read(ctx, redirects, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, selectLinks, buckets, codes)
		if err != nil {
			return err
		}
		defer rows.Close()
		var n int64
		var owned, inRecovery bool
		row := newLinkRow(&n, &owned, &inRecovery)
		for rows.Next() {
			l, err := row.scan(rows)
			if err != nil {
				return err
			}
			results[n-1] = answer(l, owned)
			misplaced := server.inPlace(inRecovery)
			switch {
			case misplaced != nil && !server.replica:
				return misplaced
			case misplaced != nil && results[n-1].Err == nil:
				results[n-1].Err = misplaced // with the link, for readAnyAge
			}
		}
		return rows.Err()
	})
	if err != nil {
		for i := range results {
			results[i] = batch.Result[store.Link]{Err: err}
		}
	}
	return results
}

// answer returns the result for a link as it was read.
func answer(l *store.Link, owned bool) batch.Result[store.Link] {
	switch {
	case !owned:
		return batch.Result[store.Link]{Err: store.ErrMoved}
	case l.Version == 0:
		return batch.Result[store.Link]{Err: store.ErrNotFound}
	}
	return batch.Result[store.Link]{Value: *l}
}
