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

	"github.com/terse/terse/internal/testenv"
)

// stopWithin is longer than nodes need to drain. After it, the stack is killed.
const stopWithin = 90 * time.Second

// down stops the stack in any state. It returns when no process of the stack is left.
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
		if step.signal == syscall.SIGTERM { // a frozen process must continue to receive it
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
		return fmt.Errorf("process %d did not end after SIGKILL", pid)
	}
	// The guards of a killed stack end its servers, but the guards may have been killed too.
	if err := testenv.Sweep(ctx, h.servers()); err != nil {
		return err
	}
	for _, path := range []string{h.servers(), h.socket()} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	fmt.Fprintln(stdout, "The stack is stopped, and its data is deleted.")
	return nil
}
