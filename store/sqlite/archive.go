package sqlite

import (
	"context"

	"github.com/terse/terse/store"
)

// exportLinks reads links in the order of the primary key.
const exportLinks = linkWithTotals + `WHERE l.code > ? ORDER BY l.code LIMIT ?`

const setClicks = `INSERT INTO click_totals (code, total, robots, last_click_at) VALUES (?, ?, ?, ?)`

// Export implements store.Archive. Links are sorted by code.
func (s *Store) Export(ctx context.Context, after string, limit int) ([]store.Link, error) {
	rows, err := s.lists.QueryContext(ctx, exportLinks, after, min(max(limit, 1), store.MaxPageLen))
	if err != nil {
		return nil, wrap(err, "export", "")
	}
	defer rows.Close()
	links, err := scanLinks(rows)
	return links, wrap(err, "export", "")
}

// Import implements store.Archive.
func (s *Store) Import(ctx context.Context, l store.Link) (store.Link, error) {
	l = asStored(l)
	l.RequestID = ""
	if !l.DeletedAt.IsZero() {
		l = l.Remains()
	}
	values, err := linkValues(&l)
	if err != nil {
		return store.Link{}, wrap(err, "import", l.Code)
	}
	return change(ctx, s, "import", l.Code, func(ctx context.Context, tx tx) (store.Link, error) {
		err := tx.atomically(ctx, func() error {
			added, err := tx.exec(ctx, tx.edits.insert, values...)
			switch {
			case err != nil:
				return err
			case added == 0:
				return store.ErrExists
			case l.Clicks == 0 && l.Robots == 0:
				return nil
			}
			_, err = tx.exec(ctx, tx.edits.setClicks, l.Code, l.Clicks, l.Robots, micros(l.LastClickAt))
			return err
		})
		if err != nil {
			return store.Link{}, err
		}
		return l, nil
	})
}
