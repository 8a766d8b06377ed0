// Package outfile writes files to paths from a user. A regular file appears complete or not
// at all, and only its owner can read it. A device or a pipe is written, never replaced. The
// folder may be shared, such as /tmp: a file of an interrupted run is continued only when
// other users cannot have made or changed it.
package outfile

import (
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

// maxLinks is the most symbolic links that Find follows.
const maxLinks = 40

// IsStdout reports whether a user means the standard output by a path.
func IsStdout(path string) bool {
	return path == "-" || path == "/dev/stdout" || path == "/dev/fd/1" || path == "/proc/self/fd/1"
}

// Target is a place to write to.
type Target struct {
	Path   string // without symbolic links in the last part
	Exists bool
	Direct bool // a device, a pipe or the like: write to it, do not replace it
}

// Find returns the target of a path. It follows symbolic links to their end. In a folder where
// everybody may create files it refuses symbolic links of other users, as Linux does when
// it opens files. It returns an error for a folder.
func Find(path string) (Target, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return Target{}, err
	case info.IsDir():
		return Target{}, fmt.Errorf("%s is a folder", path)
	case !info.Mode().IsRegular() || ofSystem(path):
		return Target{Path: path, Exists: true, Direct: true}, nil
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
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return Target{}, fmt.Errorf("%s: too many symbolic links", path)
}

// ofSystem reports whether a path is in a folder of the kernel. Its files may look regular:
// /dev/stderr of a process with a redirected output.
func ofSystem(path string) bool {
	absolute, err := filepath.Abs(path)
	return err == nil && (strings.HasPrefix(absolute, "/dev/") || strings.HasPrefix(absolute, "/proc/")) && !strings.HasPrefix(absolute, "/dev/shm/")
}

// OpenDirect opens a device or a pipe, and keeps what a redirected output has. It waits for a
// reader of a pipe.
func OpenDirect(path string) (*os.File, error) {
	flag := os.O_WRONLY
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		flag |= os.O_APPEND // only a device can refuse it
	}
	return os.OpenFile(path, flag, 0) //nolint:gosec // the user names the file
}

// Create makes a new file. It removes an existing file first, so that the content cannot reach
// another user who has the old one open.
func Create(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, Mode) //nolint:gosec // the user names the file
}

// Temp makes a file beside path, for Replace or Add. The caller must close and remove it when
// it does not become path.
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

// Add is Replace that returns fs.ErrExist when path exists.
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

// WriteFile replaces path by a file with the content. After a crash of the process the file
// has the old or the new content; it is not durable.
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
// returns an error for a file that another user may have made or changed, and for a symbolic
// link.
func Continue(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, Mode) //nolint:gosec // the user names the file
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	return openOwn(path, os.O_RDWR)
}

// ReadFile reads a file of WriteFile. It returns the errors of Continue, and fs.ErrNotExist.
func ReadFile(path string) ([]byte, error) {
	f, err := openOwn(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(f)
	return content, errors.Join(err, f.Close())
}
