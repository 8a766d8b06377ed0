//go:build unix

package testenv_test

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// TestTerse checks the life of a node: it keeps its address and its data when it starts
// again, and nothing of it remains.
func TestTerse(t *testing.T) {
	t.Parallel()
	n, err := testenv.StartTerse(t.Context(), testenv.TerseOptions{
		Binary: testenv.BuildTerse(t), Settings: map[string]string{"log_level": "error"}, Environment: []string{"TERSE_LOG_LEVEL=info", "TERSE_LOG_FORMAT=json"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	url := n.URL()
	testenv.Await(t, "a log in JSON of level info, because the environment wins over the settings", func() bool {
		return strings.Contains(n.Log(), `"msg":"serving"`)
	})
	if out, err := n.Command(t.Context(), "key", "create", "--name", "test").CombinedOutput(); err != nil {
		t.Fatalf("key create: %v: %s", err, out)
	}
	if err := n.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := n.Wait(); err != nil {
		t.Errorf("end after SIGTERM = %v, want nil", err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := n.Command(t.Context(), "key", "list").Output(); err != nil || !strings.Contains(string(out), "test") || n.URL() != url {
		t.Errorf("key list after a restart = %s, %v at %s, want the key at %s", out, err, n.URL(), url)
	}
	if status, body := n.Admin().Ask(t.Context(), "/livez"); status != http.StatusOK {
		t.Errorf("/livez = %d %s, want 200", status, body)
	}
	if n.Admin().Metric(t, "terse_build_info") != 1 {
		t.Error("terse_build_info differs from 1")
	}
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := n.Wait(); err == nil {
		t.Error("end after a kill = nil, want an error")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(n.DataDir()); !os.IsNotExist(err) {
		t.Errorf("data folder after Close: %v, want none", err)
	}
}

// TestRacesAreReported checks that a node with a report of the race detector in its log fails
// to close.
func TestRacesAreReported(t *testing.T) {
	t.Parallel()
	n, err := testenv.StartTerse(t.Context(), testenv.TerseOptions{
		Binary: testenv.BuildTerse(t), Runner: []string{"sh", "-c", `echo WARNING: DATA RACE in a test >&2; exec "$@"`, "sh"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err == nil || !strings.Contains(err.Error(), "data race: in a test") {
		t.Errorf("Close = %v, want the report", err)
	}
}
