package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/terse/terse/store"
)

// Hold takes the connection for writes away, so that no transaction begins
// before it is closed.
func (s *Store) Hold(ctx context.Context) (*sql.Conn, error) { return s.writer.Conn(ctx) }

// Waiting reports how many transactions wait for the connection, and how many
// writes for a transaction.
func (s *Store) Waiting() (transactions, writes int) {
	return int(s.writer.Stats().WaitCount), s.writes.Waiting()
}

// LimitPages makes the disk look full on the connection for writes: the database
// cannot grow beyond n pages; 0 is its present size.
func LimitPages(ctx context.Context, conn *sql.Conn, n int64) error {
	return conn.QueryRowContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", max(n, 1))).Scan(&n)
}

// Lists returns the handle for queries.
func (s *Store) Lists() *sql.DB { return s.lists }

// Writer returns the handle for writes.
func (s *Store) Writer() *sql.DB { return s.writer }

// ListQuery returns the query for a page of at most 11 links.
func ListQuery(q store.Query) (query string, args []any) { return listQuery(q, 11) }
