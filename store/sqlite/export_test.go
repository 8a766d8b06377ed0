package sqlite

import (
	"context"
	"database/sql"
	"fmt"

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
