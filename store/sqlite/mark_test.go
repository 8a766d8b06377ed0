package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

// copyFile copies a file with cp, because closing a database file in this process would
// release SQLite's locks.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "cp", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

// copyBySQLite copies a database while another process may write to it.
func copyBySQLite(t *testing.T, from, to string) {
	t.Helper()
	execute(t, from, fmt.Sprintf("VACUUM INTO '%s'", to))
}

// copyPages copies a database page by page, like .backup of the sqlite3 program.
func copyPages(t *testing.T, from, to string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+from)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Raw(func(driver any) error { return sqlite.CopyPages(driver, to) }); err != nil {
		t.Fatalf("backup = %v", err)
	}
}

// serveUntil runs a serving child until it has acknowledged n creates, calls during, and
// kills the child. It returns all codes that the child acknowledged.
func serveUntil(t *testing.T, dir string, n int, during func()) []string {
	t.Helper()
	codes, kill := startChild(t, dir, childServes+"=1")
	var acknowledged []string
	for codes.Scan() {
		acknowledged = append(acknowledged, codes.Text())
		if len(acknowledged) == n {
			during()
			kill()
		}
	}
	if len(acknowledged) < n {
		t.Fatalf("child acknowledged %d creates, want at least %d", len(acknowledged), n)
	}
	return acknowledged
}

func wantAll(t *testing.T, s *sqlite.Store, codes []string) {
	t.Helper()
	for _, code := range codes {
		if _, err := s.Get(t.Context(), code); err != nil {
			t.Errorf("Get(%q) = %v, want the acknowledged link", code, err)
		}
	}
}

// TestLogOfAnotherDatabaseIsRefused copies a backup over the database of a killed server.
// SQLite would apply the log, and so undo the copy.
func TestLogOfAnotherDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		make func(t *testing.T, dir, to string) // runs a server, and makes a copy
	}{
		{"copy by VACUUM of the same run", func(t *testing.T, dir, to string) {
			serveUntil(t, dir, 50, func() { copyBySQLite(t, filepath.Join(dir, "terse.db"), to) })
		}},
		{"copy of pages of the same run", func(t *testing.T, dir, to string) {
			serveUntil(t, dir, 50, func() { copyPages(t, filepath.Join(dir, "terse.db"), to) })
		}},
		{"backup of the same run", func(t *testing.T, dir, to string) {
			serveUntil(t, dir, 50, func() {
				write(t, to, nil)
				if err := sqlite.Backup(t.Context(), dir, to); err != nil {
					t.Fatalf("Backup() = %v, want nil", err)
				}
			})
		}},
		{"file of an earlier run", func(t *testing.T, dir, to string) {
			serveUntil(t, dir, 50, func() {})
			closeStore(t, open(t, dir, serve))
			copyFile(t, filepath.Join(dir, "terse.db"), to)
			serveUntil(t, dir, 50, func() {})
		}},
		{"copy of an earlier run", func(t *testing.T, dir, to string) {
			serveUntil(t, dir, 50, func() { copyPages(t, filepath.Join(dir, "terse.db"), to) })
			serveUntil(t, dir, 50, func() {})
		}},
		{"file of another database", func(t *testing.T, dir, to string) {
			other, file := made(t)
			closeStore(t, open(t, other, serve))
			copyFile(t, file, to)
			serveUntil(t, dir, 50, func() {})
		}},
		{"database before marks", func(t *testing.T, dir, to string) {
			other, file := made(t)
			if err := sqlite.NewMigrator(other).Down(t.Context()); err != nil {
				t.Fatalf("Down() = %v", err)
			}
			copyFile(t, file, to)
			serveUntil(t, dir, 50, func() {})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, held := t.TempDir(), filepath.Join(t.TempDir(), "copy.db")
			file := filepath.Join(dir, "terse.db")
			tt.make(t, dir, held)
			original := filepath.Join(dir, "original")
			copyFile(t, file, original)
			copyFile(t, held, file)
			log := read(t, file+"-wal")
			for _, change := range []func(*sqlite.Options){serve, func(*sqlite.Options) {}} {
				s, err := tryOpen(t, dir, change)
				if err == nil {
					closeStore(t, s)
				}
				if !errors.Is(err, sqlite.ErrOtherLog) || !strings.Contains(err.Error(), file+"-wal") || !strings.Contains(err.Error(), "terse restore") {
					t.Fatalf("Open() = %v, want %v with the file and the way out", err, sqlite.ErrOtherLog)
				}
			}
			if string(read(t, file)) != string(read(t, held)) || string(read(t, file+"-wal")) != string(log) {
				t.Error("Open() changed a file that it refused")
			}
			copyFile(t, original, file)
			open(t, dir, serve)
		})
	}
}

// TestKilledServerStartsAgain kills a server many times, at any moment of its checkpoints.
func TestKilledServerStartsAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var acknowledged []string
	for range 8 {
		acknowledged = append(acknowledged, serveUntil(t, dir, 1+rand.IntN(2000), func() {})...)
	}
	s := open(t, dir, serve)
	wantAll(t, s, acknowledged)
	t.Logf("%d creates survived", len(acknowledged))
}

// TestPowerCutDuringCheckpoint starts on the files of a server at each step of a checkpoint.
// Between the steps any part of the pages may have reached the database file.
func TestPowerCutDuringCheckpoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "terse.db")
	s := open(t, dir, serve)
	var want []string
	create := func(n int) {
		for range n {
			l := childLink(fmt.Sprintf("cut-%d", len(want)))
			l.Title = strings.Repeat("title ", 80)
			if _, err := s.Create(t.Context(), l); err != nil {
				t.Fatalf("Create() = %v, want nil", err)
			}
			want = append(want, l.Code)
		}
	}
	type state struct {
		step     string
		database []byte
		log      []byte
		codes    int
	}
	var states []state
	take := func(step string) {
		at := filepath.Join(t.TempDir(), "taken")
		copyFile(t, file, at)
		copyFile(t, file+"-wal", at+"-wal")
		states = append(states, state{step, read(t, at), read(t, at+"-wal"), len(want)})
	}
	for range 3 {
		create(40)
		take("writes")
		if err := s.StepCheckpoint(t.Context(), take); err != nil {
			t.Fatalf("checkpoint = %v", err)
		}
	}
	create(1)
	take("writes")

	starts := func(name string, st state) {
		cut := t.TempDir()
		write(t, filepath.Join(cut, "terse.db"), st.database)
		write(t, filepath.Join(cut, "terse.db-wal"), st.log)
		opened, err := tryOpen(t, cut, serve)
		if err != nil {
			t.Errorf("Open() after a power cut in %s = %v, want nil", name, err)
			return
		}
		defer closeStore(t, opened)
		wantAll(t, opened, want[:st.codes])
	}
	const page = 4096
	for i, st := range states {
		starts(st.step, st)
		torn := st
		torn.log = append(append([]byte(nil), st.log...), st.log[:min(len(st.log), page)]...)
		starts(st.step+" with an incomplete frame", torn)
		if st.step != "begin" {
			continue
		}
		moved := states[i+1].database
		for try := range 10 {
			mixed := st
			mixed.database = append([]byte(nil), moved...)
			for at := 0; at+page <= len(st.database); at += page {
				if rand.IntN(2) == 0 {
					copy(mixed.database[at:at+page], st.database[at:])
				}
			}
			starts(fmt.Sprintf("a checkpoint, try %d", try), mixed)
		}
	}
	// The file of one checkpoint does not fit to the log of a later one.
	for _, other := range states {
		if other.step == "begin" && other.codes == 40 {
			cut, last := t.TempDir(), states[len(states)-1]
			write(t, filepath.Join(cut, "terse.db"), other.database)
			write(t, filepath.Join(cut, "terse.db-wal"), last.log)
			if _, err := tryOpen(t, cut, serve); !errors.Is(err, sqlite.ErrOtherLog) {
				t.Errorf("Open() with the log of a later checkpoint = %v, want %v", err, sqlite.ErrOtherLog)
			}
		}
	}
}

// TestBackupDuringCheckpointIsRefused copies a backup of each step of a checkpoint over the
// database of a killed server.
func TestBackupDuringCheckpointIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, serve)
	if _, err := s.Create(t.Context(), childLink("before")); err != nil {
		t.Fatal(err)
	}
	copies := map[string]string{}
	if err := s.StepCheckpoint(t.Context(), func(step string) {
		to := filepath.Join(t.TempDir(), "terse.db")
		write(t, to, nil)
		if err := sqlite.Backup(t.Context(), dir, to); err != nil {
			t.Fatalf("Backup() = %v, want nil", err)
		}
		copies[step] = to
	}); err != nil {
		t.Fatalf("checkpoint = %v", err)
	}
	for step, file := range copies {
		copyFile(t, filepath.Join(dir, "terse.db-wal"), file+"-wal")
		if _, err := tryOpen(t, filepath.Dir(file), serve); !errors.Is(err, sqlite.ErrOtherLog) {
			t.Errorf("Open() of a backup after %s = %v, want %v", step, err, sqlite.ErrOtherLog)
		}
	}
}

// TestCheckpointBesideAnother does a checkpoint while another program waits in the middle of
// one, which prevents it. The database must start after a power cut.
func TestCheckpointBesideAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "terse.db")
	s := open(t, dir, serve)
	if _, err := s.Create(t.Context(), childLink("before")); err != nil {
		t.Fatal(err)
	}
	reader, err := s.Lists().BeginTx(t.Context(), nil) // the other program waits for its end
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ExecContext(t.Context(), "SELECT count(*) FROM links"); err != nil {
		t.Fatal(err)
	}
	connect := func(timeout string) *sql.DB {
		db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout("+timeout+")")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	other, looks := connect("3000"), connect("0")
	stop, stopped := make(chan struct{}), make(chan struct{})
	if err := s.StepCheckpoint(t.Context(), func(step string) {
		switch step {
		case "begin":
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					default:
						_, _ = other.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
					}
				}
			}()
			for all := 0; all >= 0; {
				var busy, moved int
				if err := looks.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &all, &moved); err != nil {
					t.Fatal(err)
				}
			}
		case "move":
			close(stop)
			<-stopped
		}
	}); err != nil {
		t.Fatalf("checkpoint = %v", err)
	}
	cut := t.TempDir()
	copyFile(t, file, filepath.Join(cut, "terse.db"))
	copyFile(t, file+"-wal", filepath.Join(cut, "terse.db-wal"))
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	wantAll(t, open(t, cut, serve), []string{"before"})
}

// TestOtherProgramsDoNotMoveTheLog checks that a writer with SQLite's own checkpoints beside a
// server does not make the next start refuse the database.
func TestOtherProgramsDoNotMoveTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "terse.db")
	serveUntil(t, dir, 100, func() {
		execute(t, file, "PRAGMA busy_timeout = 10000", "PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_autocheckpoint = 1",
			"UPDATE links SET title = 'edited by hand' WHERE code LIKE 'child-0-0-%'")
	})
	s := open(t, dir, serve)
	var edited int
	if err := s.Lists().QueryRowContext(t.Context(), "SELECT count(*) FROM links WHERE title = 'edited by hand'").Scan(&edited); err != nil || edited != 1 {
		t.Errorf("%d links were edited, %v, want 1", edited, err)
	}
}

// TestLogStaysShort checks that a database moves its log into the file while it is used, also
// after a long query has prevented it.
func TestLogStaysShort(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sqlite.Options){"served": serve, "not served": func(*sqlite.Options) {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sqlitetest.Open(t, change)
			created := 0
			write := func(until func(pages int) bool) {
				t.Helper()
				for range 2000 {
					l := childLink(fmt.Sprintf("long-%d", created))
					l.Title = strings.Repeat("title ", 80)
					if _, err := s.Create(t.Context(), l); err != nil {
						t.Fatalf("Create() = %v, want nil", err)
					}
					created++
					pages, err := s.LogPages(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if until(pages) {
						return
					}
				}
				t.Fatalf("%d creates did not change the length of the log", created)
			}
			reader, err := s.Lists().BeginTx(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := reader.ExecContext(t.Context(), "SELECT count(*) FROM links"); err != nil {
				t.Fatal(err)
			}
			write(func(pages int) bool { return pages > 1200 })
			if err := reader.Rollback(); err != nil {
				t.Fatal(err)
			}
			write(func(pages int) bool { return pages < 100 })
		})
	}
}
