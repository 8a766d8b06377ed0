package sqlite

import (
	"context"
	"database/sql"

	"github.com/terse/terse/store/batch"
)

// write is the write of one caller. It runs in a transaction with other writes. When it
// changes nothing, it returns an error of the store; errors of SQLite are returned unchanged.
// A write with several statements must run them in tx.atomically.
type write func(ctx context.Context, tx tx) (any, error)

// change runs fn in the next transaction and returns when that is durable. Errors contain op
// and object; never pass a target as the object.
func change[T any](ctx context.Context, s *Store, op, object string,
	fn func(ctx context.Context, tx tx) (T, error),
) (T, error) {
	value, err := s.writes.Do(ctx, func(ctx context.Context, tx tx) (any, error) {
		return fn(ctx, tx)
	})
	result, _ := value.(T) // the zero value when fn did not run
	return result, wrap(err, op, object)
}

// commit runs writes in one transaction. A failed write does not affect the others, except
// when it leaves the transaction in an unknown state: then all fail. All fail too when the
// commit fails.
func (s *Store) commit(ctx context.Context, writes []write) []batch.Result[any] {
	results := make([]batch.Result[any], len(writes))
	// The statements are short, so ctx does not interrupt them. When ctx ends, database/sql
	// ends the transaction between two statements.
	short := context.WithoutCancel(ctx)
	err := s.transact(ctx, func(tx tx) error {
		for i, write := range writes {
			value, err := write(short, tx)
			if aborts(err) {
				return err
			}
			results[i] = batch.Result[any]{Value: value, Err: err}
		}
		return nil
	})
	if err != nil {
		s.metrics.failures.Inc()
		for i := range results {
			results[i] = batch.Result[any]{Err: err}
		}
	}
	s.checkpoint(short)
	return results
}

// checkpoint does a checkpoint when the write-ahead log is long enough. A failure affects no
// write: the log remains, and a later commit tries again.
func (s *Store) checkpoint(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.WriteTimeout)
	defer cancel()
	after := s.moveLogAfterCommit
	if s.checkpoints != nil {
		after = s.checkpoints.afterCommit
	}
	if err := after(ctx); err != nil {
		s.opts.Logger.WarnContext(ctx, "write-ahead log could not be moved into the database", "err", err)
	}
}

// moveLogAfterCommit does the checkpoint of a Store without Options.Serve.
func (s *Store) moveLogAfterCommit(ctx context.Context) error {
	pages, _, err := walCheckpoint(ctx, s.writer, "NOOP")
	if err != nil || pages < s.moveLogAt {
		return err
	}
	remaining, err := s.moveLogUnserved(ctx, "PASSIVE")
	if err != nil {
		remaining = pages
	}
	s.moveLogAt = remaining + checkpointPages
	return err
}

// transact commits the changes of fn, or nothing after an error.
func (s *Store) transact(ctx context.Context, fn func(tx tx) error) error {
	begun, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = begun.Rollback() }() // has no effect after a commit
	if err := fn(tx{begun, &s.edits}); err != nil {
		return err
	}
	return begun.Commit()
}

// tx is a write transaction.
type tx struct {
	*sql.Tx
	edits *edits
}

// exec runs a prepared statement and returns the number of changed rows.
func (t tx) exec(ctx context.Context, stmt *sql.Stmt, args ...any) (int64, error) {
	result, err := t.StmtContext(ctx, stmt).ExecContext(ctx, args...) //nolint:sqlclosecheck // closed with the transaction
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row runs a prepared query that returns one row.
func (t tx) row(ctx context.Context, stmt *sql.Stmt, args ...any) *sql.Row {
	return t.StmtContext(ctx, stmt).QueryRowContext(ctx, args...) //nolint:sqlclosecheck // closed with the transaction
}

// atomically runs fn and reverts its changes when it fails.
func (t tx) atomically(ctx context.Context, fn func() error) error {
	if _, err := t.ExecContext(ctx, "SAVEPOINT one"); err != nil {
		return err
	}
	err := fn()
	if aborts(err) {
		return err
	}
	if err != nil {
		if _, undo := t.ExecContext(ctx, "ROLLBACK TO one"); undo != nil {
			return undo
		}
	}
	if _, release := t.ExecContext(ctx, "RELEASE one"); release != nil {
		return release
	}
	return err
}

// changes runs a statement and reports whether it changed a row.
func (t tx) changes(ctx context.Context, query string, args ...any) (bool, error) {
	result, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// prune runs a prepared statement that deletes rows older than before.
func (t tx) prune(ctx context.Context, stmt *sql.Stmt, before int64) error {
	_, err := t.exec(ctx, stmt, before)
	return err
}

// none is the result type of a write without a result.
type none = struct{}
