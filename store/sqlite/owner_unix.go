//go:build unix

package sqlite

import (
	"os"
	"syscall"
)

// inheritOwner gives a file of root to the owner of the folder, so that a restore by root
// leaves no file that the server cannot open.
func inheritOwner(dir, path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}
