//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// home is the folder of one stack.
type home string

func (h home) path(name string) string { return filepath.Join(string(h), name) }

func (h home) lockFile() string { return h.path("stack.lock") }
func (h home) logFile() string  { return h.path("stack.log") }
func (h home) socket() string   { return h.path("stack.sock") }
func (h home) servers() string  { return h.path("servers") }

// errRuns reports that the folder has a running stack already.
var errRuns = errors.New("a stack already runs in this folder")

// lock makes this process the only stack of the folder. The lock ends with the process,
// or when the process closes any open file of the lock: so do not close the result, and
// do not open the file again.
func (h home) lock() (*os.File, error) {
	f, err := os.OpenFile(h.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK})
	if err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
			return nil, errRuns
		}
		return nil, fmt.Errorf("lock %s: %w", h.lockFile(), err)
	}
	return f, nil
}

// holder returns the id of the process that runs the folder's stack, or 0. The kernel
// reports it, so a reused process id is never mistaken for the stack.
func (h home) holder() (pid int, err error) {
	f, err := os.OpenFile(h.lockFile(), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	ask := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &ask); err != nil {
		return 0, fmt.Errorf("read the lock of %s: %w", h.lockFile(), err)
	}
	if ask.Type == syscall.F_UNLCK {
		return 0, nil
	}
	return int(ask.Pid), nil
}

// await polls until done returns true or an error, or ctx ends.
func await(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
