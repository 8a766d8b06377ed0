package validate_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wantWorkingNode migrates a shard as its owner, then runs a node with another role of the
// database. It checks that the node creates, edits and deletes links and keys, and redirects.
// schema and data are TERSE_SHARDS of the two roles. One link is left.
func wantWorkingNode(t *testing.T, schema, data string) {
	t.Helper()
	binary := newTerse(t)
	run := func(environ string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Env = append(os.Environ(), environ)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("terse %v = %v: %s", args, err, &stderr)
		}
		return strings.TrimSpace(string(out))
	}
	run(schema, "migrate", "up")
	run(data, "shard", "status")
	run(data, "block", "add", "blocked.example")
	key := run(data, "key", "create", "--name", "test", "--scope", "links:read,links:write,admin")

	node := exec.CommandContext(t.Context(), binary, "serve")
	node.Env = append(os.Environ(), data, "TERSE_CODE_KEY=aSC7FmA0I5+1teXYpwy1758w8yPDIjOUQKEAJRrNWUA=",
		"TERSE_LISTEN=127.0.0.1:0", "TERSE_ADMIN_LISTEN=127.0.0.1:0", "TERSE_DRAIN_DELAY=0s")
	node.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	node.Cancel = func() error { return node.Process.Signal(syscall.SIGTERM) }
	var log strings.Builder
	node.Stderr = &log
	stdout, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = node.Process.Signal(syscall.SIGTERM)
		if err := node.Wait(); err != nil || t.Failed() || strings.Contains(log.String(), "permission denied") {
			t.Errorf("the node ended with %v: %s", err, &log)
		}
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: the node printed no address: %q", err, line)
	}
	_, port, _ := strings.Cut(strings.TrimSpace(line), "http://localhost")

	client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	for _, tt := range []struct {
		method, path, body string
		want               int
	}{
		{http.MethodPost, "/api/v1/links", `{"url":"https://example.com/","alias":"kept","tags":["a"]}`, http.StatusCreated},
		{http.MethodPost, "/api/v1/links", `{"url":"https://example.com/","alias":"gone","max_clicks":5}`, http.StatusCreated},
		{http.MethodPost, "/api/v1/links", `{"url":"https://blocked.example/"}`, http.StatusUnprocessableEntity},
		{http.MethodPatch, "/api/v1/links/kept", `{"url":"https://example.com/second"}`, http.StatusOK},
		{http.MethodGet, "/kept", "", http.StatusFound},
		{http.MethodGet, "/gone", "", http.StatusFound},
		{http.MethodGet, "/api/v1/links/kept/history", "", http.StatusOK},
		{http.MethodGet, "/api/v1/links?tag=a", "", http.StatusOK},
		{http.MethodPost, "/api/v1/links/kept/disable", `{"reason":"test"}`, http.StatusOK},
		{http.MethodPost, "/api/v1/links/kept/enable", "", http.StatusOK},
		{http.MethodDelete, "/api/v1/links/gone", "", http.StatusNoContent},
		{http.MethodGet, "/gone", "", http.StatusGone},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://127.0.0.1"+port+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(tt.path, "/api/") {
			r.Header.Set("Authorization", "Bearer "+key)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", tt.path+tt.body)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		if _ = answer.Body.Close(); answer.StatusCode != tt.want {
			t.Errorf("%s %s = %d, want %d: %s", tt.method, tt.path, answer.StatusCode, tt.want, body)
		}
	}
}
