//go:build unix

package testenv_test

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

func TestFreePortIsNeverGivenTwice(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childOf+"="+claimsPorts)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe() // the child keeps its ports until this closes
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	take := func(port int) {
		if seen[port] {
			t.Errorf("port %d was given twice", port)
		}
		seen[port] = true
	}
	for lines := bufio.NewScanner(stdout); len(seen) < claimedPorts && lines.Scan(); {
		port, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		take(port)
	}
	for range claimedPorts {
		port, err := testenv.FreePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		take(port)
	}
	if len(seen) != 2*claimedPorts {
		t.Errorf("%d ports, want %d", len(seen), 2*claimedPorts)
	}
	_ = stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
