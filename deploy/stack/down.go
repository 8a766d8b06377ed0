//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/terse/terse/store/storetest/servers"
)

// stopWithin is longer than nodes take to drain; then the stack is killed.
const stopWithin = 90 * time.Second

// down ends the stack, whatever state it is in, and returns once nothing of it is
// left.
func (h home) down(ctx context.Context, stdout io.Writer) error {
	if _, err := os.Stat(h.servers()); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(stdout, "No stack runs.")
		return nil
	}
	pid, err := h.holder()
	if err != nil {
		return err
	}
	for _, step := range []struct {
		signal syscall.Signal
		within time.Duration
	}{{syscall.SIGTERM, stopWithin}, {syscall.SIGKILL, 10 * time.Second}} {
		if pid == 0 {
			break
		}
		if err := syscall.Kill(pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("%v to process %d: %w", step.signal, pid, err)
		}
		if step.signal == syscall.SIGTERM { // one that is frozen has to wake to hear it
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
		waiting, cancel := context.WithTimeout(ctx, step.within)
		err := await(waiting, func() (bool, error) {
			pid, err = h.holder()
			return pid == 0, err
		})
		cancel()
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return err
		}
	}
	if pid != 0 {
		return fmt.Errorf("process %d does not end", pid)
	}
	// A stack that was killed has left this to its guards, and these may be gone too.
	if err := servers.Sweep(ctx, h.servers()); err != nil {
		return err
	}
	for _, path := range []string{h.servers(), h.socket()} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	fmt.Fprintln(stdout, "The stack is down, and its data is gone.")
	return nil
}
