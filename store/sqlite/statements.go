package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// edits are prepared statements for frequent writes.
type edits struct {
	get, insert, update, use *sql.Stmt

	reservation, reserve, pruneReservations *sql.Stmt

	flush, count, addDays, pruneFlushes, setClicks, setDay *sql.Stmt
}

func (e *edits) prepare(ctx context.Context, db *sql.DB) error {
	return prepare(ctx, db, []statement{
		{&e.get, linkWithTotals + byCode},
		{&e.insert, insertLink},
		{&e.update, updateLink},
		{&e.use, useLink},
		{&e.reservation, selectReservation},
		{&e.reserve, upsertReservation},
		{&e.pruneReservations, pruneReservations},
		{&e.flush, upsertFlush},
		{&e.count, addClicks},
		{&e.addDays, addDays},
		{&e.setDay, setDay},
		{&e.pruneFlushes, pruneFlushes},
		{&e.setClicks, setClicks},
	})
}

// statement is a query, and the variable for its prepared statement.
type statement struct {
	to    **sql.Stmt
	query string
}

// prepare prepares statements. They are closed with the handle.
func prepare(ctx context.Context, db *sql.DB, statements []statement) error {
	for _, s := range statements {
		stmt, err := db.PrepareContext(ctx, s.query) //nolint:sqlclosecheck // closed with the handle
		if err != nil {
			return fmt.Errorf("prepare %q: %w", s.query, translate(err))
		}
		*s.to = stmt
	}
	return nil
}
