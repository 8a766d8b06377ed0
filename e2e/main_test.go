//go:build unix

// Package e2e tests whole processes of Terse: faults, caches, CDN, clusters, stops,
// idempotency and use of resources. Tests that need one process only are in the package
// of their subject.
package e2e_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/terse/terse/internal/testenv"
)

// The Redis client retries an unreachable server every second, also once after it was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// program is a node. Its methods fail the test on errors.
type program struct {
	*testenv.Terse

	t   *testing.T
	url string // of the public listener
}

// start starts a node with an embedded database, and returns once it is ready.
func start(t *testing.T, environ ...string) *program {
	t.Helper()
	return startBy(t, testenv.TerseOptions{Environment: environ})
}

func startBy(t *testing.T, opts testenv.TerseOptions) *program {
	t.Helper()
	if opts.Binary == "" {
		opts.Binary = testenv.BuildTerse(t)
	}
	opts.Settings = map[string]string{"limit_create_anonymous": "off", "limit_create_total": "off"}
	p := &program{t: t, Terse: testenv.NewTerse(t, opts)}
	p.url = p.URL()
	return p
}

// again starts a node that has ended, with the same data and addresses.
func (p *program) again() {
	p.t.Helper()
	must(p.t, p.Start(p.t.Context()))
}

// kill kills the process if it runs.
func (p *program) kill() {
	p.t.Helper()
	if p.Pid() != 0 {
		must(p.t, p.Kill())
	}
}

// logged waits until the log matches the pattern, and returns its first group.
func (p *program) logged(pattern string) string {
	p.t.Helper()
	var m []string
	testenv.Await(p.t, "a line of the log that matches "+pattern, func() bool {
		m = regexp.MustCompile(pattern).FindStringSubmatch(p.Log())
		return m != nil
	})
	return m[1]
}

// ask returns the response of the admin listener. The status is 0 without a response.
func (p *program) ask(path string) (status int, body string) {
	return p.Admin().Ask(p.t.Context(), path)
}

func (p *program) metric(name string, labels ...string) float64 {
	p.t.Helper()
	return p.Admin().Metric(p.t, name, labels...)
}

// dial opens a raw connection to the public listener.
func (p *program) dial() net.Conn {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	must(p.t, err)
	p.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// newKey creates an API key in the database of the node. It returns the settings of a
// client: the server and the key.
func (p *program) newKey(scopes string, more ...string) []string {
	p.t.Helper()
	args := append([]string{"key", "create", "--name", "test", "--scope", scopes}, more...)
	created := runCommand(p.t, p.Command(p.t.Context(), args...))
	if created.status != 0 {
		p.t.Fatalf("key create = %+v", created)
	}
	return []string{"TERSE_SERVER=" + p.url, "TERSE_API_KEY=" + strings.TrimSpace(created.stdout)}
}

// command returns a terse command that is not started yet.
func command(t *testing.T, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	return commandOf(testenv.BuildTerse(t), environ, args...)
}

// commandOf is command for another binary.
func commandOf(binary string, environ []string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = append([]string{"LC_ALL=C"}, environ...)
	return cmd
}

// result is the exit status and the output of a command.
type result struct {
	status         int
	stdout, stderr string
}

// terse runs a terse command.
func terse(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	return runCommand(t, command(t, environ, args...))
}

// terseReading runs a terse command with the given standard input.
func terseReading(t *testing.T, stdin string, environ []string, args ...string) result {
	t.Helper()
	cmd := command(t, environ, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return runCommand(t, cmd)
}

func runCommand(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

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

// client returns a client that does not follow redirects, and has the User-Agent of a browser.
func client(t *testing.T) *http.Client {
	t.Helper()
	c := &http.Client{
		Timeout:       time.Minute,
		Transport:     testenv.AsBrowser(&http.Transport{MaxIdleConnsPerHost: 32}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// shorten creates a link and returns its code. It returns an error without a 201.
func shorten(c *http.Client, base, target string) (string, error) {
	return createOnce(c, base, "", "", target)
}

// location returns the target of a code, or "" without a redirect.
func location(t *testing.T, c *http.Client, base, code string) string {
	t.Helper()
	response, err := c.Get(base + "/" + code)
	must(t, err)
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.Header.Get("Location")
}

// must fails the test when err is not nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writeFile writes a file.
func writeFile(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o600))
}
