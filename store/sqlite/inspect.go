package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	lib "modernc.org/sqlite/lib"
)

const (
	// applicationID marks a SQLite file as a terse database; the first migration sets it.
	applicationID = 0x54657273

	// absent is the schema version of a missing database.
	absent = -1

	// headerSize is the smallest size of a SQLite file: the smallest page.
	headerSize = 512
)

// version returns the schema version of the database, or absent. It returns an error for a
// file that is not a usable terse database. It changes nothing.
func (f *files) version(ctx context.Context) (version int, err error) {
	info, err := os.Stat(f.database)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent, f.refuseOrphan()
	case err != nil:
		return absent, err
	case !info.Mode().IsRegular():
		return absent, fmt.Errorf("%w: %s is not a file", ErrForeign, f.database)
	case info.Size() < headerSize:
		return absent, fmt.Errorf("%w: %s has %d bytes", ErrDamaged, f.database, info.Size())
	}
	db, err := openHandle(f.database, readOnly)
	if err != nil {
		return absent, err
	}
	version, err = schemaVersion(ctx, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return absent, fmt.Errorf("%s: %w", f.database, err)
	}
	return version, nil
}

// refuseOrphan returns an error when there is a write-ahead log without its database. A new
// database would destroy the data in the log.
func (f *files) refuseOrphan() error {
	wal := f.log()
	switch info, err := os.Stat(wal); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Size() == 0:
		return nil
	}
	return fmt.Errorf("%w: %s exists, but its database does not", ErrDamaged, wal)
}

// schemaVersion returns the number of the last migration. It checks that the file is a
// terse database of a known version.
func schemaVersion(ctx context.Context, db *sql.DB) (version int, err error) {
	var app int64
	err = db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app)
	switch {
	case resultCode(err) == lib.SQLITE_NOTADB:
		return absent, ErrForeign
	case damaged(err):
		return absent, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return absent, translate(err)
	case app != applicationID:
		return absent, fmt.Errorf("%w: application id is %#x", ErrForeign, app)
	}
	version, err = userVersion(ctx, db)
	switch {
	case damaged(err):
		return absent, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return absent, translate(err)
	case version > latest():
		return absent, fmt.Errorf("%w: schema version %d, this program supports %d", ErrNewer, version, latest())
	}
	return version, nil
}

// userVersion returns the number of the last committed migration. Every migration sets it in
// its own transaction, so it is correct even when a process was killed during a migration.
func userVersion(ctx context.Context, db *sql.DB) (version int, err error) {
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

// check searches the database for damage, for at most opts.CheckTimeout.
func (f *files) check(ctx context.Context, opts Options) error {
	if opts.CheckTimeout < 0 {
		return nil
	}
	db, err := openHandle(f.database, readOnly)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, opts.CheckTimeout)
	defer cancel()
	var found string
	err = db.QueryRowContext(limited, "PRAGMA quick_check(1)").Scan(&found)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		opts.Logger.WarnContext(ctx, "database is too large to check for damage", "timeout", opts.CheckTimeout)
		err = nil
	case damaged(err):
		err = fmt.Errorf("%w: %s: %w", ErrDamaged, f.database, err)
	case err == nil && found != "ok":
		err = fmt.Errorf("%w: %s: %s", ErrDamaged, f.database, found)
	default:
		err = translate(err)
	}
	return errors.Join(err, db.Close())
}

// checkIntegrity checks a whole database for damage, without a limit of time. It also returns the
// errors of schemaVersion.
func (f *files) checkIntegrity(ctx context.Context, as access) error {
	db, err := openHandle(f.database, as)
	if err != nil {
		return err
	}
	_, err = schemaVersion(ctx, db)
	if err == nil {
		var found string
		err = db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found)
		switch {
		case damaged(err), resultCode(err) == lib.SQLITE_NOTADB:
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		case err == nil && found != "ok":
			err = fmt.Errorf("%w: %s", ErrDamaged, found)
		default:
			err = translate(err)
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", f.database, err)
	}
	return errors.Join(err, db.Close())
}
