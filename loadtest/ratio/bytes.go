//go:build unix

package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// bytesAim is the most bytes that a link should use on disk, with its indexes.
const bytesAim = 300

// relation is table links or one of its indexes.
type relation struct {
	Name  string
	Bytes int64
}

// measureBytes measures how many bytes a link uses on disk.
func measureBytes(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.shard(ctx, b.opts.links)
	if err != nil {
		return nil, err
	}
	relations, err := s.relations(ctx)
	if err != nil {
		return nil, err
	}
	total := 0.0
	for _, r := range relations {
		each := float64(r.Bytes) / float64(s.count)
		total += each
		fmt.Printf("%-20s %6.1f bytes a link\n", r.Name, each)
	}
	return []figure{{
		what:      fmt.Sprintf("bytes on disk of a link with its indexes, %d links of %d-byte URLs", s.count, targetLen),
		measured:  fmt.Sprintf("%.0f", total),
		yardstick: fmt.Sprintf("%d", bytesAim),
		ratio:     spread{ratio: total / bytesAim},
		aim:       "1.00 or less",
	}}, nil
}

// relations returns table links and its indexes, the largest first.
func (s *shard) relations(ctx context.Context) (all []relation, err error) {
	err = s.query(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `
			SELECT 'table links', pg_table_size('links')
			UNION ALL
			SELECT indexrelid::regclass::text, pg_total_relation_size(indexrelid)
			FROM pg_index WHERE indrelid = 'links'::regclass
			ORDER BY 2 DESC`)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[relation])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sizes of table links: %w", err)
	}
	return all, nil
}
