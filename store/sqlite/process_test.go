package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
)

// childDir is the variable that makes this test binary run as a child process. The child
// creates links in that folder until it is killed.
const childDir = "SQLITE_TEST_CHILD_DIR"

// childServes is the variable that makes the child lock the folder, like a server.
const childServes = "SQLITE_TEST_CHILD_SERVES"

// childCreators is the number of goroutines that create links in a child.
const childCreators = 8

// child writes the code of each acknowledged create to stdout, one a line.
func child(dir string) {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Options{Dir: dir, Serve: os.Getenv(childServes) != "", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	var wg sync.WaitGroup
	for g := range childCreators {
		wg.Go(func() {
			for i := 0; ; i++ {
				l := childLink(fmt.Sprintf("child-%d-%d-%d", g, i, os.Getpid()))
				if _, err := s.Create(ctx, l); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				fmt.Println(l.Code)
			}
		})
	}
	wg.Wait()
}

func childLink(code string) store.Link {
	at := time.UnixMicro(1).UTC()
	return store.Link{
		Code: code, URL: "https://example.com/" + code, Tags: []string{"child"},
		Status: 302, CreatedAt: at, UpdatedAt: at,
	}
}

// startChild starts a child. It returns a scanner of the acknowledged codes, and a function
// that kills the child.
func startChild(t *testing.T, dir string, environ ...string) (codes *bufio.Scanner, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), childDir+"="+dir), environ...)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		kill()
		_ = cmd.Wait()
	})
	return bufio.NewScanner(stdout), kill
}

func TestKilledProcessKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	codes, kill := startChild(t, dir)
	var acknowledged []string
	for codes.Scan() {
		acknowledged = append(acknowledged, codes.Text())
		if len(acknowledged) == 200 {
			kill() // the codes that remain in the pipe were acknowledged too
		}
	}
	if len(acknowledged) < 200 {
		t.Fatalf("child acknowledged %d creates, want at least 200", len(acknowledged))
	}
	s := open(t, dir, serve)
	for _, code := range acknowledged {
		if l, err := s.Get(t.Context(), code); err != nil || l.URL != childLink(code).URL {
			t.Errorf("Get(%q) = %q, %v, want the acknowledged link", code, l.URL, err)
		}
	}
	if all := listAll(t, s); len(all) < len(acknowledged) || len(all) > len(acknowledged)+childCreators {
		t.Errorf("List() returned %d links, want %d and at most one more per goroutine", len(all), len(acknowledged))
	}
}

// listAll returns the codes of all links that childLink made.
func listAll(t *testing.T, s *sqlite.Store) (codes []string) {
	t.Helper()
	q := store.Query{Tag: "child", Limit: store.MaxPageLen}
	for {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatalf("List() = %v, want nil", err)
		}
		for _, l := range page.Links {
			codes = append(codes, l.Code)
		}
		if page.Next.IsZero() {
			return codes
		}
		q.After = page.Next
	}
}

func TestTwoProcessesWriteBesideEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, serve)
	codes, kill := startChild(t, dir)
	for i := range 10 {
		mine := childLink(fmt.Sprintf("server-%d", i))
		if _, err := s.Create(t.Context(), mine); err != nil {
			t.Fatalf("Create(%q) during another process's writes = %v, want nil", mine.Code, err)
		}
		if !codes.Scan() {
			t.Fatal("child stopped, want it to write at the same time")
		}
		if _, err := s.Resolve(t.Context(), codes.Text()); err != nil {
			t.Errorf("Resolve(%q) of another process's link = %v, want nil", codes.Text(), err)
		}
	}
	kill()
	if got := strings.Count(strings.Join(listAll(t, s), " "), "server-"); got != 10 {
		t.Errorf("List() returned %d links of the server, want 10", got)
	}
}
