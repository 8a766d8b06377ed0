//go:build unix

package sqlite

import (
	"os"
	"syscall"
)

// inheritOwner gives the file to the owner of the folder if this process runs as root. The
// server can then open the files of a restore by root.
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
