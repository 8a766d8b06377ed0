package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store/sqlite"
)

// program is terse serve in a separate process.
type program struct {
	t          *testing.T
	cmd        *exec.Cmd
	url, admin string
	stderr     *logBuffer
}

// logBuffer collects a log that is read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// command returns a terse command that is not started yet.
func command(t *testing.T, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	return commandBy(t, nil, environ, args...)
}

// commandBy is command through a runner such as nohup. A nil runner means none.
func commandBy(t *testing.T, runner, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line := slices.Concat(runner, []string{self}, args)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append([]string{asProgram + "=1"}, environ...)
	return cmd
}

// start runs terse serve on free ports and waits until it is ready.
func start(t *testing.T, dir string, environ ...string) *program {
	t.Helper()
	return startBy(t, nil, dir, nil, environ...)
}

// startBy is start through a runner, with files that the process inherits.
func startBy(t *testing.T, runner []string, dir string, files []*os.File, environ ...string) *program {
	t.Helper()
	p := &program{t: t, stderr: &logBuffer{}}
	environ = append([]string{
		"TERSE_DATA_DIR=" + dir, "TERSE_LISTEN=127.0.0.1:0", "TERSE_ADMIN_LISTEN=127.0.0.1:0",
		"TERSE_LIMIT_CREATE_ANONYMOUS=off",
	}, environ...)
	p.cmd = commandBy(t, runner, environ, "serve")
	p.cmd.ExtraFiles = files
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("terse serve printed nothing: %v: %s", err, p.stderr)
	}
	p.url = strings.TrimSpace(line[strings.Index(line, "http://"):])
	p.admin = "http://" + p.logged(`admin=(\S+)`)
	return p
}

// logged waits until the log matches the pattern, and returns its first group.
func (p *program) logged(pattern string) string {
	p.t.Helper()
	var m []string
	testenv.Await(p.t, "a line of the log that matches "+pattern, func() bool {
		m = regexp.MustCompile(pattern).FindStringSubmatch(p.stderr.String())
		return m != nil
	})
	return m[1]
}

// kill kills the process. It may be called more than once.
func (p *program) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// client returns a client that does not follow redirects.
func client() *http.Client {
	return &http.Client{
		Timeout:       time.Minute,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 32},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// shorten creates a link and returns its code. It returns an error without a 201.
func shorten(c *http.Client, base, target string) (string, error) {
	response, err := c.Post(base+"/api/v1/links", "application/json", strings.NewReader(fmt.Sprintf(`{"url":%q}`, target)))
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	var l struct{ Code string }
	if response.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("create = %d, want 201", response.StatusCode)
	}
	err = json.NewDecoder(response.Body).Decode(&l)
	return l.Code, err
}

// location returns the target of a code, or "" without a redirect.
func location(t *testing.T, c *http.Client, base, code string) string {
	t.Helper()
	response, err := c.Get(base + "/" + code)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.Header.Get("Location")
}

func TestServeSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	c := client()
	defer c.CloseIdleConnections()
	first := start(t, dir)
	code, err := shorten(c, first.url, "https://example.com/1")
	if err != nil {
		t.Fatal(err)
	}
	if got := location(t, c, first.url, code); got != "https://example.com/1" {
		t.Errorf("Location = %q", got)
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 200, "/": 404} {
		response, err := c.Get(first.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("admin %s = %d, want %d", path, response.StatusCode, want)
		}
	}
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := first.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM terse ended with %v: %s", err, first.stderr)
	}
	second := start(t, dir)
	if got := location(t, c, second.url, code); got != "https://example.com/1" {
		t.Errorf("Location after a restart = %q, log %s", got, second.stderr)
	}
	if fresh, err := shorten(c, second.url, "https://example.com/2"); err != nil || fresh == code {
		t.Errorf("create after a restart = %q, %v", fresh, err)
	}
}

func TestSecondServeIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first := start(t, dir)
	environ := []string{"TERSE_DATA_DIR=" + dir, "TERSE_LISTEN=127.0.0.1:0", "TERSE_ADMIN_LISTEN=127.0.0.1:0"}
	if got := terse(t, environ, "serve"); got.status != 1 || !strings.Contains(got.stderr, dir) {
		t.Errorf("second serve = %+v, want an error that names %s", got, dir)
	}
	if got := terse(t, environ[:1], "key", "create", "--name", "beside"); got.status != 0 {
		t.Errorf("key create beside the server = %+v", got)
	}
	response, err := http.Get(first.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("first server = %d, want 200", response.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestWrongCodeKeyIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir).kill()
	got := terse(t, []string{"TERSE_DATA_DIR=" + dir, "TERSE_ADMIN_LISTEN=127.0.0.1:0", "TERSE_CODE_KEY=8owXEt2q4PbWuLzRoC+eigADsww+xtyOLjAsSLrMSrc="}, "serve")
	if got.status != 2 || !strings.Contains(got.stderr, "TERSE_CODE_KEY") {
		t.Errorf("serve with another code key = %+v, want status 2 naming TERSE_CODE_KEY", got)
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()
	first := start(t, filepath.Join(t.TempDir(), "data"))
	address := strings.TrimPrefix(strings.Replace(first.url, "localhost", "127.0.0.1", 1), "http://")
	got := terse(t, []string{"TERSE_LISTEN=" + address, "TERSE_ADMIN_LISTEN=127.0.0.1:0"}, "serve", "--data-dir", filepath.Join(t.TempDir(), "data"))
	if got.status != 1 || !strings.Contains(got.stderr, "TERSE_LISTEN") || !strings.Contains(got.stderr, address) {
		t.Errorf("serve on a taken port = %+v, want status 1 naming it", got)
	}
}

// TestKillDuringCreates kills the server during 2000 creates, and checks that every
// acknowledged link exists after the restart.
func TestKillDuringCreates(t *testing.T) {
	t.Parallel()
	const creates, killAfter = 2000, 700
	dir := filepath.Join(t.TempDir(), "data")
	c := client()
	defer c.CloseIdleConnections()
	p := start(t, dir)
	var (
		acknowledged sync.Map // target by code
		done         atomic.Int64
		next         atomic.Int64
		wg           sync.WaitGroup
	)
	for range 16 {
		wg.Go(func() {
			for i := next.Add(1); i <= creates; i = next.Add(1) {
				target := fmt.Sprintf("https://example.com/%d", i)
				code, err := shorten(c, p.url, target)
				if err != nil {
					return // the server is gone
				}
				acknowledged.Store(code, target)
				if done.Add(1) == killAfter {
					_ = p.cmd.Process.Kill()
				}
			}
		})
	}
	wg.Wait()
	_ = p.cmd.Wait()
	if n := done.Load(); n < killAfter || n == creates {
		t.Fatalf("%d creates were acknowledged, want %d to %d", n, killAfter, creates-1)
	}
	again := start(t, dir)
	acknowledged.Range(func(code, target any) bool {
		if got := location(t, c, again.url, code.(string)); got != target {
			t.Errorf("%s redirects to %q after the restart, want %q", code, got, target)
		}
		return true
	})
}

// TestSlowClientTakesNoClicks checks that a slow client does not use up the time for flushing
// clicks.
func TestSlowClientTakesNoClicks(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, dir, "TERSE_DRAIN_TIMEOUT=2s")
	c := client()
	defer c.CloseIdleConnections()
	code, err := shorten(c, p.url, "https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	slow := p.dial()
	if _, err := io.WriteString(slow, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\nu"); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		location(t, c, p.url, code)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // the client was cut off, which is an error
	if got := clicksOf(t, dir, code); got != 100 {
		t.Errorf("clicks = %d, want 100, one for each redirect; log %s", got, p.stderr)
	}
}

// clicksOf reads the click total of a link from the database of a stopped server.
func clicksOf(t *testing.T, dir, code string) int64 {
	t.Helper()
	database, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := database.Get(context.Background(), code)
	if err := errors.Join(err, database.Close()); err != nil {
		t.Fatal(err)
	}
	return l.Clicks
}

// TestSigtermUnderLoad checks that a stopping server finishes running requests and flushes
// all clicks.
func TestSigtermUnderLoad(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, dir)
	c := client()
	defer c.CloseIdleConnections()
	code, err := shorten(c, p.url, "https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	var clicks atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				response, err := c.Get(p.url + "/" + code)
				if err != nil {
					return // the listener is closed
				}
				_ = response.Body.Close()
				if response.StatusCode == http.StatusFound && clicks.Add(1) == 500 {
					_ = p.cmd.Process.Signal(syscall.SIGTERM)
				}
			}
		})
	}
	wg.Wait()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM terse ended with %v: %s", err, p.stderr)
	}
	if got := clicksOf(t, dir, code); got < clicks.Load() {
		t.Errorf("clicks after SIGTERM = %d, want %d, one for each redirect", got, clicks.Load())
	}
}
