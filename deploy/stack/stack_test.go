//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terse/terse/deploy/stack/topology"
	"github.com/terse/terse/internal/testenv"
)

// asStack is the variable that makes this test binary run as the stack command.
const asStack = "STACK_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asStack) != "" {
		os.Exit(run(signalled(), os.Args[1:], os.Stdout, os.Stderr))
	}
	if err := os.Setenv(asStack, "1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// stack is a running stack of a test.
type stack struct {
	t   *testing.T
	dir string
	topology.State
}

// newStack starts a stack with a terse binary, and stops it when the test ends.
func newStack(t *testing.T, binary string, args ...string) *stack {
	t.Helper()
	// As root, the servers run as another user, which cannot read t.TempDir.
	dir, err := os.MkdirTemp("", "stack-test-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	s := &stack{t: t, dir: dir}
	t.Cleanup(func() {
		s.run(0, "down")
		must(t, os.RemoveAll(dir))
	})
	if out := s.run(0, append([]string{"up", "-terse", binary}, args...)...); !strings.Contains(out, "Terse runs at http://") {
		t.Fatalf("output of stack up = %q, want the address", out)
	}
	must(t, json.Unmarshal([]byte(s.run(0, "status", "-json")), &s.State))
	return s
}

// run runs a stack command with the folder, checks its exit code and returns its output.
func (s *stack) run(want int, args ...string) string {
	s.t.Helper()
	var out strings.Builder
	ctx := context.WithoutCancel(s.t.Context()) // run is also used after the end of the test
	if got := run(ctx, append([]string{"-dir", s.dir}, args...), &out, &out); got != want {
		log, _ := os.ReadFile(home(s.dir).logFile())
		s.t.Fatalf("stack %v = %d, want %d: %s\n%s", args, got, want, &out, log)
	}
	return out.String()
}

var client = &http.Client{
	Timeout:       time.Minute,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask sends a request, with the API key for API paths. Status 0 means no response.
func (s *stack) ask(method, url, body string) (status int, h http.Header, text string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	must(s.t, err)
	if strings.Contains(url, "/api/") {
		r.Header.Set("Authorization", "Bearer "+s.APIKey)
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	read, err := io.ReadAll(answer.Body)
	must(s.t, err)
	return answer.StatusCode, answer.Header, string(read)
}

// create creates a link through Varnish and returns its code.
func (s *stack) create(target string) string {
	s.t.Helper()
	var link struct{ Code string }
	s.await("a create", func() bool { // a busy machine may need several requests
		status, _, text := s.ask(http.MethodPost, s.URL+"/api/v1/links", fmt.Sprintf(`{"url":%q}`, target))
		switch status {
		case http.StatusCreated:
			must(s.t, json.Unmarshal([]byte(text), &link))
		case http.StatusServiceUnavailable:
		default:
			s.t.Fatalf("status of a create = %d: %s", status, text)
		}
		return link.Code != ""
	})
	return link.Code
}

// sample is one series of a query's result, with its value.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// query returns the result of a Prometheus query.
func (s *stack) query(expression string) []sample {
	s.t.Helper()
	_, _, text := s.ask(http.MethodGet, s.Prometheus+"/api/v1/query?query="+url.QueryEscape(expression), "")
	var answer struct{ Data struct{ Result []sample } }
	must(s.t, json.Unmarshal([]byte(text), &answer))
	return answer.Data.Result
}

// holds reports whether a query has a result.
func (s *stack) holds(expression string) bool {
	s.t.Helper()
	return len(s.query(expression)) > 0
}

// ofPrometheus returns the value of a query for each node, or -1 without a value.
func (s *stack) ofPrometheus(expression string) (values []string) {
	s.t.Helper()
	byInstance := map[string]string{}
	for _, r := range s.query(expression) {
		byInstance["http://"+r.Metric["instance"]], _ = r.Value[1].(string)
	}
	for _, n := range s.Nodes {
		value, ok := byInstance[n.Admin]
		if !ok {
			value = "-1"
		}
		values = append(values, value)
	}
	return values
}

// elsewhere matches metrics of the embedded database, of Web Risk and of HTTPS. The stack has none of them.
var elsewhere = regexp.MustCompile(`terse_(sqlite_|scan_backlog_seconds|certificate)`)

// wantMetrics checks that a node has every metric in the files.
func (s *stack) wantMetrics(paths ...string) {
	s.t.Helper()
	_, _, page := s.ask(http.MethodGet, s.Nodes[0].Admin+"/metrics", "")
	names := regexp.MustCompile(`\b(terse|process|go)_[a-z0-9_]+`)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		must(s.t, err)
		for _, name := range names.FindAllString(string(content), -1) {
			if !elsewhere.MatchString(name) && !strings.Contains(page, "\n"+name+"{") && !strings.Contains(page, "\n"+name+" ") {
				s.t.Errorf("%s contains %s, which a node lacks", path, name)
			}
		}
	}
}

// await polls until done returns true. After five minutes it fails the test.
func (s *stack) await(what string, done func() bool) {
	s.t.Helper()
	for end := time.Now().Add(5 * time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited a minute for %s", what)
		}
	}
}

// left returns the processes with the stack's folder in their command line.
func (s *stack) left() (all []string) {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "ps", "-A", "-ww", "-o", "pid=", "-o", "args=").Output()
	must(s.t, err)
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, s.dir) {
			all = append(all, line)
		}
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestTopology starts a stack, uses it while parts of it fail, and stops it.
func TestTopology(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	binary := testenv.BuildTerse(t)
	s := newStack(t, binary)
	if len(s.left()) < 15 {
		t.Fatalf("%d processes found, want at least 15, or the test cannot see processes that are left", len(s.left()))
	}
	if out := s.run(0, "up"); !strings.Contains(out, "already runs") || !strings.Contains(out, s.URL) {
		t.Errorf("output of a second stack up = %q, want the address of the running stack", out)
	}
	for _, wrong := range [][]string{{"kill", "node9"}, {"promote", "s1-a"}, {"promote", "s1-b"}, {"promote", "redis"}, {"rejoin", "s1-b"}} {
		s.run(1, wrong...)
	}
	s.run(2, "kill")

	const target = "https://example.com/a"
	code := s.create(target)
	for _, want := range []string{"MISS", "HIT"} {
		status, h, _ := s.ask(http.MethodGet, s.URL+"/"+code, "")
		if status != http.StatusFound || h.Get("Location") != target || h.Get("X-Cache") != want {
			t.Errorf("GET through Varnish = %d to %q, %s, want 302, %s", status, h.Get("Location"), h.Get("X-Cache"), want)
		}
	}
	status, _, text := s.ask(http.MethodPatch, s.URL+"/api/v1/links/"+code, `{"url":"https://example.com/b"}`)
	if status != http.StatusOK {
		t.Fatalf("status of an edit = %d: %s", status, text)
	}
	s.await("the edited target through Varnish", func() bool {
		_, h, _ := s.ask(http.MethodGet, s.URL+"/"+code, "")
		return h.Get("Location") == "https://example.com/b"
	})
	s.await("a scrape of every node", func() bool { return fmt.Sprint(s.ofPrometheus("up")) == "[1 1 1]" })

	s.await("values of the service level objectives", func() bool {
		s.ask(http.MethodGet, s.Nginx+"/"+s.create(target), "")
		return s.holds("terse:redirect_errors:ratio_rate5m == 0") && s.holds("terse:create_errors:ratio_rate5m < 1") &&
			s.holds("terse:redirect_slow:ratio_rate5m >= 0")
	})
	_, _, rules := s.ask(http.MethodGet, s.Prometheus+"/api/v1/rules", "")
	if n := strings.Count(rules, `"health":"ok"`); n < 40 || strings.Contains(rules, `"health":"err"`) {
		t.Errorf("%d healthy rules, want at least 40 and no error: %s", n, rules)
	}

	s.wantMetrics("../prometheus/rules.yml", "../grafana/terse.json")
	s.wantPanels("../grafana/terse.json")
	s.wantRunbook("../RUNBOOK.md", binary)

	t.Log("kill a node")
	s.run(0, "kill", "node2")
	for range 300 {
		if status, _, text := s.ask(http.MethodGet, s.Nginx+"/"+code, ""); status != http.StatusFound {
			t.Fatalf("GET through nginx without node2 = %d, want 302: %s", status, text)
		}
	}
	s.await("Prometheus to report the killed node", func() bool { return fmt.Sprint(s.ofPrometheus("up")) == "[1 0 1]" })
	s.run(0, "start", "node2")
	s.await("a scrape of every node", func() bool { return fmt.Sprint(s.ofPrometheus("up")) == "[1 1 1]" })

	t.Log("kill a primary, and promote its standby")
	s.await("both standbys to be synchronous", func() bool {
		must(t, json.Unmarshal([]byte(s.run(0, "status", "-json")), &s.State))
		return s.Shards[0].Synced && s.Shards[1].Synced
	})
	var before []string
	for range 20 {
		before = append(before, s.create(target))
	}
	s.run(0, "kill", "s1-a")
	s.run(0, "promote", "s1-b")
	s.run(0, "rejoin", "s1-a")
	for range 20 {
		s.await("a successful create", func() bool {
			status, _, _ := s.ask(http.MethodPost, s.URL+"/api/v1/links", `{"url":"https://example.com/c"}`)
			return status == http.StatusCreated
		})
	}
	for _, code := range before {
		if status, h, _ := s.ask(http.MethodGet, s.Nginx+"/"+code, ""); status != http.StatusFound || h.Get("Location") != target {
			t.Errorf("after the failover /%s = %d to %q, want %q", code, status, h.Get("Location"), target)
		}
	}
	s.await("the lost primary to be a synchronous standby", func() bool {
		must(t, json.Unmarshal([]byte(s.run(0, "status", "-json")), &s.State))
		return s.Shards[0].Synced && s.Shards[0].Servers[0].Role == "standby"
	})
	s.await("all nodes to read from the new standby", func() bool {
		return fmt.Sprint(s.ofPrometheus(`terse_postgres_up{server="replica-1", shard="s1"}`)) == "[1 1 1]"
	})
	s.run(0, "restart", "node1")

	s.run(0, "down")
	s.await("the end of all processes", func() bool { return len(s.left()) == 0 })
	s.run(1, "status")
}

// TestDownAfterACrash kills the background process of a stack, and also the guards that
// would clean up after it.
func TestDownAfterACrash(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s := newStack(t, testenv.BuildTerse(t), "-shards", "1", "-nodes", "1", "-set", "log_level=info")
	pid, err := home(s.dir).holder()
	if err != nil || pid == 0 {
		t.Fatalf("holder() = %d, %v, want a process", pid, err)
	}
	for _, line := range s.left() {
		if strings.Contains(line, "guard "+s.dir) {
			var guard int
			_, err := fmt.Sscan(line, &guard)
			must(t, err)
			must(t, syscall.Kill(guard, syscall.SIGKILL))
		}
	}
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	s.await("the end of the background process", func() bool {
		pid, err := home(s.dir).holder()
		must(t, err)
		return pid == 0
	})
	if status, _, _ := s.ask(http.MethodGet, s.Nodes[0].URL+"/none", ""); status != http.StatusNotFound {
		t.Errorf("status of a node without its guard = %d, want it to run on", status)
	}
	s.run(0, "down")
	s.await("the end of all processes", func() bool { return len(s.left()) == 0 })
}

// TestRefusals checks the error of a stack that cannot start, and that it leaves no
// processes or files.
func TestRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"up", "-nodes", "0x"}, 1, "-nodes"},
		{[]string{"up", "-nodes", "99"}, 1, "Nodes = 99"},
		{[]string{"up", "-set", "nothing"}, 1, "NAME=VALUE"},
		{[]string{"up", "more"}, 2, "usage"},
		{[]string{"kill", "redis"}, 1, "no stack runs"},
		{[]string{"status"}, 1, "no stack runs"},
		{nil, 2, "usage"},
	} {
		var out strings.Builder
		got := run(t.Context(), append([]string{"-dir", dir}, tt.args...), &out, &out)
		if got != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("stack %v = %d, %q, want %d, %q", tt.args, got, &out, tt.code, tt.want)
		}
	}
	var out strings.Builder
	if got := run(t.Context(), []string{"-dir", dir, "down"}, &out, &out); got != 0 {
		t.Errorf("stack down = %d: %s", got, &out)
	}
}
