//go:build unix

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// process is a server that this command started.
type process struct {
	url    string
	cmd    *exec.Cmd
	folder string // removed when it stops; may be empty
}

// start runs a server that prints a line ending in its URL when it is ready.
func start(cmd *exec.Cmd, folder string) (*process, error) {
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, folder: folder}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s said no address: %w", cmd.Path, err)
	}
	_, address, found := strings.Cut(strings.TrimSpace(line), "http://")
	if !found {
		p.stop()
		return nil, fmt.Errorf("%s said no address: %q", cmd.Path, line)
	}
	p.url = "http://" + address
	return p, nil
}

// stop ends the server and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	if p.folder != "" {
		_ = os.RemoveAll(p.folder)
	}
}
