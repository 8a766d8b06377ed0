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
	folder string // removed by stop; may be empty
}

// start starts a server and returns once it prints a line that ends with its URL.
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
		return nil, fmt.Errorf("%s printed no address: %w", cmd.Path, err)
	}
	i := strings.Index(line, "http")
	if i < 0 {
		p.stop()
		return nil, fmt.Errorf("%s printed no address: %q", cmd.Path, line)
	}
	p.url = strings.TrimSpace(line[i:])
	return p, nil
}

// stop stops the server and waits until it has ended.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	if p.folder != "" {
		_ = os.RemoveAll(p.folder)
	}
}
