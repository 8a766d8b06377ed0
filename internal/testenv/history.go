//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// repository is a git clone. Its value is the path of the folder.
type repository string

// errNoHistory is the error for code without its whole history. The tests that need it are skipped
// then, because no command of this machine may be able to fetch it.
var errNoHistory = errors.New("the history of the code is missing")

// findRepository returns the clone that contains a folder. The clone must have the whole history.
func findRepository(ctx context.Context, dir string) (repository, error) {
	root, err := repository(dir).git(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return "", fmt.Errorf("%w: run the test in a clone by git: %w", errNoHistory, err)
	}
	r := repository(root)
	shallow, err := r.git(ctx, "rev-parse", "--is-shallow-repository")
	if err == nil && shallow == "true" {
		err = fmt.Errorf("%w: run git fetch --unshallow", errNoHistory)
	}
	return r, err
}

// buildBefore builds the parent of the commit that added a file.
func (r repository) buildBefore(ctx context.Context, file, binary string) (err error) {
	added, err := r.git(ctx, "log", "--diff-filter=A", "--format=%H", "-1", "--", file)
	if err == nil && added == "" {
		err = fmt.Errorf("no commit added %s", file)
	}
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "terse-older-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	index, source := "GIT_INDEX_FILE="+filepath.Join(dir, "index"), filepath.Join(dir, "source")
	if _, err := r.gitWith(ctx, index, "read-tree", added+"^"); err != nil {
		return err
	}
	if _, err := r.gitWith(ctx, index, "checkout-index", "--all", "--prefix="+source+"/"); err != nil {
		return err
	}
	// With -trimpath, a later build in another temporary folder finds its packages in the cache.
	return goBuild(ctx, source, false, "-trimpath", "-buildvcs=false", "-ldflags=-X main.version="+OlderVersion, "-o", binary)
}

// git runs git in the repository, and returns its output without the last newline.
func (r repository) git(ctx context.Context, args ...string) (string, error) {
	return r.gitWith(ctx, "LC_ALL=C", args...)
}

// gitWith is git with one more variable of the environment.
func (r repository) gitWith(ctx context.Context, variable string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...) //nolint:gosec // the arguments are of tests
	cmd.Dir, cmd.Env = string(r), append(os.Environ(), variable)
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
