package schema

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5/pgconn"
)

// dirtyError says that a step up failed on a shard.
type dirtyError struct {
	shard   string
	version int
}

func (e dirtyError) Error() string {
	return fmt.Sprintf("schema is dirty at version %d: step %d failed and was rolled back; "+
		"fix the cause, then run `terse migrate force %s %d` and then `terse migrate up`",
		e.version, e.version, e.shard, e.version-1)
}

// lockTimeoutError says that a statement did not get a lock in time.
type lockTimeoutError struct {
	timeout time.Duration
	cause   error
}

func (e lockTimeoutError) Error() string {
	return fmt.Sprintf("another transaction kept a lock for longer than %v; nothing was changed: run the command again (%v)", e.timeout, e.cause)
}

func (e lockTimeoutError) Unwrap() error { return e.cause }

// stepError returns the cause of an error of golang-migrate. Those errors do not unwrap,
// and their text repeats the whole step.
func stepError(err error, timeout time.Duration) error {
	if err == nil {
		return nil
	}
	at := ""
	if e, ok := errors.AsType[database.Error](err); ok {
		err = e.OrigErr
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Position > 0 {
			at = fmt.Sprintf("line %d: ", e.Line)
		}
	} else if e, ok := errors.AsType[*database.Error](err); ok {
		err = e.OrigErr
	}
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && pgErr.Code == "55P03", errors.Is(err, migrate.ErrLockTimeout):
		return lockTimeoutError{timeout, err}
	case ok && pgErr.Detail != "":
		return fmt.Errorf("%s%w: %s", at, err, pgErr.Detail)
	}
	return fmt.Errorf("%s%w", at, err)
}
