//go:build unix

// Package postgres_test tests the shipped backup scripts with a real Postgres and a real
// Terse.
package postgres_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
)

// backups makes a folder for base backups, WAL and the scripts. The Postgres account may
// write to it.
func backups(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "restore-test-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Mkdir(filepath.Join(dir, "wal"), 0o700))
	for _, open := range []string{dir, filepath.Join(dir, "wal")} {
		must(t, os.Chmod(open, 0o777))
	}
	for _, script := range []string{"archive.sh", "restore.sh"} {
		content, err := os.ReadFile(script)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, script), content, 0o755))
		must(t, os.Chmod(filepath.Join(dir, script), 0o755))
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shard is a Postgres with one node.
type shard struct {
	t       *testing.T
	primary *testenv.Postgres
	binary  string
	node    *testenv.Terse
}

func (s *shard) setting() string { return "s1 " + s.primary.DSN("links") }

// serve starts a new node.
func (s *shard) serve() {
	s.t.Helper()
	s.node = testenv.NewTerse(s.t, testenv.TerseOptions{Binary: s.binary, Settings: map[string]string{
		"shards": s.setting(), "code_key": "aSC7FmA0I5+1teXYpwy1758w8yPDIjOUQKEAJRrNWUA=",
		"limit_create_anonymous": "off", "limit_create_total": "off", "limit_unknown": "off", "drain_delay": "0s",
	}})
}

var client = &http.Client{
	Timeout:       time.Minute,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask sends a request to the node and returns the status, or 0 without a response.
func (s *shard) ask(method, path, body string) int {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.node.URL()+path, strings.NewReader(body))
	must(s.t, err)
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return 0
	}
	must(s.t, answer.Body.Close())
	return answer.StatusCode
}

// create creates 10 links. Their aliases start with name.
func (s *shard) create(name string) {
	s.t.Helper()
	for i := range 10 {
		body := fmt.Sprintf(`{"url":"https://example.com/%s","alias":"%s-%d"}`, name, name, i)
		if status := s.ask(http.MethodPost, "/api/v1/links", body); status != http.StatusCreated {
			s.t.Fatalf("create = %d, want 201", status)
		}
	}
}

// want checks the status of the links that create made with name.
func (s *shard) want(name string, status int) {
	s.t.Helper()
	for i := range 10 {
		if got := s.ask(http.MethodGet, fmt.Sprintf("/%s-%d", name, i), ""); got != status {
			s.t.Errorf("/%s-%d = %d, want %d", name, i, got, status)
		}
	}
}

// value returns the result of a query with one value.
func (s *shard) value(sql string) (value string) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.primary.DSN("links"))
	must(s.t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(s.t.Context())) }()
	must(s.t, conn.QueryRow(s.t.Context(), sql).Scan(&value))
	return value
}

// await polls until an SQL expression is true.
func (s *shard) await(expression string) {
	s.t.Helper()
	for end := time.Now().Add(5 * time.Minute); s.value("select ("+expression+")::text") != "true"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited a minute for %s", expression)
		}
	}
}

// TestRestoreToAMoment deletes all links of a shard, and restores the shard from an older
// base backup to a moment before the loss.
func TestRestoreToAMoment(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	dir := backups(t)
	base, wal := filepath.Join(dir, "base"), filepath.Join(dir, "wal")
	c := testenv.NewCluster(t, testenv.ClusterOptions{Settings: map[string]string{
		"archive_mode":    "on",
		"archive_command": filepath.Join(dir, "archive.sh") + " %p %f " + wal,
	}})
	must(t, c.NewDatabase(t.Context(), "links"))
	s := &shard{t: t, primary: c.Primary(), binary: testenv.BuildTerse(t)}
	migrate := exec.CommandContext(t.Context(), s.binary, "migrate", "up")
	migrate.Env = append(os.Environ(), "TERSE_SHARDS="+s.setting())
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("terse migrate up: %v: %s", err, out)
	}
	s.serve()

	s.create("before")
	backup, err := testenv.Program(t.Context(), "pg_basebackup")
	must(t, err)
	host, port, _ := strings.Cut(s.primary.Addr(), ":")
	must(t, s.primary.Run(t.Context(), backup, "--pgdata="+base, "--checkpoint=fast", "--wal-method=stream",
		"--host="+host, "--port="+port, "--username=terse"))
	s.create("since")
	moment := s.value("select clock_timestamp()::text")
	s.create("late")
	must(t, s.primary.Exec(t.Context(), "links", "delete from links"))
	segment := s.value("select pg_walfile_name(pg_switch_wal())")
	s.await(fmt.Sprintf("select last_archived_wal >= '%s' from pg_stat_archiver", segment))

	t.Log("the shard is restored to", moment)
	must(t, s.primary.Kill())
	data := s.primary.DataDir()
	if err := s.primary.Run(t.Context(), filepath.Join(dir, "restore.sh"), base, wal, moment, data); err == nil {
		t.Fatal("restore.sh wrote into an existing folder")
	}
	must(t, s.primary.Run(t.Context(), "mv", data, data+"-lost"))
	must(t, s.primary.Run(t.Context(), filepath.Join(dir, "restore.sh"), base, wal, moment, data))
	must(t, s.primary.Start(t.Context()))
	s.await("not pg_is_in_recovery()")
	must(t, s.node.Stop())
	s.serve()

	s.want("before", http.StatusFound)
	s.want("since", http.StatusFound)
	s.want("late", http.StatusNotFound)
	s.create("after")
	s.want("after", http.StatusFound)
	s.create("late") // the lost aliases are free again
}

// TestArchive checks that archive.sh never replaces an archived segment, and succeeds
// when the same segment is archived again.
func TestArchive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep := func(content string) error {
		segment := filepath.Join(dir, "segment")
		must(t, os.WriteFile(segment, []byte(content), 0o600))
		must(t, os.MkdirAll(filepath.Join(dir, "wal"), 0o700))
		return exec.CommandContext(t.Context(), "./archive.sh", segment, "000000010000000000000001", filepath.Join(dir, "wal")).Run()
	}
	must(t, keep("first"))
	must(t, keep("first"))
	if err := keep("another"); err == nil {
		t.Error("archive.sh accepted another segment of the same name")
	}
	kept, err := os.ReadFile(filepath.Join(dir, "wal", "000000010000000000000001"))
	must(t, err)
	if string(kept) != "first" {
		t.Errorf("archived segment = %q, want the first one", kept)
	}
	files, err := os.ReadDir(filepath.Join(dir, "wal"))
	must(t, err)
	if len(files) != 1 {
		t.Errorf("files of the archive = %v, want only the segment", files)
	}
	if err := exec.CommandContext(t.Context(), "./archive.sh", filepath.Join(dir, "segment"), "x", filepath.Join(dir, "nowhere")).Run(); err == nil {
		t.Error("archive.sh succeeded without the archive folder")
	}
}
