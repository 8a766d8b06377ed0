//go:build unix

package testenv_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

func TestProgram(t *testing.T) {
	t.Parallel()
	path, err := testenv.Program(t.Context(), "pgbench")
	if err != nil {
		t.Fatalf("Program(%q) = %v, want nil", "pgbench", err)
	}
	out, err := exec.CommandContext(t.Context(), path, "--version").Output()
	if err != nil || !strings.HasPrefix(string(out), "pgbench (PostgreSQL)") {
		t.Errorf("%s --version = %q, %v, want the version of pgbench", path, out, err)
	}
	if path, err := testenv.Program(t.Context(), "no-such-program"); err == nil {
		t.Errorf("Program(%q) = %q, want an error", "no-such-program", path)
	}
}
