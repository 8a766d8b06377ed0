//go:build unix

package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHistoryIsRequired checks the errors for code without a complete history.
func TestHistoryIsRequired(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	unpacked, whole, shallow := filepath.Join(dir, "unpacked"), filepath.Join(dir, "whole"), filepath.Join(dir, "shallow")
	if err := os.Mkdir(unpacked, 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(in string, args ...string) {
		t.Helper()
		if _, err := repository(in).git(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	run(dir, "init", "--quiet", whole)
	for range 2 {
		run(whole, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--allow-empty", "--message=a")
	}
	run(dir, "clone", "--quiet", "--depth=1", "file://"+whole, shallow)
	for path, want := range map[string]string{unpacked: "run the test in a clone by git", shallow: "run git fetch --unshallow"} {
		if _, err := findRepository(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("findRepository(%s) = %v, want %q", filepath.Base(path), err, want)
		}
	}
	if got, err := findRepository(t.Context(), whole); err != nil || string(got) != whole {
		t.Errorf("findRepository of a whole clone = %s, %v, want %s", got, err, whole)
	}
}
