//go:build unix

package main

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// chunk is how many links are copied at a time.
const chunk = 10_000

// fill copies the links into the shard in the order of creation. The indexes exist, so
// they receive their entries in random order, as in production.
func (s *shard) fill(ctx context.Context) error {
	return s.query(ctx, func(conn *pgx.Conn) error {
		for first := 0; first < s.count; first += chunk {
			if err := s.copy(ctx, conn, first, min(first+chunk, s.count)); err != nil {
				return err
			}
		}
		return nil
	})
}

// indexes returns the statements that drop the indexes of table links, and the
// statements that create them again.
const indexes = `
	SELECT format('ALTER TABLE links DROP CONSTRAINT %I', conname),
		format('ALTER TABLE links ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
	FROM pg_constraint WHERE conrelid = 'links'::regclass AND contype = 'p'
	UNION ALL
	SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
	FROM pg_index WHERE indrelid = 'links'::regclass AND NOT indisprimary`

// bulkFill copies the links first and creates the indexes afterwards. This takes a
// fraction of the time, and the indexes are denser.
func (s *shard) bulkFill(ctx context.Context) error {
	var drops, adds []string
	err := s.query(ctx, func(conn *pgx.Conn) error {
		var drop, add string
		rows, _ := conn.Query(ctx, indexes) // ForEachRow returns the error
		_, err := pgx.ForEachRow(rows, []any{&drop, &add}, func() error {
			drops, adds = append(drops, drop), append(adds, add)
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	if err := s.exec(ctx, strings.Join(drops, ";")); err != nil {
		return err
	}
	if err := s.fill(ctx); err != nil {
		return err
	}
	return s.exec(ctx, strings.Join(adds, ";"))
}

// copy adds the links from first up to, but not including, end.
func (s *shard) copy(ctx context.Context, conn *pgx.Conn, first, end int) error {
	next := first
	_, err := conn.CopyFrom(ctx, pgx.Identifier{"links"}, s.links.columns(), pgx.CopyFromFunc(func() ([]any, error) {
		if next == end {
			return nil, nil
		}
		next++
		return s.links.row(next - 1)
	}))
	return err
}
