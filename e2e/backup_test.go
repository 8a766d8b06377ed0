//go:build unix

package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBackupAndRestore copies the database of a running server, kills the server, and restores
// the copy. A copy by hand is refused until then.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	p := start(t)
	database := filepath.Join(p.DataDir(), "terse.db")
	backup, other := p.DataDir()+"-backup.db", p.DataDir()+"-other.db"
	terse := func(args ...string) result { return runCommand(t, p.Command(t.Context(), args...)) }
	c := client(t)
	early, err := shorten(c, p.url, "https://example.com/early")
	must(t, err)
	terse("backup", backup).want(t, "backup", 0, "terse.db", backup)
	if info, err := os.Stat(backup); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode of the backup = %v, %v, want -rw-------", info, err)
	}
	late, err := shorten(c, p.url, "https://example.com/late")
	must(t, err)
	terse("restore", backup).want(t, "restore beside a server", 1, "Stop the server")
	p.kill()

	original, err := os.ReadFile(database)
	must(t, err)
	content, err := os.ReadFile(backup)
	must(t, err)
	writeFile(t, database, string(content))
	for _, args := range [][]string{{"serve"}, {"key", "list"}, {"backup", other}} {
		terse(args...).want(t, strings.Join(args, " "), 1, "terse.db-wal", "terse restore")
	}
	writeFile(t, database, string(original))

	got := terse("restore", backup)
	got.want(t, "restore", 0, "Restored ", "terse.db")
	aside := regexp.MustCompile(`is in (\S+)\.`).FindStringSubmatch(got.stderr)
	if aside == nil {
		t.Fatalf("restore does not name the replaced database: %s", got.stderr)
	}
	p.again()
	p.wantExpands(early, 0)
	p.wantExpands(late, 1)
	p.kill()

	terse("restore", filepath.Join(aside[1], "terse.db")).want(t, "restore of the replaced database", 0)
	p.again()
	p.wantExpands(early, 0)
	p.wantExpands(late, 0)
}

func (p *program) wantExpands(code string, status int) {
	p.t.Helper()
	terse(p.t, []string{"TERSE_SERVER=" + p.url}, "expand", code).want(p.t, "expand "+code, status)
}
