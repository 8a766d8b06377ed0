//go:build unix

package servers

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

// folder is a temporary folder in which servers run. Neither it nor they outlive
// this process, even when it is killed: a shell, the guard, waits for the end of
// a pipe that this process holds open, then kills them and removes the folder.
// Safe for concurrent use.
type folder struct {
	path  string
	owner account

	guard      *exec.Cmd
	guardError *bytes.Buffer // read after the guard's end
	lifeline   io.Closer

	mu        sync.Mutex
	processes []*process
}

// Place says where a server keeps its files.
type Place struct {
	// Dir is the folder in which it makes one of its own. The account that servers
	// run as must be able to write there. Default: the system's for temporary files.
	Dir string

	// Name is what the name of its own folder begins with. Default "terse".
	Name string
}

// newFolder makes a folder at a place.
func newFolder(at Place) (*folder, error) {
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
		return nil, errors.Join(fmt.Errorf("folder for servers in %s, which must be open to the account that they run as: %w", at.Dir, err), f.close())
	}
	f.path = strings.TrimSpace(line)
	return f, nil
}

// close kills what runs in the folder and removes it.
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

// write makes a file that the servers may read and change.
func (f *folder) write(name, content string) error {
	path := f.join(name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return f.owner.give(path)
}

// run waits for a program that runs in the folder, as the folder's owner. Its
// output is in the error.
func (f *folder) run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // a server's own tools
	cmd.Dir, cmd.Env, cmd.SysProcAttr = f.path, environment(), f.owner.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, bytes.TrimSpace(out))
	}
	return nil
}

// Sweep ends the servers whose files are in the folders of a Place.Dir, and
// removes these. It is for what a process has left that was killed together with
// its guards; it must not be called while another still starts servers there.
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
			continue // the guard has removed it, or it is something else
		}
		guard := exec.CommandContext(ctx, "/bin/sh", "-c", guardScript, "guard", path) //nolint:gosec // the guard's own script
		guard.Dir, guard.Env, guard.SysProcAttr = "/", environment(), owner.attributes()
		if out, err := guard.CombinedOutput(); err != nil {
			return fmt.Errorf("remove servers and folder %s: %w: %s", path, err, out)
		}
	}
	return nil
}

// environment is the same on every machine, so that no PGOPTIONS or LANG changes
// what is tested.
func environment() []string {
	return []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"}
}
