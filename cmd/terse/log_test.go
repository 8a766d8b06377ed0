package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
)

// records parses a log in JSON. Every line must be an object with a level and a message.
func records(t *testing.T, log string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(log) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil || one["level"] == nil || one["msg"] == "" {
			t.Errorf("%q is no record: %v", line, err)
		}
		all = append(all, one)
	}
	return all
}

// find returns the first record whose message begins with msg.
func find(t *testing.T, all []map[string]any, msg string) map[string]any {
	t.Helper()
	for _, one := range all {
		if text, _ := one["msg"].(string); strings.HasPrefix(text, msg) {
			return one
		}
	}
	t.Errorf("the log has no record %q: %v", msg, all)
	return nil
}

// TestEveryLineOfTheLogIsJSON checks the log of a server without its Redis and its collector,
// with an admin listener for everybody, and with libraries that print.
func TestEveryLineOfTheLogIsJSON(t *testing.T) { //nolint:paralleltest // libraries print to the log of the last server
	p := start(t, dataDir(t), "TERSE_LOG_FORMAT=json", "TERSE_LOG_LEVEL=debug", "TERSE_ACCESS_LOG_SAMPLE=1",
		"TERSE_REDIS_URL=redis://127.0.0.1:1", "TERSE_OTLP_ENDPOINT=http://127.0.0.1:1", "TERSE_ADMIN_LISTEN=:0")
	log.Printf("printed by\na library")
	otel.Handle(errors.New("printed by a tracer"))
	conn := p.dial()
	_, err := io.WriteString(conn, "nonsense\r\n\r\n")
	must(t, err)
	_, _ = io.Copy(io.Discard, conn)
	ask(t, client(t), http.MethodGet, p.url+"/unknown", "", "")
	p.logged(`("msg":"request")`)
	p.logged(`("msg":"redis cannot be used)`)
	if status := p.stop(); status != 0 {
		t.Errorf("terse serve ended with %d", status)
	}
	all := records(t, p.log.String())
	find(t, all, "printed by\na library")
	find(t, all, "printed by a tracer")
	find(t, all, "redis cannot be used")
	if got := find(t, all, "the admin listener accepts connections from other machines"); got["level"] != "WARN" {
		t.Errorf("a public admin listener is logged as %v", got)
	}
	for msg, member := range map[string]string{"request": "took", "stopping": "timeout"} {
		text, _ := find(t, all, msg)[member].(string)
		if _, err := time.ParseDuration(text); err != nil {
			t.Errorf("%s of %q is %q, want a time with its unit", member, msg, text)
		}
	}
	if got, _ := find(t, all, "serving")["listen"].(string); !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("listen is %q, want host:port", got)
	}
}

// TestUnreachableRedisAtStart checks that a server starts without its Redis, says in plain words
// what does not work, and serves.
func TestUnreachableRedisAtStart(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, owns, "TERSE_REDIS_URL=redis://127.0.0.1:1")
	line := p.logged(`(?m)^(.*redis cannot be used.*)$`)
	for _, want := range []string{"WARN", "retrying: edits of other nodes reach this node late", "127.0.0.1:1: connect: connection refused"} {
		if !strings.Contains(line, want) {
			t.Errorf("the log says %s, want %q", line, want)
		}
	}
	terse(t, environ, "shorten", "https://example.com/1", "--alias", "spring").ok(t)
	if status, header := ask(t, client(t), http.MethodGet, p.url+"/spring", "", ""); status != http.StatusFound || header.Get("Location") != "https://example.com/1" {
		t.Errorf("visit without Redis = %d to %q, want a redirect", status, header.Get("Location"))
	}
	if n := strings.Count(p.log.String(), "redis cannot be used"); n != 1 {
		t.Errorf("the log says %d times that Redis cannot be used, want once", n)
	}
	if status := p.stop(); status != 0 {
		t.Errorf("terse serve ended with %d", status)
	}
}

func TestProblemsAtStartAreInTheJSONLog(t *testing.T) {
	t.Parallel()
	first := start(t, dataDir(t))
	taken := strings.TrimPrefix(strings.Replace(first.url, "localhost", "127.0.0.1", 1), "http://")
	for name, tt := range map[string]struct {
		environ, args []string
		status        int
		want          string
	}{
		"settings":          {[]string{"TERSE_LOG_FORMAT=json", "TERSE_CDN=x"}, nil, 2, "TERSE_CDN"},
		"several settings":  {[]string{"TERSE_LOG_FORMAT=json", "TERSE_CDN=x", "TERSE_NONSENSE=1"}, nil, 2, "TERSE_NONSENSE"},
		"format by flag":    {[]string{"TERSE_CDN=x"}, []string{"--log-format", "json"}, 2, "TERSE_CDN"},
		"unknown flag":      {[]string{"TERSE_LOG_FORMAT=json"}, []string{"--nonsense"}, 2, "--nonsense"},
		"not UTF-8":         {[]string{"TERSE_LOG_FORMAT=json"}, []string{"--cdn", "\xff"}, 2, "UTF-8"},
		"port in use":       {[]string{"TERSE_LOG_FORMAT=json", "TERSE_LISTEN=" + taken}, nil, 1, taken},
		"admin port in use": {[]string{"TERSE_LOG_FORMAT=json", "TERSE_ADMIN_LISTEN=" + taken}, nil, 1, taken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := append([]string{"TERSE_DATA_DIR=" + dataDir(t), "TERSE_ADMIN_LISTEN=127.0.0.1:0"}, tt.environ...)
			got := terse(t, environ, append([]string{"serve"}, tt.args...)...)
			if got.status != tt.status || got.stdout != "" {
				t.Errorf("terse serve = %d and prints %q, want %d and nothing", got.status, got.stdout, tt.status)
			}
			named := false
			for _, one := range records(t, got.stderr) {
				problem, _ := one["err"].(string)
				named = named || strings.Contains(problem, tt.want)
			}
			if !named {
				t.Errorf("no record has %q in err: %s", tt.want, got.stderr)
			}
		})
	}
}

// TestPublicAdminListenerIsLogged checks that only an admin listener for other machines is logged.
func TestPublicAdminListenerIsLogged(t *testing.T) {
	t.Parallel()
	if text := logOfRun(t); strings.Contains(text, "admin listener accepts") {
		t.Errorf("an admin listener on loopback is logged as public: %s", text)
	}
}
