package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/terse/terse/store"
)

// Errors of Open for a folder that it cannot use. Open does not change the files that it
// found.
var (
	ErrLocked  = errors.New("another terse is using the folder")
	ErrForeign = errors.New("the file is not a terse database")
	ErrNewer   = errors.New("a newer version of terse made the database")
	ErrDamaged = errors.New("the database is damaged")
)

// translate converts errors of SQLite and database/sql to errors of the store, and returns
// other errors unchanged.
func translate(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	switch resultCode(err) {
	case lib.SQLITE_OK: // not an error of SQLite
		if errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, driver.ErrBadConn) {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		return err
	case lib.SQLITE_CONSTRAINT:
		return fmt.Errorf("%w: %w", store.ErrExists, err)
	case lib.SQLITE_ERROR, lib.SQLITE_TOOBIG, lib.SQLITE_MISMATCH, lib.SQLITE_MISUSE, lib.SQLITE_RANGE:
		return err
	}
	// The disk, the file or another process caused the error.
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// resultCode returns SQLite's primary result code of err, or SQLITE_OK when err does not
// come from SQLite.
func resultCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return lib.SQLITE_OK
}

// aborts reports whether err leaves the transaction in an unknown state, so that it must
// end. For example, SQLite rolls back by itself on a full disk, and would then commit each
// later statement separately.
func aborts(err error) bool {
	switch resultCode(err) {
	case lib.SQLITE_CONSTRAINT, lib.SQLITE_TOOBIG, lib.SQLITE_MISMATCH, lib.SQLITE_RANGE:
		return false
	case lib.SQLITE_OK:
		return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
			errors.Is(err, sql.ErrTxDone) || errors.Is(err, driver.ErrBadConn)
	}
	return true
}

// damaged reports whether err means that the file is damaged.
func damaged(err error) bool { return resultCode(err) == lib.SQLITE_CORRUPT }

// wrap translates an error and adds the operation and the object. It returns nil for nil.
func wrap(err error, op, object string) error {
	if err == nil {
		return nil
	}
	if object == "" {
		return fmt.Errorf("sqlite: %s: %w", op, translate(err))
	}
	return fmt.Errorf("sqlite: %s %q: %w", op, object, translate(err))
}
