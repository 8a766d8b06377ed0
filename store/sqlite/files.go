package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

const (
	dirMode  = 0o700
	fileMode = 0o600

	// lockWait is how long a start waits for another process to let go of the
	// folder, such as one that is just stopping or just making the database.
	lockWait = time.Second
	lockPoll = 20 * time.Millisecond
)

// files are the paths in the folder of a database. Nothing here opens the
// database file itself other than through SQLite: closing any descriptor of it
// would drop the locks that SQLite holds on it in this process.
type files struct {
	dir      string
	database string
	lock     string
	fresh    string // where a new database is built
}

func newFiles(dir string) files {
	return files{
		dir:      dir,
		database: filepath.Join(dir, "terse.db"),
		lock:     filepath.Join(dir, "terse.lock"),
		fresh:    filepath.Join(dir, "terse.db.new"),
	}
}

// prepare sees to it that the folder holds a database with the latest schema.
// The lock that it returns is held; it is nil unless serve.
func (f *files) prepare(ctx context.Context, serve bool) (*flock.Flock, error) {
	if err := f.makeDir(); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(lockWait)
	for {
		found, err := f.inspect(ctx)
		if err != nil {
			return nil, err
		}
		if !serve && found == latest() {
			return nil, nil //nolint:nilnil // no lock is needed
		}
		lock, err := f.tryLock()
		if err == nil {
			return f.update(ctx, lock, serve)
		}
		if !errors.Is(err, ErrLocked) || time.Now().After(deadline) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// update brings the database to the latest schema under the lock, which it
// keeps when serve, and else gives back.
func (f *files) update(ctx context.Context, lock *flock.Flock, serve bool) (*flock.Flock, error) {
	// What was found before the lock was held may have changed.
	found, err := f.inspect(ctx)
	switch {
	case err != nil:
	case found == absent:
		err = f.create(ctx)
	case found < latest():
		err = f.migrate(ctx, (*migration).up)
	}
	if err == nil && serve {
		return lock, nil
	}
	return nil, errors.Join(err, lock.Close())
}

// tryLock claims the folder, or returns ErrLocked.
func (f *files) tryLock() (*flock.Flock, error) {
	lock := flock.New(f.lock, flock.SetPermissions(fileMode))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("folder %s must be writable: %w", f.dir, err)
	}
	if !held {
		return nil, fmt.Errorf("%w: %s", ErrLocked, f.dir)
	}
	return lock, nil
}

// makeDir makes the folder, and sees whether files can be made in it.
func (f *files) makeDir() error {
	if err := os.MkdirAll(f.dir, dirMode); err != nil {
		return fmt.Errorf("folder %s: %w", f.dir, err)
	}
	probe, err := os.OpenFile(f.lock, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("folder %s must be writable: %w", f.dir, err)
	}
	return probe.Close()
}

// create builds a database under another name and then gives it its own, so that
// no moment of a first start leaves half a database behind.
func (f *files) create(ctx context.Context) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(f.fresh + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the rest of an earlier start: %w", err)
		}
	}
	empty, err := os.OpenFile(f.fresh, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return fmt.Errorf("make a database: %w", err)
	}
	if err := empty.Close(); err != nil {
		return fmt.Errorf("make a database: %w", err)
	}
	m, err := newMigration(ctx, f.fresh)
	if err != nil {
		return err
	}
	if err := errors.Join(m.up(), m.close()); err != nil {
		return err
	}
	if err := f.publish(); err != nil {
		return fmt.Errorf("make a database: %w", err)
	}
	return nil
}

// publish gives the new database its name, durably.
func (f *files) publish() error {
	if err := fsync(f.fresh); err != nil {
		return err
	}
	if err := os.Rename(f.fresh, f.database); err != nil {
		return err
	}
	return fsync(f.dir)
}

// fsync makes a file or folder durable that SQLite does not have open.
func fsync(path string) error {
	f, err := os.Open(path) //nolint:gosec // in the folder that the operator chose
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
