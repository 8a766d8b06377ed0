package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/terse/terse/store/sqlite"
)

// made returns the folder and the file of a closed database with 100 links.
func made(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	s, err := tryOpen(t, dir)
	if err != nil {
		t.Fatalf("Open() = %v, want nil", err)
	}
	for i := range 100 {
		l := childLink(fmt.Sprintf("made-%d", i))
		l.Title = strings.Repeat("title ", 100)
		if _, err := s.Create(t.Context(), l); err != nil {
			t.Fatalf("Create(%q) = %v, want nil", l.Code, err)
		}
	}
	closeStore(t, s)
	return dir, filepath.Join(dir, "terse.db")
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// execute runs SQL on a database file. It creates a missing file.
func execute(t *testing.T, file string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s = %v", statement, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		make func(t *testing.T) (dir, file string)
		want error
	}{
		{"text", func(t *testing.T) (string, string) {
			dir := t.TempDir()
			file := filepath.Join(dir, "terse.db")
			write(t, file, bytes.Repeat([]byte("dear diary, "), 1000))
			return dir, file
		}, sqlite.ErrForeign},
		{"database of another program", func(t *testing.T) (string, string) {
			dir := t.TempDir()
			file := filepath.Join(dir, "terse.db")
			execute(t, file, "CREATE TABLE moz_places (url TEXT)")
			return dir, file
		}, sqlite.ErrForeign},
		{"newer schema", func(t *testing.T) (string, string) {
			dir, file := made(t)
			execute(t, file, "PRAGMA user_version = 9999")
			return dir, file
		}, sqlite.ErrNewer},
		{"empty file", func(t *testing.T) (string, string) {
			dir := t.TempDir()
			file := filepath.Join(dir, "terse.db")
			write(t, file, nil)
			return dir, file
		}, sqlite.ErrDamaged},
		{"header cut off", func(t *testing.T) (string, string) {
			dir, file := made(t)
			write(t, file, read(t, file)[:100])
			return dir, file
		}, sqlite.ErrDamaged},
		{"half of the file cut off", func(t *testing.T) (string, string) {
			dir, file := made(t)
			data := read(t, file)
			write(t, file, data[:len(data)/2])
			return dir, file
		}, sqlite.ErrDamaged},
		{"page overwritten", func(t *testing.T) (string, string) {
			dir, file := made(t)
			data := read(t, file)
			copy(data[len(data)-4096:], bytes.Repeat([]byte{0xa5}, 4096))
			write(t, file, data)
			return dir, file
		}, sqlite.ErrDamaged},
		{"log without its database", func(t *testing.T) (string, string) {
			dir := t.TempDir()
			file := filepath.Join(dir, "terse.db-wal")
			write(t, file, []byte("pages"))
			return dir, file
		}, sqlite.ErrDamaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, file := tt.make(t)
			before := read(t, file)
			for _, change := range []func(*sqlite.Options){serve, func(*sqlite.Options) {}} {
				s, err := tryOpen(t, dir, change)
				if err == nil {
					closeStore(t, s)
				}
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), dir) {
					t.Errorf("Open() = %v, want %v with the folder", err, tt.want)
				}
			}
			if !bytes.Equal(read(t, file), before) {
				t.Errorf("Open() changed %s", file)
			}
		})
	}
}

func TestOpenRefusesFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	closed := t.TempDir()
	if err := os.Mkdir(filepath.Join(closed, "terse.lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), closed} {
		if _, err := tryOpen(t, dir); err == nil || !strings.Contains(err.Error(), "folder "+dir) {
			t.Errorf("Open(%s) = %v, want an error with the folder", dir, err)
		}
	}
}

func TestServedFolderIsLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := tryOpen(t, dir, serve)
	if err != nil {
		t.Fatalf("Open() = %v, want nil", err)
	}
	if _, err := tryOpen(t, dir, serve); !errors.Is(err, sqlite.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open() of a served folder = %v, want %v with the folder", err, sqlite.ErrLocked)
	}
	open(t, dir) // like a command that runs at the same time
	closeStore(t, s)
	open(t, dir, serve)
}

func TestNewDatabaseAppearsWhole(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b?c#d%41", "data")
	// Files of a first start that was killed.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-journal"} {
		write(t, filepath.Join(dir, "terse.db.new"+suffix), []byte("half"))
	}
	open(t, dir, serve)
	names := make(map[string]os.FileMode)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		names[entry.Name()] = info.Mode()
	}
	for _, name := range []string{"terse.db", "terse.db-wal", "terse.db-shm", "terse.lock"} {
		if names[name] != 0o600 {
			t.Errorf("mode of %s = %v, want -rw-------", name, names[name])
		}
	}
	if len(names) != 4 {
		t.Errorf("files of the folder = %v, want 4", names)
	}
}

func TestFirstStartsAtOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s, err := tryOpen(t, dir)
			for errors.Is(err, sqlite.ErrLocked) { // on a busy machine, creating the database takes longer than Open waits
				s, err = tryOpen(t, dir)
			}
			if err != nil {
				t.Errorf("Open() = %v, want nil", err)
				return
			}
			defer closeStore(t, s)
			l := childLink(fmt.Sprintf("start-%d", i))
			if _, err := s.Create(t.Context(), l); err != nil {
				t.Errorf("Create(%q) = %v, want nil", l.Code, err)
			}
		})
	}
	wg.Wait()
	if got := listAll(t, open(t, dir)); len(got) != 4 {
		t.Errorf("List() = %q, want 4 links in one database", got)
	}
}

func TestFolderIsMadePrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	open(t, dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder = %v, %v, want -rwx------", info.Mode(), err)
	}
}

func TestHugeDatabaseIsOpenedUnchecked(t *testing.T) {
	t.Parallel()
	dir, _ := made(t)
	var log bytes.Buffer
	open(t, dir, func(o *sqlite.Options) {
		o.CheckTimeout = 1
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	if !strings.Contains(log.String(), "too large") {
		t.Errorf("log = %q, want a warning that the check did not finish", &log)
	}
}

func TestOptionsNameEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := sqlite.Open(t.Context(), sqlite.Options{MaxBatch: -1, MaxQueue: -1, WriteTimeout: -1})
	want := strings.Join([]string{
		"sqlite: Options.Dir is required",
		"sqlite: Options.Logger is required",
		"sqlite: Options.WriteTimeout must be positive",
		"sqlite: Options.MaxBatch must be positive",
		"sqlite: Options.MaxQueue must be positive",
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("Open() = %v, want %q", err, want)
	}
}
