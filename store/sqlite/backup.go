package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Backup copies the database in dir to the file to, which must be empty, and makes the copy
// durable. The copy is a consistent snapshot in one file, without a write-ahead log. Servers and
// commands may use the database at the same time. Backup does not migrate the database. It
// returns fs.ErrNotExist when there is no database, and the errors of Open for a database that
// cannot be used.
func Backup(ctx context.Context, dir, to string) error {
	f := newFiles(dir)
	if err := f.backup(ctx, to); err != nil {
		return fmt.Errorf("sqlite: backup: %w", err)
	}
	return nil
}

func (f *files) backup(ctx context.Context, to string) error {
	version, err := f.versionBesideServer(ctx)
	if err == nil && version == absent {
		err = fmt.Errorf("%s: %w", f.database, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	if err := f.copyTo(ctx, readOnly, to); err != nil {
		return err
	}
	return fsync(to)
}

// versionBesideServer returns the schema version of the database, or absent. Unlike version it
// also checks the log, unless a server is running: the server checked the log at its start.
func (f *files) versionBesideServer(ctx context.Context) (version int, err error) {
	if _, err := os.Stat(f.dir); err != nil {
		return absent, err
	}
	lock, err := f.tryLock()
	if errors.Is(err, ErrLocked) {
		return f.version(ctx)
	}
	if err != nil {
		return absent, err
	}
	version, err = f.recoverFiles(ctx)
	return version, errors.Join(err, lock.Close())
}

// copyTo copies the database to an empty file. It does not make the file durable. During a
// checkpoint readers see the id that the file gets, so the copy gets another id: no log
// accepts it.
func (f *files) copyTo(ctx context.Context, as access, to string) error {
	db, err := openHandle(f.database, as)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, to)
	switch {
	case damaged(err):
		err = fmt.Errorf("%w: %s: %w", ErrDamaged, f.database, err)
	case err != nil:
		err = fmt.Errorf("copy %s: %w", f.database, translate(err))
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	copied, err := openHandle(to, copying)
	if err != nil {
		return err
	}
	return errors.Join(translate(endCheckpoint(ctx, copied, false)), copied.Close())
}
