package schema

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5/pgconn"
)

// versionTable is golang-migrate's table for the version of the schema.
const versionTable = "schema_migrations"

// recorder records the new version in the transaction of its step. golang-migrate itself
// marks a database dirty before a step and clean after it, so that a run killed between
// the two leaves the state unknown.
type recorder struct {
	database.Driver
	version int // after the step
	up      bool
	dirty   bool // the step failed, and the database is marked dirty
}

// SetVersion stores the version after the next step, for Run.
func (r *recorder) SetVersion(version int, dirty bool) error {
	if !dirty {
		return nil // Run has recorded it
	}
	before, _, err := r.Version()
	if err != nil {
		return err
	}
	r.version, r.up = version, version > before
	return nil
}

// Run runs a step as one transaction: all its statements are one simple query. If the
// server rejects a step up, Run marks the database dirty, unless the same step may
// succeed later.
func (r *recorder) Run(step io.Reader) error {
	record := "\n;DELETE FROM " + versionTable + ";"
	if r.version != database.NilVersion {
		record += fmt.Sprintf("INSERT INTO %s (version, dirty) VALUES (%d, false);", versionTable, r.version)
	}
	err := r.Driver.Run(io.MultiReader(step, strings.NewReader(record)))
	if err == nil || !r.up || !broken(err) {
		return err
	}
	if markErr := r.Driver.SetVersion(r.version, true); markErr != nil {
		return errors.Join(err, markErr)
	}
	r.dirty = true
	return err
}

// broken reports whether the step itself is wrong. It is not wrong if it failed because
// of a lock, an operator's cancel, or a server that shut down.
func broken(err error) bool {
	e, _ := errors.AsType[database.Error](err)
	pgErr, ok := errors.AsType[*pgconn.PgError](e.OrigErr)
	if !ok {
		return false
	}
	switch pgErr.Code {
	case "55P03", "57014", "57P01", "57P02", "57P03", "40P01", "40001":
		return false
	}
	return true
}
