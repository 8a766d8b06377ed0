package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
)

const (
	dirMode  = 0o700
	fileMode = 0o600

	// lockWait is how long a start waits for another process to release the folder, for
	// example a process that is stopping or creating the database.
	lockWait = time.Second
	lockPoll = 20 * time.Millisecond
)

// suffixes are what SQLite appends to the path of a database to name the files of the database.
var suffixes = []string{"", "-wal", "-journal", "-shm"}

// files are the paths of a database folder. Only SQLite may open the database file: in this
// process, closing any other descriptor of the file would release SQLite's locks.
type files struct {
	dir      string
	database string
	lock     string
	fresh    string // path of a new database until it is complete
	restored string // path of a complete database that replaces the current one
}

func newFiles(dir string) files {
	return files{
		dir:      dir,
		database: filepath.Join(dir, "terse.db"),
		lock:     filepath.Join(dir, "terse.lock"),
		fresh:    filepath.Join(dir, "terse.db.new"),
		restored: filepath.Join(dir, "terse.db.restored"),
	}
}

// IsOwnFile reports whether path is, or would become, a file of the database in dir.
func IsOwnFile(dir, path string) bool {
	folder, err := os.Stat(dir)
	if err != nil {
		return false
	}
	other, err := os.Stat(filepath.Dir(path))
	if err != nil || !os.SameFile(folder, other) {
		return false
	}
	f := newFiles(dir)
	own := []string{f.lock, f.fresh, f.restored}
	for _, suffix := range suffixes {
		own = append(own, f.database+suffix)
	}
	return slices.ContainsFunc(own, func(file string) bool { return filepath.Base(file) == filepath.Base(path) })
}

// log returns the path of the write-ahead log.
func (f *files) log() string { return f.database + "-wal" }

// hasLog reports whether there is a write-ahead log that is not empty.
func (f *files) hasLog() bool {
	info, err := os.Stat(f.log())
	return err == nil && info.Size() > 0
}

// prepare makes sure that the folder contains a database with the latest schema. With serve
// it returns the lock of the folder, which the caller must close; otherwise it returns nil.
func (f *files) prepare(ctx context.Context, serve bool) (*flock.Flock, error) {
	if err := f.makeDir(); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(lockWait)
	for {
		lock, err := f.tryLock()
		if err == nil {
			return f.update(ctx, lock, serve)
		}
		if !errors.Is(err, ErrLocked) {
			return nil, err
		}
		found, unusable := f.version(ctx)
		if unusable != nil {
			return nil, unusable
		}
		if !serve && found == latest() {
			return nil, nil //nolint:nilnil // a nil lock means no lock
		}
		if time.Now().After(deadline) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// update creates or migrates the database. The caller has locked the folder. update returns
// the lock with serve, and otherwise closes it.
func (f *files) update(ctx context.Context, lock *flock.Flock, serve bool) (*flock.Flock, error) {
	found, err := f.recoverFiles(ctx)
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

// recoverFiles returns the schema version of the database, or absent. It returns an error for
// files that are not usable. It finishes a restore that was interrupted. The caller must have
// locked the folder.
func (f *files) recoverFiles(ctx context.Context) (version int, err error) {
	if _, err := f.finishRestore(); err != nil {
		return absent, fmt.Errorf("finish an interrupted restore: %w", err)
	}
	if err := f.checkLog(ctx); err != nil {
		return absent, err
	}
	return f.version(ctx)
}

// tryLock locks the folder, or returns ErrLocked.
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

// waitLock is like tryLock, but waits up to lockWait, because commands lock the folder for a
// short time.
func (f *files) waitLock(ctx context.Context) (*flock.Flock, error) {
	deadline := time.Now().Add(lockWait)
	for {
		lock, err := f.tryLock()
		if !errors.Is(err, ErrLocked) || time.Now().After(deadline) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// makeDir creates the folder, and checks that files can be created in it.
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

// create builds a database under a temporary name and then renames it, so that an
// interrupted first start leaves no incomplete database.
func (f *files) create(ctx context.Context) error {
	if err := f.makeFresh(); err != nil {
		return err
	}
	m, err := newMigration(ctx, f.fresh)
	if err != nil {
		return err
	}
	if err := errors.Join(m.up(), m.close()); err != nil {
		return err
	}
	if err := f.publish(); err != nil {
		return fmt.Errorf("create a database: %w", err)
	}
	return nil
}

// makeFresh makes an empty file for a new database.
func (f *files) makeFresh() error {
	for _, suffix := range suffixes {
		if err := os.Remove(f.fresh + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove files of an earlier start: %w", err)
		}
	}
	empty, err := os.OpenFile(f.fresh, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err == nil {
		err = empty.Close()
	}
	if err != nil {
		return fmt.Errorf("create a database: %w", err)
	}
	return nil
}

// publish renames the new database to its final name, durably.
func (f *files) publish() error {
	if err := fsync(f.fresh); err != nil {
		return err
	}
	if err := os.Rename(f.fresh, f.database); err != nil {
		return err
	}
	return fsync(f.dir)
}

// fsync makes a file or folder durable. SQLite must not have the file open.
func fsync(path string) error {
	f, err := os.Open(path) //nolint:gosec // in the operator's folder
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
