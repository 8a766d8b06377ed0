//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// want checks the status of a command, and that its output contains the texts.
func (r result) want(t *testing.T, what string, status int, texts ...string) {
	t.Helper()
	for _, text := range append(texts, "") {
		if r.status != status || !strings.Contains(r.stderr+r.stdout, text) {
			t.Errorf("%s = %+v, want status %d and %q", what, r, status, text)
			return
		}
	}
}

// TestBackupTargets checks what a backup does with each kind of file.
func TestBackupTargets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environ := []string{"TERSE_DATA_DIR=" + dir}
	terse(t, environ, "migrate", "up", "--init").want(t, "migrate up --init", 0)
	at := func(name string) string { return filepath.Join(dir, name) }
	const sqliteFile = "SQLite format 3\x00"
	isBackup := func(what, content string) {
		t.Helper()
		if !strings.HasPrefix(content, sqliteFile) {
			t.Errorf("%s has %d bytes that are no database", what, len(content))
		}
	}

	terse(t, environ, "backup", at("new")).want(t, "backup", 0)
	writeFile(t, at("old"), "precious")
	terse(t, environ, "backup", at("old")).want(t, "backup to an existing file", 1, at("old"), "--force")
	if content, err := os.ReadFile(at("old")); err != nil || string(content) != "precious" {
		t.Errorf("a backup changed an existing file to %q, %v", content, err)
	}
	must(t, os.Symlink("old", at("link")))
	terse(t, environ, "backup", at("link")).want(t, "backup to a symbolic link of a file", 1, "--force")
	terse(t, environ, "backup", "--force", at("link")).want(t, "backup --force", 0)
	if info, err := os.Lstat(at("link")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("backup --force replaced a symbolic link: %v, %v", info.Mode(), err)
	}
	for _, name := range []string{"new", "old"} {
		content, err := os.ReadFile(at(name))
		must(t, err)
		isBackup(name, string(content))
	}

	must(t, syscall.Mkfifo(at("pipe"), 0o600))
	piped := make(chan string)
	go func() {
		content, err := os.ReadFile(at("pipe"))
		if err != nil {
			content = []byte(err.Error())
		}
		piped <- string(content)
	}()
	terse(t, environ, "backup", at("pipe")).want(t, "backup to a pipe", 0)
	isBackup("the pipe", <-piped)
	if info, err := os.Lstat(at("pipe")); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		t.Errorf("backup replaced a pipe: %v, %v", info.Mode(), err)
	}
	for _, path := range []string{"-", "/dev/stdout"} {
		got := terse(t, environ, "backup", path)
		isBackup(path, got.stdout)
		if got.status != 0 || got.stderr != "" {
			t.Errorf("backup %s = %d %q, want 0", path, got.status, got.stderr)
		}
	}
	must(t, os.Symlink("terse.db", at("to-database")))
	before, err := os.ReadFile(at("terse.db"))
	must(t, err)
	for _, name := range []string{"terse.db", "terse.db-wal", "terse.db.restored", "terse.lock", "to-database"} {
		terse(t, environ, "backup", "--force", at(name)).want(t, "backup to "+name, 1, at(name), "database itself")
	}
	if after, err := os.ReadFile(at("terse.db")); err != nil || string(after) != string(before) {
		t.Errorf("backup --force changed the database, %v", err)
	}

	terse(t, environ, "backup", dir).want(t, "backup to a folder", 1, "is a folder")
	terse(t, environ, "backup", at("none/below")).want(t, "backup into a missing folder", 1, "none")

	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if strings.Contains(e.Name(), ".part") {
			t.Errorf("a backup left %s", e.Name())
		}
	}
}

// TestStreamedBackupIsRemovedFirst checks that a streamed backup leaves no copy in the data
// folder when its reader leaves, as head does: the system then ends the process.
func TestStreamedBackupIsRemovedFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environ := []string{"TERSE_DATA_DIR=" + dir}
	terse(t, environ, "migrate", "up", "--init").want(t, "migrate up --init", 0)
	written := 0
	stdout := writerFunc(func(b []byte) (int, error) {
		if left, err := filepath.Glob(filepath.Join(dir, ".*.part")); written == 0 && (err != nil || len(left) != 0) {
			t.Errorf("during the output the folder has %v, %v, want no copy", left, err)
		}
		written += len(b)
		return len(b), nil
	})
	if status := run(t.Context(), []string{"backup", "-"}, environ, strings.NewReader(""), stdout, t.Output()); status != 0 || written == 0 {
		t.Errorf("backup - = %d with %d bytes, want 0 and a copy", status, written)
	}
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestRestoreRefusesWithAReason checks the messages for copies that cannot be restored.
func TestRestoreRefusesWithAReason(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environ := []string{"TERSE_DATA_DIR=" + dir}
	terse(t, environ, "migrate", "up", "--init").want(t, "migrate up --init", 0)
	text := filepath.Join(t.TempDir(), "text")
	writeFile(t, text, strings.Repeat("dear diary, ", 1000))
	terse(t, environ, "restore", text).want(t, "restore of a text", 1, text, "not a terse database", "Nothing was changed")
	terse(t, environ, "restore", text+".none").want(t, "restore of nothing", 1, text+".none", "Nothing was changed")
	terse(t, environ, "restore", filepath.Join(dir, "terse.db")).want(t, "restore of the database itself", 1, "itself")
	for _, args := range [][]string{{"backup", text + ".db"}, {"restore", text}} {
		shards := []string{"TERSE_SHARDS=s1 postgres://terse@127.0.0.1:1/links"}
		terse(t, append(shards, environ...), args...).want(t, args[0]+" with shards", 2, "TERSE_SHARDS", "embedded database only")
	}
}

// TestCommandsNeedADatabase checks that a command in a wrong folder creates nothing.
func TestCommandsNeedADatabase(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"key", "create", "--name", "lost"},
		{"key", "list"},
		{"key", "revoke", "key_1"},
		{"block", "add", "evil.example"},
		{"block", "list"},
		{"block", "remove", "evil.example"},
		{"migrate", "up"},
		{"backup", filepath.Join(t.TempDir(), "copy")},
		{"backup", "-"},
	} {
		for _, make := range []bool{true, false} {
			dir := filepath.Join(t.TempDir(), "wrong")
			if make {
				must(t, os.Mkdir(dir, 0o700))
			}
			got := terse(t, nil, append(args, "--data-dir", dir)...)
			got.want(t, strings.Join(args, " "), 1, filepath.Join(dir, "terse.db"), "--data-dir", "TERSE_DATA_DIR")
			if got.stdout != "" {
				t.Errorf("%v printed %q", args, got.stdout)
			}
			if entries, err := os.ReadDir(dir); len(entries) > 0 || make != (err == nil) || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v made %v, %v", args, entries, err)
			}
		}
	}
	for _, args := range [][]string{{"key", "create", "--name", "first"}, {"block", "add", "evil.example"}, {"migrate", "up"}} {
		dir := filepath.Join(t.TempDir(), "new")
		terse(t, nil, append(args, "--data-dir", dir)...).want(t, strings.Join(args, " "), 1, "--init")
		terse(t, nil, append(args, "--data-dir", dir, "--init")...).want(t, strings.Join(args, " ")+" --init", 0)
	}
}
