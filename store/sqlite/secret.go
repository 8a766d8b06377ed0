package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// Secret returns the secret with the given name. When there is none yet, it stores the result
// of make. When several callers do so at once, all get the same secret.
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
