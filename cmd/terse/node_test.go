package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// node is terse serve in this process.
type node struct {
	t     *testing.T
	url   string // the base URL
	admin testenv.Admin
	log   *logBuffer
	end   context.CancelFunc
	ended chan struct{}
	exit  int // status; read only after ended

	oneTime string // the one-time link that the server printed; empty if it printed none
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

// start runs the server on free ports until the end of the test, and returns once it is ready.
func start(t *testing.T, dir string, environ ...string) *node {
	t.Helper()
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &node{t: t, log: &logBuffer{}, end: end, ended: make(chan struct{})}
	stdout, said := io.Pipe()
	port, err := testenv.FreePort(t.Context())
	must(t, err)
	p.admin = testenv.Admin(fmt.Sprintf("127.0.0.1:%d", port))
	environ = append([]string{
		"TERSE_DATA_DIR=" + dir, "TERSE_LISTEN=127.0.0.1:0", "TERSE_ADMIN_LISTEN=" + string(p.admin),
		"TERSE_LIMIT_CREATE_ANONYMOUS=off", "TERSE_LIMIT_CREATE_TOTAL=off", "TERSE_DRAIN_DELAY=0s",
	}, environ...)
	go func() {
		defer close(p.ended)
		p.exit = run(ctx, []string{"serve"}, environ, strings.NewReader(""), said, p.log)
		_ = said.Close()
	}()
	t.Cleanup(func() { p.stop() })
	if slices.Contains(environ, "TERSE_LOG_FORMAT=json") { // nothing but records is printed
		go func() { _, _ = io.Copy(p.log, stdout) }()
		p.url = p.logged(`"msg":"serving","url":"([^"]+)"`)
		p.admin = testenv.Admin("127.0.0.1:" + p.logged(`"msg":"serving".*"admin":"[^"]*:(\d+)"`))
	} else {
		printed := bufio.NewReader(stdout)
		line, err := printed.ReadString('\n')
		if err != nil {
			t.Fatalf("terse serve printed nothing: %v: %s", err, p.log)
		}
		if printed.Buffered() > 0 {
			next, err := printed.ReadString('\n')
			must(t, err)
			p.oneTime = strings.TrimSpace(next[strings.Index(next, "http"):])
		}
		p.url = strings.TrimSpace(line[strings.Index(line, "http"):])
	}
	testenv.Await(t, "the server to be ready", func() bool {
		status, _ := p.admin.Ask(t.Context(), "/readyz")
		return status == http.StatusOK
	})
	return p
}

// stop ends the server as SIGTERM does, and returns its exit status. It may be called more
// than once.
func (p *node) stop() (status int) {
	p.end()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.t.Errorf("terse serve does not end: %s", p.log)
		<-p.ended
	}
	return p.exit
}

// logged waits until the log matches the pattern, and returns its first group.
func (p *node) logged(pattern string) string {
	p.t.Helper()
	var m []string
	testenv.Await(p.t, "a line of the log that matches "+pattern, func() bool {
		m = regexp.MustCompile(pattern).FindStringSubmatch(p.log.String())
		return m != nil
	})
	return m[1]
}

func (p *node) metric(name string, labels ...string) float64 {
	p.t.Helper()
	return p.admin.Metric(p.t, name, labels...)
}

// dial opens a raw connection to the public listener.
func (p *node) dial() net.Conn {
	p.t.Helper()
	conn, err := net.Dial("tcp", strings.Replace(strings.TrimPrefix(p.url, "http://"), "localhost", "127.0.0.1", 1))
	must(p.t, err)
	p.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// newKey creates an API key with the settings of a server. It returns the settings of a
// client: the server and the key.
func (p *node) newKey(scopes string, environ ...string) []string {
	p.t.Helper()
	created := terse(p.t, environ, "key", "create", "--name", "test", "--scope", scopes)
	if created.status != 0 {
		p.t.Fatalf("key create = %+v", created)
	}
	return []string{"TERSE_SERVER=" + p.url, "TERSE_API_KEY=" + strings.TrimSpace(created.stdout)}
}

// startWithKey starts a server and returns the settings of a client with a key.
func startWithKey(t *testing.T, scopes string, environ ...string) (*node, []string) {
	t.Helper()
	dir := t.TempDir()
	p := start(t, dir, environ...)
	return p, p.newKey(scopes, "TERSE_DATA_DIR="+dir)
}

// client returns a client that does not follow redirects, and has the User-Agent of a browser.
func client(t *testing.T) *http.Client {
	t.Helper()
	c := &http.Client{
		Timeout:       time.Minute,
		Transport:     testenv.AsBrowser(&http.Transport{MaxIdleConnsPerHost: 32, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// ask sends a request with a form or JSON, and returns the status and headers.
func ask(t *testing.T, c *http.Client, method, url, contentType, body string, header ...string) (int, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	r.Header.Set("Content-Type", contentType)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	response, err := c.Do(r)
	must(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	must(t, err)
	must(t, response.Body.Close())
	return response.StatusCode, response.Header
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

// dataDir returns a folder that does not exist yet.
func dataDir(t *testing.T) string { return filepath.Join(t.TempDir(), "data") }
