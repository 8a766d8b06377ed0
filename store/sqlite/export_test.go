package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"

	"modernc.org/sqlite"

	"github.com/terse/terse/store"
)

// Hold takes the only connection for writes, so that no transaction begins until it is
// closed.
func (s *Store) Hold(ctx context.Context) (*sql.Conn, error) { return s.writer.Conn(ctx) }

// Waiting returns how many transactions wait for the connection, and how many writes wait
// for a transaction.
func (s *Store) Waiting() (transactions, writes int) {
	return int(s.writer.Stats().WaitCount), s.writes.Waiting()
}

// StepCheckpoint does one checkpoint of a served database, and calls after with the name of
// each step.
func (s *Store) StepCheckpoint(ctx context.Context, after func(step string)) error {
	c, pages := s.checkpoints, 0
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"begin", func() error { return beginCheckpoint(ctx, c.files.database, c.writer) }},
		{"move", func() (err error) {
			c.endRead()
			pages, _, err = walCheckpoint(ctx, c.writer, "PASSIVE")
			return err
		}},
		{"read", func() error { return c.beginRead(ctx) }},
		{"end", func() error { return endCheckpoint(ctx, c.writer, pages == 0) }},
	} {
		if err := step.run(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		after(step.name)
	}
	return nil
}

// LogPages returns the number of pages in the write-ahead log.
func (s *Store) LogPages(ctx context.Context) (int, error) {
	_, all, err := walCheckpoint(ctx, s.writer, "NOOP")
	return all, err
}

// LimitPages simulates a full disk on the connection for writes: the database cannot grow
// beyond n pages, or beyond its current size when n is 0.
func LimitPages(ctx context.Context, conn *sql.Conn, n int64) error {
	return conn.QueryRowContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", max(n, 1))).Scan(&n)
}

// Lists returns the handle for queries.
func (s *Store) Lists() *sql.DB { return s.lists }

// Writer returns the handle for writes.
func (s *Store) Writer() *sql.DB { return s.writer }

// ListQuery returns the query for a page of at most 11 links.
func ListQuery(q store.Query) (query string, args []any) { return listQuery(q, 11) }

// SelectChanges is the query of Changes.
const SelectChanges = selectChanges

// CopyPages copies the database of a connection of SQLite's driver page by page, like .backup
// of the sqlite3 program.
func CopyPages(conn any, to string) error {
	b, err := conn.(interface {
		NewBackup(uri string) (*sqlite.Backup, error)
	}).NewBackup("file:" + to)
	if err != nil {
		return err
	}
	if _, err := b.Step(-1); err != nil {
		return err
	}
	return b.Finish()
}

// InterruptedRestore does the part of Restore up to the decision to replace the database.
func InterruptedRestore(ctx context.Context, dir, from string) error {
	f := newFiles(dir)
	return errors.Join(f.makeFresh(), (&files{database: from}).copyTo(ctx, withoutLog, f.fresh), f.commitRestore())
}

// AsideName returns the name of the folder for the files that a restore replaces. The
// restored file must exist.
func AsideName(tb testing.TB, dir string) string {
	tb.Helper()
	f := newFiles(dir)
	info, err := os.Stat(f.restored)
	if err != nil {
		tb.Fatal(err)
	}
	return asideName(info)
}
