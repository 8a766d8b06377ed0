package sqlite_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
)

// backUp copies the database in dir to a new file.
func backUp(t *testing.T, dir string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "backup.db")
	write(t, file, nil)
	if err := sqlite.Backup(t.Context(), dir, file); err != nil {
		t.Fatalf("Backup() = %v, want nil", err)
	}
	return file
}

func restored(t *testing.T, dir, from string) (aside string) {
	t.Helper()
	aside, err := sqlite.Restore(t.Context(), dir, from)
	if err != nil {
		t.Fatalf("Restore() = %v, want nil", err)
	}
	return aside
}

// TestBackupOfARunningServer copies the database of a process that writes, and of the same
// process after a kill.
func TestBackupOfARunningServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var online string
	var before []string
	codes, kill := startChild(t, dir, childServes+"=1")
	for codes.Scan() {
		if online == "" {
			before = append(before, codes.Text())
		}
		if len(before) == 200 && online == "" {
			online = backUp(t, dir)
			kill()
		}
	}
	for name, file := range map[string]string{"a running server": online, "a killed server": backUp(t, dir)} {
		if _, err := os.Stat(file + "-wal"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("log of the backup of %s: %v, want one file", name, err)
		}
		into := filepath.Join(t.TempDir(), "data")
		if aside := restored(t, into, file); aside != "" {
			t.Errorf("Restore() into a new folder = %q, want nothing aside", aside)
		}
		wantAll(t, open(t, into, serve), before)
	}
}

func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	to := filepath.Join(t.TempDir(), "backup.db")
	write(t, to, nil)
	dir := filepath.Join(t.TempDir(), "none")
	if err := sqlite.Backup(t.Context(), dir, to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Backup() of no folder = %v, want %v", err, fs.ErrNotExist)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Backup() made a folder: %v", err)
	}
	empty := t.TempDir()
	if err := sqlite.Backup(t.Context(), empty, to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Backup() of an empty folder = %v, want %v", err, fs.ErrNotExist)
	}
	made, _ := made(t)
	write(t, to, []byte("another file"))
	if err := sqlite.Backup(t.Context(), made, to); err == nil || string(read(t, to)) != "another file" {
		t.Errorf("Backup() to a file with content = %v, want an error and the content", err)
	}
}

// TestRestoreAfterACrash restores a backup over the database of a killed server, and then the
// database that Restore moved aside.
func TestRestoreAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var backup string
	var early []string
	codes, kill := startChild(t, dir, childServes+"=1")
	var all []string
	for codes.Scan() {
		all = append(all, codes.Text())
		switch len(all) {
		case 50:
			early, backup = all, backUp(t, dir)
		case 400:
			kill()
		}
	}
	if len(all) < 400 {
		t.Fatalf("child acknowledged %d creates, want at least 400", len(all))
	}
	late := all[len(all)-1]

	aside := restored(t, dir, backup)
	s := open(t, dir, serve)
	wantAll(t, s, early)
	if _, err := s.Get(t.Context(), late); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get(%q) after the restore = %v, want %v", late, err, store.ErrNotFound)
	}
	if _, err := sqlite.Restore(t.Context(), dir, backup); !errors.Is(err, sqlite.ErrLocked) {
		t.Errorf("Restore() beside a server = %v, want %v", err, sqlite.ErrLocked)
	}
	closeStore(t, s)

	if filepath.Dir(aside) != dir {
		t.Fatalf("Restore() = %q, want a folder in %s", aside, dir)
	}
	again := restored(t, dir, filepath.Join(aside, "terse.db"))
	if again == aside {
		t.Errorf("both restores moved files to %s", aside)
	}
	wantAll(t, open(t, dir, serve), all)
}

// TestRestoreReplacesALogOfAnotherDatabase checks the way out that ErrOtherLog names.
func TestRestoreReplacesALogOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	dir, file := made(t)
	backup := backUp(t, dir)
	serveUntil(t, dir, 20, func() {})
	copyFile(t, backup, file)
	if _, err := tryOpen(t, dir, serve); !errors.Is(err, sqlite.ErrOtherLog) {
		t.Fatalf("Open() = %v, want %v", err, sqlite.ErrOtherLog)
	}
	aside := restored(t, dir, backup)
	for _, name := range []string{"terse.db", "terse.db-wal"} {
		if info, err := os.Stat(filepath.Join(aside, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s aside: %v, want the file", name, err)
		}
	}
	if got := len(listAll(t, open(t, dir, serve))); got != 100 {
		t.Errorf("List() after the restore returned %d links, want the 100 of the backup", got)
	}
}

// TestInterruptedRestore stops a restore after each of its steps. The next start finishes it.
func TestInterruptedRestore(t *testing.T) {
	t.Parallel()
	for steps := range 4 {
		dir, file := made(t)
		backup := backUp(t, dir)
		serveUntil(t, dir, 20, func() {})
		if err := sqlite.InterruptedRestore(t.Context(), dir, backup); err != nil {
			t.Fatalf("Restore() until it is decided = %v", err)
		}
		aside := filepath.Join(dir, sqlite.AsideName(t, dir))
		if steps > 0 {
			if err := os.Mkdir(aside, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for _, suffix := range []string{"", "-wal"}[:max(0, steps-1)] {
			if err := os.Rename(file+suffix, filepath.Join(aside, "terse.db"+suffix)); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, dir, serve)
		if got := len(listAll(t, s)); got != 100 {
			t.Errorf("List() after %d steps returned %d links, want the 100 of the backup", steps, got)
		}
		closeStore(t, s)
		for _, name := range []string{"terse.db", "terse.db-wal"} {
			if _, err := os.Stat(filepath.Join(aside, name)); err != nil {
				t.Errorf("after %d steps %s is not aside: %v", steps, name, err)
			}
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		make func(t *testing.T) (from string)
		want error
	}{
		{"missing", func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }, fs.ErrNotExist},
		{"folder", func(t *testing.T) string { return t.TempDir() }, sqlite.ErrForeign},
		{"empty", func(t *testing.T) string {
			from := filepath.Join(t.TempDir(), "empty")
			write(t, from, nil)
			return from
		}, sqlite.ErrDamaged},
		{"text", func(t *testing.T) string {
			from := filepath.Join(t.TempDir(), "text")
			write(t, from, bytes.Repeat([]byte("dear diary, "), 1000))
			return from
		}, sqlite.ErrForeign},
		{"database of another program", func(t *testing.T) string {
			from := filepath.Join(t.TempDir(), "places")
			execute(t, from, "CREATE TABLE moz_places (url TEXT)")
			return from
		}, sqlite.ErrForeign},
		{"newer schema", func(t *testing.T) string {
			_, from := made(t)
			execute(t, from, "PRAGMA user_version = 9999")
			return from
		}, sqlite.ErrNewer},
		{"cut off", func(t *testing.T) string {
			_, from := made(t)
			data := read(t, from)
			write(t, from, data[:len(data)/2])
			return from
		}, sqlite.ErrDamaged},
		{"page overwritten", func(t *testing.T) string {
			_, from := made(t)
			data := read(t, from)
			copy(data[len(data)-4096:], bytes.Repeat([]byte{0xa5}, 4096))
			write(t, from, data)
			return from
		}, sqlite.ErrDamaged},
		{"index that differs from its table", func(t *testing.T) string {
			_, from := made(t)
			execute(t, from, "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'created_at, code', 'title, code') WHERE name = 'links_by_owner'")
			return from
		}, sqlite.ErrDamaged},
		{"log of another database", func(t *testing.T) string {
			dir, from := made(t)
			backup := backUp(t, dir)
			serveUntil(t, dir, 20, func() {})
			copyFile(t, backup, from)
			return from
		}, sqlite.ErrOtherLog},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, file := made(t)
			before := read(t, file)
			from := tt.make(t)
			if aside, err := sqlite.Restore(t.Context(), dir, from); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), from) || aside != "" {
				t.Errorf("Restore() = %q, %v, want %v with the file", aside, err, tt.want)
			}
			if !bytes.Equal(read(t, file), before) {
				t.Error("Restore() changed the database")
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if name := entry.Name(); name != "terse.db" && name != "terse.lock" {
					t.Errorf("Restore() left %s", name)
				}
			}
		})
	}
	dir, file := made(t)
	if _, err := sqlite.Restore(t.Context(), dir, file); err == nil || !strings.Contains(err.Error(), "itself") {
		t.Errorf("Restore() of the database itself = %v, want an error", err)
	}
}

// TestRestoreReadsAReadOnlyFolder restores from a read-only folder, such as a mounted
// backup.
func TestRestoreReadsAReadOnlyFolder(t *testing.T) {
	t.Parallel()
	_, file := made(t) // in WAL mode, unlike a backup
	closed := t.TempDir()
	from := filepath.Join(closed, "copy.db")
	copyFile(t, file, from)
	if err := os.Chmod(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700) })
	dir := t.TempDir()
	restored(t, dir, from)
	if got := len(listAll(t, open(t, dir, serve))); got != 100 {
		t.Errorf("List() returned %d links, want 100", got)
	}
	entries, err := os.ReadDir(closed)
	if err != nil || len(entries) != 1 {
		t.Errorf("files beside the copy = %v, %v, want none", entries, err)
	}
}
