//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// startWithin is the timeout of a stack's start.
const startWithin = 3 * time.Minute

// up starts a stack in the background, unless one runs, and prints its addresses.
func (h home) up(ctx context.Context, args []string, stdout io.Writer) error {
	dir, err := filepath.Abs(string(h))
	if err != nil {
		return err
	}
	h = home(dir)
	if err := h.prepare(); err != nil {
		return err
	}
	pid, err := h.holder()
	if err != nil {
		return err
	}
	if pid != 0 {
		fmt.Fprintf(stdout, "A stack already runs in %s, as process %d.\n\n", dir, pid)
		return h.status(ctx, false, stdout)
	}
	if err := h.start(ctx, args); err != nil {
		return err
	}
	return h.status(ctx, false, stdout)
}

// prepare makes the folder. As root, the servers run as another user, which must be able
// to enter the folder and to make folders in it.
func (h home) prepare() error {
	if err := os.MkdirAll(h.servers(), 0o755); err != nil { //nolint:gosec // servers run as another user when this is root
		return err
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Chmod(h.servers(), 0o777|os.ModeSticky)
}

// start starts the background process, and returns when all servers are ready.
func (h home) start(ctx context.Context, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(h.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(self, slices.Concat([]string{"-dir", string(h), "serve"}, args)...) //nolint:gosec // outlives any context
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = log
	said, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	unwatch := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	line, err := bufio.NewReader(said).ReadString('\n')
	if unwatch() && err == nil && strings.TrimSpace(line) == ready {
		return cmd.Process.Release()
	}
	_ = cmd.Wait()
	why, err := os.ReadFile(h.logFile())
	return errors.Join(fmt.Errorf("the stack did not start: %s", strings.TrimSpace(string(why))), err, context.Cause(ctx))
}
