//go:build unix

package testenv_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// sign identifies a running server: its processes and its address.
type sign struct {
	pids []int
	addr string
}

// signOf returns the sign of a running server.
func signOf(t *testing.T, pid int, addr string) sign {
	t.Helper()
	s := sign{pids: []int{pid}, addr: addr}
	for _, p := range processes(t) {
		if p.parent == pid {
			s.pids = append(s.pids, p.pid)
		}
	}
	return s
}

func (s sign) gone(t *testing.T) bool {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
	if err == nil {
		_ = conn.Close()
		return false
	}
	return !slices.ContainsFunc(processes(t), func(p process) bool { return slices.Contains(s.pids, p.pid) })
}

type process struct{ pid, parent int }

// processes returns all processes of this machine except zombies.
func processes(t *testing.T) (all []process) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "stat=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var p process
		var state string
		if _, err := fmt.Sscan(line, &p.pid, &p.parent, &state); err != nil {
			t.Fatalf("ps said %q: %v", line, err)
		}
		if !strings.HasPrefix(state, "Z") {
			all = append(all, p)
		}
	}
	return all
}

func TestNothingOutlivesAKilledProcess(t *testing.T) {
	t.Parallel()
	// When the tests run as root, servers run as another user.
	tmp, err := os.MkdirTemp("", "servers-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	if err := os.Chmod(tmp, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childOf+"="+startsServers, "TMPDIR="+tmp)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe() // the child runs until it is killed
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all []sign
	for lines := bufio.NewScanner(stdout); len(all) < 3 && lines.Scan(); {
		var pid int
		var addr string
		if _, err := fmt.Sscan(lines.Text(), &pid, &addr); err != nil {
			t.Fatalf("child said %q: %v", lines.Text(), err)
		}
		all = append(all, signOf(t, pid, addr))
	}
	for _, s := range all {
		if s.gone(t) {
			t.Errorf("server %+v ended before the child was killed", s)
		}
	}
	if got := folders(t, tmp); len(all) != 3 || len(got) != 2 {
		t.Errorf("child has %d servers in %v, want 3 in 2 folders", len(all), got)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	_ = stdin.Close()
	for _, s := range all {
		testenv.Await(t, fmt.Sprintf("server %+v is gone", s), func() bool { return s.gone(t) })
	}
	testenv.Await(t, "the folders are gone", func() bool { return len(folders(t, tmp)) == 0 })
}

// folders returns the folders of servers in tmp. It skips the archive of an empty
// cluster, which is kept.
func folders(t *testing.T, tmp string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(tmp, "terse-*"))
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, path := range found {
		if filepath.Ext(path) != ".tar" {
			folders = append(folders, path)
		}
	}
	return folders
}

func TestStopEndsEveryServer(t *testing.T) {
	t.Parallel()
	c, err := testenv.StartCluster(t.Context(), testenv.ClusterOptions{Replicas: 1})
	if err != nil {
		t.Fatalf("StartCluster() = %v, want nil", err)
	}
	var all []sign
	for _, p := range append(c.Replicas(), c.Primary()) {
		all = append(all, signOf(t, p.Pid(), p.Addr()))
	}
	for range 2 {
		if err := c.Stop(); err != nil {
			t.Errorf("Stop() = %v, want nil", err)
		}
	}
	for _, s := range all {
		testenv.Await(t, fmt.Sprintf("server %+v is gone", s), func() bool { return s.gone(t) })
	}
}
