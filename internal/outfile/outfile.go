// Package outfile writes files to paths from a user. Only the owner can read a new file. With
// Replace and Add, a file is complete when it appears at its path. A device or a pipe is written
// directly, never replaced. The folder may be shared, such as /tmp: Continue and ReadFile reject
// a file that another user may have created or changed.
package outfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Mode is the mode of new files.
const Mode = 0o600

// maxLinks is the maximum number of symbolic links that Find follows.
const maxLinks = 40

// IsStdout reports whether a path means the standard output.
func IsStdout(path string) bool {
	return path == "-" || path == "/dev/stdout" || path == "/dev/fd/1" || path == "/proc/self/fd/1"
}

// Target is a place to write to.
type Target struct {
	Path   string // unless Direct, the last element is no symbolic link
	Exists bool
	Direct bool // a device, a pipe or a similar file: write to it with OpenDirect
}

// Find returns the target of a path, and follows symbolic links. In a sticky folder that all
// users may write to, it rejects symbolic links and pipes of other users, as Linux does with
// fs.protected_symlinks and fs.protected_fifos. It returns an error for a folder.
func Find(path string) (Target, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return Target{}, err
	case info.IsDir():
		return Target{}, fmt.Errorf("%s is a folder", path)
	case !info.Mode().IsRegular() || ofSystem(path):
		return Target{Path: path, Exists: true, Direct: true}, trustedDirect(path)
	}
	for range maxLinks {
		link, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return Target{Path: path}, nil
		case err != nil:
			return Target{}, err
		case link.Mode()&fs.ModeSymlink == 0:
			return Target{Path: path, Exists: true}, nil
		}
		if err := trusted(path, link); err != nil {
			return Target{}, err
		}
		to, err := os.Readlink(path)
		if err != nil {
			return Target{}, err
		}
		if path, err = follow(path, to); err != nil {
			return Target{}, err
		}
	}
	return Target{}, fmt.Errorf("%s: too many symbolic links", path)
}

// trustedDirect is trusted for a pipe or the like, or a symbolic link to it.
func trustedDirect(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return trusted(path, info)
}

// follow returns the path that a symbolic link leads to. Its folder has no symbolic links, so
// that ".." in the link leads where the system would go.
func follow(link, to string) (string, error) {
	if !filepath.IsAbs(to) {
		folder, _ := filepath.Split(link)
		to = folder + to
	}
	folder, name := filepath.Split(to)
	folder, err := filepath.EvalSymlinks(cmp.Or(folder, "."))
	return filepath.Join(folder, name), err
}

// ofSystem reports whether a path is in a folder of the kernel. A file there may be regular,
// for example /dev/stderr when it is redirected to a file.
func ofSystem(path string) bool {
	absolute, err := filepath.Abs(path)
	return err == nil && (strings.HasPrefix(absolute, "/dev/") || strings.HasPrefix(absolute, "/proc/")) && !strings.HasPrefix(absolute, "/dev/shm/")
}

// OpenDirect opens a device or a pipe for writing, and waits until a pipe has a reader. It
// appends to a regular file, such as a redirected /dev/stderr.
func OpenDirect(path string) (*os.File, error) {
	flag := os.O_WRONLY
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		flag |= os.O_APPEND // a device may reject this flag
	}
	return os.OpenFile(path, flag, 0) //nolint:gosec // the user names the file
}

// Create creates a new file. It removes an existing file first, so that another user who has
// the old file open cannot read the new content.
func Create(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, Mode) //nolint:gosec // the user names the file
}

// Temp creates a file in the folder of path, for Replace or Add. The caller must close and
// remove the file when neither succeeds.
func Temp(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
}

// Replace makes f durable, closes it, and renames it to path, which may exist. Both must be in
// the same folder.
func Replace(f *os.File, path string) error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// Add is like Replace, but returns fs.ErrExist when path exists.
func Add(f *os.File, path string) error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	err := os.Link(f.Name(), path)
	switch {
	case err == nil:
		err = os.Remove(f.Name())
	case !errors.Is(err, fs.ErrExist): // the file system may have no hard links
		if _, found := os.Lstat(path); !errors.Is(found, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", path, fs.ErrExist)
		}
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// WriteFile replaces path by a file with the content. After a crash of the process, path has
// the old or the new content. WriteFile does not make the file durable.
func WriteFile(path string, content []byte) error {
	f, err := Temp(path)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Continue opens a file for reading and writing, and creates it when it does not exist. It
// returns an error for a file that another user may have created or changed, and for a symbolic
// link.
func Continue(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, Mode) //nolint:gosec // the user names the file
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	return openOwn(path, os.O_RDWR)
}

// ReadFile reads a file that WriteFile wrote. It returns the errors of Continue, and fs.ErrNotExist.
func ReadFile(path string) ([]byte, error) {
	f, err := openOwn(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(f)
	return content, errors.Join(err, f.Close())
}
