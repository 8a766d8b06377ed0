package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

// barrier makes the COMMIT of its transaction wait for the synchronous standbys, as the
// COMMIT of a write does. Everything that the transaction has read was committed earlier,
// so the standbys have it, too.
//
// A commit is visible at once after its wait was cancelled, and a failover may lose it.
// So an answer "already done" must come from a transaction with a barrier. The read and
// the barrier must be on one server: a read from the old primary and a barrier on the new
// one would prove nothing.
const barrier = `SELECT pg_logical_emit_message(true, 'terse', '')`

// confirmed runs the reads that queue adds in one transaction with a barrier. queue may
// run several times.
func (s *Store) confirmed(ctx context.Context, queue func(b *pgx.Batch)) error {
	return s.primary.read(ctx, writes, func(ctx context.Context, conn *pgx.Conn) error {
		b := &pgx.Batch{}
		queue(b)
		b.Queue(barrier)
		return conn.SendBatch(ctx, b).Close()
	})
}

// newConfirms returns the group for confirming reads, with one batch at a time.
func newConfirms(s *Store) (*batch.Group[string, stored], error) {
	return batch.New(batch.Options[string, stored]{
		Run: func(ctx context.Context, codes []string) []batch.Result[stored] {
			results := make([]batch.Result[stored], len(codes))
			all, err := s.confirm(ctx, codes)
			for i := range results {
				results[i] = batch.Result[stored]{Value: all[i], Err: err}
			}
			return results
		},
		MaxBatch: s.opts.MaxBatch,
		Timeout:  s.opts.CallTimeout,
		Wait:     s.opts.CallTimeout,
	})
}

// Confirm implements store.Store.
func (s *Store) Confirm(ctx context.Context, code string) (store.Link, error) {
	got, err := s.confirmOne(ctx, code)
	return got.link, wrap(err, "confirm", code)
}

// confirmOne is lookUpOne in a transaction with a barrier.
func (s *Store) confirmOne(ctx context.Context, code string) (stored, error) {
	got, err := s.confirms.Do(ctx, code)
	if err == nil {
		err = got.lack()
	}
	if err != nil {
		return stored{}, err
	}
	return got, nil
}

// confirm is lookUp in a transaction with a barrier.
func (s *Store) confirm(ctx context.Context, codes []string) ([]stored, error) {
	all := make([]stored, len(codes))
	err := s.confirmed(ctx, func(b *pgx.Batch) {
		clear(all)
		b.Queue(selectStored, bucketsOf(codes), codes).Query(func(rows pgx.Rows) error { return scanStored(rows, all) })
	})
	return all, err
}

// errUnreplicated says that a commit is visible, but no standby has confirmed it.
var errUnreplicated = errors.New("the wait for a standby was cancelled: the commit is visible, and a failover may lose it")

// unreplicated is the key in a connection's custom data that marks a cancelled wait.
const unreplicated = "terse: wait for a standby was cancelled"

// noteCancelledWait records that Postgres has stopped waiting for a standby. Postgres
// then reports success with this warning. The warning is identified by its routine,
// because its text is translated.
func noteCancelledWait(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		conn.CustomData()[unreplicated] = true
	}
}

// replicated returns err, or errUnreplicated after a success with a cancelled wait.
func replicated(conn *pgconn.PgConn, err error) error {
	if _, cancelled := conn.CustomData()[unreplicated]; !cancelled {
		return err
	}
	delete(conn.CustomData(), unreplicated)
	if err == nil {
		err = unavailable(errUnreplicated)
	}
	return err
}
