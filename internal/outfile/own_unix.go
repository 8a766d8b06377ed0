//go:build unix

package outfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const noFollow = syscall.O_NOFOLLOW

// trusted returns an error for a symbolic link or a pipe of another user in a sticky folder that
// all users may write to.
func trusted(path string, found fs.FileInfo) error {
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if !mayFollow(folder.Mode(), ownerOf(folder), ownerOf(found), os.Geteuid()) {
		return fmt.Errorf("%s is a symbolic link or a pipe of another user in a shared folder", path)
	}
	return nil
}

// mayFollow reports whether a user may follow a symbolic link, or write to a pipe, that an owner
// has in a folder.
func mayFollow(folder fs.FileMode, folderOwner, owner, user int) bool {
	shared := folder&fs.ModeSticky != 0 && folder&0o002 != 0
	return !shared || owner == user || owner == folderOwner
}

// openOwn opens an existing file that only this user can have created and changed.
func openOwn(path string, flag int) (*os.File, error) {
	// Without O_NONBLOCK, opening a pipe would block.
	f, err := os.OpenFile(path, flag|noFollow|syscall.O_NONBLOCK, 0) //nolint:gosec // the user names the file
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link. Delete it", path)
	}
	if err != nil {
		return nil, err
	}
	if err := checkOwn(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func checkOwn(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file. Delete it", f.Name())
	case ownerOf(info) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user. Delete it or name another file", f.Name())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s has mode %04o: other users may have changed it. Delete it or name another file", f.Name(), info.Mode().Perm())
	case info.Sys().(*syscall.Stat_t).Nlink != 1:
		return fmt.Errorf("%s has several hard links. Delete it", f.Name())
	}
	return nil
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// syncFolder makes new and changed names in a folder durable.
func syncFolder(path string) error {
	f, err := os.Open(path) //nolint:gosec // the folder of the user's file
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) { // the file system cannot sync folders
		err = nil
	}
	return errors.Join(err, f.Close())
}
