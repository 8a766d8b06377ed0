//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldestPostgres is the first major version with all features that the tests need.
const oldestPostgres = 15

// postgresDirs are where Debian, the Postgres project and Homebrew install
// the server's programs. PATH usually lacks them.
var postgresDirs = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
}

// pgBouncerDirs are folders of pgbouncer that a user's PATH may lack.
var pgBouncerDirs = []string{"/usr/sbin", "/opt/homebrew/bin", "/usr/local/bin"}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)*`)

// installation is an installed Postgres.
type installation struct {
	bin     string // the folder of its programs
	version string // such as 15.18
}

func (i installation) program(name string) string { return filepath.Join(i.bin, name) }

// Program returns the path of a program that comes with Postgres, such as
// pgbench. If it is missing, the error says how to install it.
func Program(ctx context.Context, name string) (string, error) {
	install, err := findPostgres(ctx)
	if err != nil {
		return "", err
	}
	path, err := exec.LookPath(install.program(name))
	if err != nil {
		return "", fmt.Errorf("Postgres %s lacks %s: apt-get install postgresql postgresql-contrib: %w", install.version, name, err)
	}
	return path, nil
}

// findPostgres returns the newest Postgres on this machine.
func findPostgres(ctx context.Context) (installation, error) {
	places := postgresDirs
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		places = append([]string{strings.TrimSpace(string(out))}, places...)
	}
	var best installation
	for _, program := range candidates("postgres", places) {
		out, err := exec.CommandContext(ctx, program, "--version").Output() //nolint:gosec // from fixed folders
		if err != nil {
			continue
		}
		found := installation{bin: filepath.Dir(program), version: versionNumber.FindString(string(out))}
		if major(found.version) > major(best.version) {
			best = found
		}
	}
	if major(best.version) < oldestPostgres {
		return best, fmt.Errorf("no Postgres %d or later is installed: apt-get install postgresql, or brew install postgresql@17",
			oldestPostgres)
	}
	return best, nil
}

func findPgBouncer() (string, error) {
	found := candidates("pgbouncer", pgBouncerDirs)
	if len(found) == 0 {
		return "", errors.New("PgBouncer is not installed: apt-get install pgbouncer, or brew install pgbouncer")
	}
	return found[0], nil
}

// candidates returns the paths of a program in PATH and in folders. Folders may be
// glob patterns. Symbolic links are resolved, so that the other programs of the
// installation are found in the same folder.
func candidates(program string, folders []string) []string {
	var paths []string
	if path, err := exec.LookPath(program); err == nil {
		paths = append(paths, path)
	}
	for _, folder := range folders {
		matches, err := filepath.Glob(filepath.Join(folder, program))
		if err == nil {
			paths = append(paths, matches...)
		}
	}
	var found []string
	for _, path := range paths {
		real, err := filepath.EvalSymlinks(path)
		if err == nil && !slices.Contains(found, real) {
			found = append(found, real)
		}
	}
	return found
}

func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}
