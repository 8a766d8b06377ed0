//go:build unix

package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"testing"
)

// account is the user that servers run as and that owns their files. Servers such
// as Postgres refuse to run as root.
type account struct {
	uid, gid uint32
	drop     bool // this process is root and must start servers as the account
}

// unprivileged returns the account of this process. For root it returns postgres or,
// where that user does not exist, nobody.
func unprivileged() (account, error) {
	uid := os.Geteuid()
	if uid != 0 {
		return account{uid: id(uid), gid: id(os.Getegid())}, nil
	}
	var errs []error
	for _, name := range []string{"postgres", "nobody"} {
		a, err := lookup(name)
		if err == nil {
			return a, nil
		}
		errs = append(errs, err)
	}
	return account{}, fmt.Errorf("servers do not run as root, and neither user exists: %w", errors.Join(errs...))
}

// Unprivileged makes cmd run as an ordinary user, the one that servers run as: permissions of
// files do not apply to root. Failure is fatal.
func Unprivileged(tb testing.TB, cmd *exec.Cmd) {
	tb.Helper()
	a, err := unprivileged()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.SysProcAttr = a.attributes()
}

func lookup(name string) (account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user id of %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("group id of %s: %w", name, err)
	}
	return account{uid: uint32(uid), gid: uint32(gid), drop: true}, nil
}

// attributes make a child run as the account, in its own process group. Ctrl-C in a
// terminal then reaches the tests but not their servers.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.drop {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// give makes the account the owner of a file that this process wrote.
func (a account) give(path string) error {
	if !a.drop {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// owns reports whether a file belongs to the account.
func (a account) owns(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == a.uid
}

func id(n int) uint32 { return uint32(n) } //nolint:gosec // the kernel's ids have 32 bits
