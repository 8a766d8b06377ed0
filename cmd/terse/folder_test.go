//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// TestCheckpointInAReadOnlyFolder imports a file from a folder that the user cannot write to. The
// error names --checkpoint, no link is created, and the import works with this flag.
func TestCheckpointInAReadOnlyFolder(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, owns)
	dir, err := os.MkdirTemp("", "terse-read-only") // another user cannot look into t.TempDir
	must(t, err)
	t.Cleanup(func() {
		must(t, os.Chmod(dir, 0o700))
		must(t, os.RemoveAll(dir))
	})
	file := filepath.Join(dir, "links.csv")
	must(t, os.WriteFile(file, []byte("url,code\nhttps://a.example,a\n"), 0o644))
	must(t, os.Chmod(dir, 0o555))
	run := func(args ...string) (status int, output string) {
		cmd := exec.CommandContext(t.Context(), testenv.BuildTerse(t), append([]string{"links", "import", file}, args...)...)
		cmd.Env, cmd.Dir = environ, dir
		testenv.Unprivileged(t, cmd)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	status, out := run()
	if status != 1 || !strings.Contains(out, "permission denied") || !strings.Contains(out, "Name a file in another folder with --checkpoint") {
		t.Errorf("import from a read-only folder = %d %s, want 1 and the flag --checkpoint", status, out)
	}
	if all := linksOf(t, environ); len(all) != 0 {
		t.Errorf("the failed import created %v", all)
	}
	other := filepath.Join(os.TempDir(), filepath.Base(dir)+".checkpoint")
	if status, out := run("--checkpoint", other); status != 0 || !strings.Contains(out, "Imported 1 links") {
		t.Errorf("import with --checkpoint = %d %s, want 0 and one link", status, out)
	}
	if _, err := os.Lstat(other); !os.IsNotExist(err) {
		t.Errorf("the checkpoint of a complete import = %v, want none", err)
	}
}
