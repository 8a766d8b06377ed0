//go:build unix

package e2e_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// TestShardExample runs the first example of docs/cluster.md as it is printed, up to the
// command that starts a node, on a Postgres server of its own.
func TestShardExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/cluster.md has no example")
	}
	example, _, found := strings.Cut(string(block[1]), "bin/terse serve")
	if !found {
		t.Fatalf("the example starts no node:\n%s", example)
	}

	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "bin"), 0o750))
	must(t, os.Symlink(testenv.BuildTerse(t), filepath.Join(dir, "bin", "terse")))
	host, port, err := net.SplitHostPort(testenv.NewCluster(t, testenv.ClusterOptions{}).Primary().Addr())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", example)
	shell.Dir = dir
	shell.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER=terse")
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("the example fails: %v\n%s", err, out)
	}
	for _, shard := range []string{"s1", "s2"} {
		if !regexp.MustCompile(`(?m)^` + shard + `\b.*`).Match(out) {
			t.Errorf("shard status does not show %s:\n%s", shard, out)
		}
	}
}
