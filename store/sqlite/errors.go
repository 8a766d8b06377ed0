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

// Why a folder is refused. What is found there is left as it is.
var (
	ErrLocked  = errors.New("folder is in use by another terse")
	ErrForeign = errors.New("file is no database of terse")
	ErrNewer   = errors.New("database was made by a newer terse")
	ErrDamaged = errors.New("database is damaged")
)

// translate turns errors of SQLite and database/sql into those of the store, and
// leaves others as they are. Nothing else looks into them.
func translate(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	switch resultCode(err) {
	case lib.SQLITE_OK: // not SQLite's
		if errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, driver.ErrBadConn) {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		return err
	case lib.SQLITE_CONSTRAINT:
		return fmt.Errorf("%w: %w", store.ErrExists, err)
	case lib.SQLITE_ERROR, lib.SQLITE_TOOBIG, lib.SQLITE_MISMATCH, lib.SQLITE_MISUSE, lib.SQLITE_RANGE:
		return err
	}
	// The disk, the file or another process is in the way.
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// resultCode returns the primary result code of SQLite in err, or SQLITE_OK when
// err is not SQLite's.
func resultCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return lib.SQLITE_OK
}

// aborts reports whether err leaves a transaction in doubt, so that nothing more
// may be done in it. SQLite rolls back of itself on a full disk, for instance,
// and would commit each later statement by itself.
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

// damaged reports whether err says that the file cannot be read as a database.
func damaged(err error) bool { return resultCode(err) == lib.SQLITE_CORRUPT }

// wrap adds the operation and the object to an error, and translates it.
func wrap(err error, op, object string) error {
	if err == nil {
		return nil
	}
	if object == "" {
		return fmt.Errorf("sqlite: %s: %w", op, translate(err))
	}
	return fmt.Errorf("sqlite: %s %q: %w", op, object, translate(err))
}
