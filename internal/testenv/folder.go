//go:build unix

package testenv

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // for the guard
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

//go:embed guard.sh
var guardScript string

// folder is a temporary folder for running servers. Neither the folder nor the
// servers outlive this process, even when it is killed. A shell, the guard, waits for
// the end of a pipe that this process keeps open. Then it kills the servers and
// removes the folder. Safe for concurrent use.
type folder struct {
	path  string
	owner account

	guard      *exec.Cmd
	guardError *bytes.Buffer // read after the guard has ended
	lifeline   io.Closer

	mu        sync.Mutex
	processes []*process
}

// Location says where a server keeps its files.
type Location struct {
	// Dir is the parent of the server's folder. The account that servers run as must
	// be able to write to it. Default: the system's folder for temporary files.
	Dir string

	// Name is the prefix of the folder's name. Default "terse".
	Name string
}

// newFolder makes a folder at a location and starts its guard.
func newFolder(at Location) (*folder, error) {
	if at.Dir == "" {
		at.Dir = os.TempDir()
	}
	if at.Name == "" {
		at.Name = "terse"
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	guard := exec.Command("/bin/sh", "-c", guardScript, "guard", at.Dir, at.Name) //nolint:gosec // outlives any context
	guard.Dir, guard.Env, guard.SysProcAttr = "/", environment(), owner.attributes()
	f := &folder{owner: owner, guard: guard, guardError: new(bytes.Buffer)}
	guard.Stderr = f.guardError
	if f.lifeline, err = guard.StdinPipe(); err != nil {
		return nil, fmt.Errorf("guard of the servers: %w", err)
	}
	stdout, err := guard.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("guard of the servers: %w", err)
	}
	if err := guard.Start(); err != nil {
		return nil, fmt.Errorf("guard of the servers: %w", err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a folder for servers in %s, where the account of the servers must be able to write: %w", at.Dir, err), f.close())
	}
	f.path = strings.TrimSpace(line)
	return f, nil
}

// close kills the servers of the folder and removes it.
func (f *folder) close() error {
	err := f.lifeline.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	if err := f.guard.Wait(); err != nil {
		return fmt.Errorf("remove servers and folder %s: %w: %s", f.path, err, f.guardError)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.processes {
		<-p.done
	}
	return err
}

func (f *folder) join(name string) string { return filepath.Join(f.path, name) }

// write makes a file that the servers' account owns.
func (f *folder) write(name, content string) error {
	path := f.join(name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return f.owner.give(path)
}

// run runs a program in the folder as the folder's owner and waits for it. The error
// includes the program's output.
func (f *folder) run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // a server's own tools
	cmd.Dir, cmd.Env, cmd.SysProcAttr = f.path, environment(), f.owner.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, bytes.TrimSpace(out))
	}
	return nil
}

// Sweep kills the servers that have their folder in dir, a Location.Dir, and removes the
// folders. It is for folders of a process that was killed together with its guards.
// It must not run while another process starts servers in dir.
func Sweep(ctx context.Context, dir string) error {
	owner, err := unprivileged()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.IsDir() || !owner.owns(info)) {
			continue // removed by its guard, or not a folder of servers
		}
		guard := exec.CommandContext(ctx, "/bin/sh", "-c", guardScript, "guard", path) //nolint:gosec // the guard's own script
		guard.Dir, guard.Env, guard.SysProcAttr = "/", environment(), owner.attributes()
		if out, err := guard.CombinedOutput(); err != nil {
			return fmt.Errorf("remove servers and folder %s: %w: %s", path, err, out)
		}
	}
	return nil
}

// environment is the same on every machine, so that PGOPTIONS or LANG cannot
// influence tests.
func environment() []string {
	return []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"}
}
