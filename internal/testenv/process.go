//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// announce writes the process id to a file for the guard and then becomes the
// program. So the guard knows every server.
const announce = `echo $$ >"$0" && exec "$@"`

// process is a running server with its children.
type process struct {
	pid  int
	done chan struct{} // closed once it has ended
	err  error         // how it ended; read only after done
}

// start starts a program. Its output goes to the file NAME.log in the folder. The program
// inherits the files.
func (f *folder) start(name string, files []*os.File, argv ...string) (*process, error) {
	log, err := os.OpenFile(f.join(name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own handle
	pidFile := f.join(name + ".pid")
	cmd := exec.Command("/bin/sh", append([]string{"-c", announce, pidFile}, argv...)...) //nolint:gosec // outlives any context
	cmd.Dir, cmd.Env, cmd.SysProcAttr = f.path, environment(), f.owner.attributes()
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, files
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
		_ = os.Remove(pidFile) // another process may soon have the id
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.processes = append(f.processes, p)
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// freeze stops the process and then its children: a stopped process starts no more.
// It returns once all have stopped, because a signal needs a moment to reach every
// thread.
func (p *process) freeze(ctx context.Context) error {
	if err := p.signal(syscall.SIGSTOP, p.pid); err != nil {
		return err
	}
	children, err := p.children(ctx)
	if err != nil {
		return err
	}
	if err := p.signal(syscall.SIGSTOP, children...); err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		all, err := list(ctx)
		return !slices.ContainsFunc(all, func(e entry) bool {
			return !e.stopped && (e.pid == p.pid || slices.Contains(children, e.pid))
		}), err
	})
}

func (p *process) thaw(ctx context.Context) error {
	children, err := p.children(ctx)
	if err != nil {
		return err
	}
	return p.signal(syscall.SIGCONT, append(children, p.pid)...)
}

// kill ends the process and its children at once, like the loss of a machine. It
// returns once all are dead, because Postgres refuses to start on the same data while
// an old child lives.
func (p *process) kill(ctx context.Context) error {
	if err := p.signal(syscall.SIGSTOP, p.pid); err != nil {
		return err
	}
	children, err := p.children(ctx)
	if err := errors.Join(err, p.signal(syscall.SIGKILL, append(children, p.pid)...)); err != nil {
		return err
	}
	<-p.done
	return poll(ctx, func() (bool, error) {
		all, err := list(ctx)
		return !slices.ContainsFunc(all, func(e entry) bool { return slices.Contains(children, e.pid) }), err
	})
}

// signal skips processes that have ended.
func (p *process) signal(sig syscall.Signal, pids ...int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("%v to process %d: %w", sig, pid, err)
		}
	}
	return nil
}

func (p *process) children(ctx context.Context) ([]int, error) {
	all, err := list(ctx)
	var pids []int
	for _, e := range all {
		if e.parent == p.pid {
			pids = append(pids, e.pid)
		}
	}
	return pids, err
}

// entry is one process in the output of ps.
type entry struct {
	pid, parent int
	stopped     bool
}

// list returns all processes except zombies. It uses ps because each child of
// Postgres has its own process group, and because Darwin has no /proc.
func list(ctx context.Context) ([]entry, error) {
	out, err := exec.CommandContext(ctx, "ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "stat=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []entry
	for line := range strings.Lines(string(out)) {
		var e entry
		var state string
		if _, err := fmt.Sscan(line, &e.pid, &e.parent, &state); err != nil {
			return nil, fmt.Errorf("list processes: %q: %w", line, err)
		}
		e.stopped = strings.HasPrefix(state, "T")
		if !strings.HasPrefix(state, "Z") {
			all = append(all, e)
		}
	}
	return all, nil
}
