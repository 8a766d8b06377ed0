package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// Secret returns the secret that is kept under name. When there is none yet it
// keeps the one that make returns; of several callers at once one wins, and all
// get the winner's.
func (s *Store) Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	const query = `SELECT value FROM secrets WHERE name = ?`
	var kept []byte
	err := s.lists.QueryRowContext(ctx, query, name).Scan(&kept)
	if !errors.Is(err, sql.ErrNoRows) {
		return kept, wrap(err, "secret", name)
	}
	made, err := make()
	if err != nil {
		return nil, wrap(err, "make secret", name)
	}
	return change(ctx, s, "secret", name, func(ctx context.Context, tx tx) ([]byte, error) {
		_, err := tx.ExecContext(ctx, `INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, made)
		if err != nil {
			return nil, err
		}
		var kept []byte
		err = tx.QueryRowContext(ctx, query, name).Scan(&kept)
		return kept, err
	})
}
