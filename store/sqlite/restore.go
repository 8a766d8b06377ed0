package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Restore replaces the database in dir by the copy in the file from. If the copy has a
// write-ahead log, Restore includes it. It does not change the copy. It moves the replaced files
// into a new folder in dir and returns the path of this folder, or "" when there was nothing to
// replace. After a crash of Restore, dir has the old database, or the next start completes the
// restore.
//
// Restore returns ErrLocked while a server uses dir, and the errors of Open for a copy that
// cannot be used. With these errors it changes no database.
func Restore(ctx context.Context, dir, from string) (aside string, err error) {
	f := newFiles(dir)
	copied := files{dir: filepath.Dir(from), database: from}
	if err := f.makeDir(); err != nil {
		return "", fmt.Errorf("sqlite: restore: %w", err)
	}
	lock, err := f.waitLock(ctx)
	if err != nil {
		return "", fmt.Errorf("sqlite: restore: %w", err)
	}
	aside, err = f.restore(ctx, &copied)
	if err := errors.Join(err, lock.Close()); err != nil {
		return "", fmt.Errorf("sqlite: restore: %w", err)
	}
	return aside, nil
}

// restore does the work of Restore. The caller must have locked the folder.
func (f *files) restore(ctx context.Context, from *files) (aside string, err error) {
	if _, err := f.finishRestore(); err != nil {
		return "", err
	}
	if err := from.checkCopy(f.database); err != nil {
		return "", err
	}
	if err := from.checkLog(ctx); err != nil {
		return "", err
	}
	as := readOnly
	if !from.hasLog() {
		as = withoutLog // creates no files in the folder of the copy, which may be read-only
	}
	if err := from.checkIntegrity(ctx, as); err != nil {
		return "", err
	}
	if err := f.makeFresh(); err != nil {
		return "", err
	}
	if err := from.copyTo(ctx, as, f.fresh); err != nil {
		return "", errors.Join(err, os.Remove(f.fresh))
	}
	if err := f.commitRestore(); err != nil {
		return "", err
	}
	return f.finishRestore()
}

// checkCopy returns an error when f is missing, invalid, or the given database itself.
func (f *files) checkCopy(database string) error {
	copied, err := os.Stat(f.database)
	switch {
	case err != nil:
		return err
	case !copied.Mode().IsRegular():
		return fmt.Errorf("%w: %s is not a file", ErrForeign, f.database)
	case copied.Size() < headerSize:
		return fmt.Errorf("%w: %s has %d bytes", ErrDamaged, f.database, copied.Size())
	}
	current, err := os.Stat(database)
	if err == nil && os.SameFile(copied, current) {
		return fmt.Errorf("%s is the database itself, not a copy", f.database)
	}
	return nil
}

// commitRestore durably records the decision to replace the database. After it, finishRestore
// completes the restore, also after a crash.
func (f *files) commitRestore() error {
	if err := errors.Join(inheritOwner(f.dir, f.fresh), inheritOwner(f.dir, f.lock), fsync(f.fresh)); err != nil {
		return err
	}
	if err := os.Rename(f.fresh, f.restored); err != nil {
		return err
	}
	return fsync(f.dir)
}

// finishRestore moves the files of the replaced database into a folder, and then renames the
// restored database to its final name. It does nothing without a restored database. It can be
// repeated after a crash, because the name of the folder depends only on the restored file. The
// caller must have locked the folder.
func (f *files) finishRestore() (aside string, err error) {
	restored, err := os.Stat(f.restored)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	aside = filepath.Join(f.dir, asideName(restored))
	moved := false
	for _, suffix := range suffixes {
		if _, err := os.Lstat(f.database + suffix); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(aside, dirMode); err != nil {
			return "", err
		}
		if err := os.Rename(f.database+suffix, filepath.Join(aside, filepath.Base(f.database)+suffix)); err != nil {
			return "", err
		}
		moved = true
	}
	if moved {
		if err := errors.Join(inheritOwner(f.dir, aside), fsync(aside), fsync(f.dir)); err != nil {
			return "", err
		}
	} else {
		aside = ""
	}
	if err := os.Rename(f.restored, f.database); err != nil {
		return "", err
	}
	return aside, fsync(f.dir)
}

// asideName returns the name of the folder for the replaced files.
func asideName(restored fs.FileInfo) string {
	return "replaced-" + restored.ModTime().UTC().Format("20060102T150405.000000000Z")
}
