//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/audit"
)

// TestProcedures follows the runbook's procedures under load: it adds a node, upgrades, and
// goes back. No request may fail, and no acknowledged write may be lost.
func TestProcedures(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	release := testenv.BuildTerse(t)
	next := buildNext(t)
	installed := filepath.Join(filepath.Dir(release), "installed")
	install(t, release, installed)
	// nginx closes idle connections after 3 s. This delay is longer, like the default.
	s := newStack(t, installed, "-nodes", "2", "-set", "drain_delay=3200ms")
	load := s.newTraffic()

	t.Log("add a node, and remove it")
	added := s.addNode(installed)
	s.await("redirects of the added node", func() bool { return s.asked(added.admin) > takenUp })
	s.await("three nodes with different node ids in Prometheus", func() bool {
		return s.holds(`count(up{job="terse"} == 1) == 3`) && s.holds(`count(count_values("id", terse_idgen_node >= 0)) == 3`)
	})
	load.wantNoFailure("adding a node")
	added.stop()
	load.wantNoFailure("removing a node")

	t.Log("upgrade")
	s.migrate(next, "up")
	s.roll(next, installed)
	s.await("a single version in Prometheus", func() bool {
		versions := s.query("count by (version) (terse_build_info)")
		return len(versions) == 1 && versions[0].Metric["version"] == nextVersion
	})
	load.wantNoFailure("the upgrade")

	t.Log("go back to the old release")
	s.roll(release, installed)
	s.migrate(next, "down", "--yes")
	load.wantNoFailure("going back")
	load.end()
}

const (
	nextVersion = "next"

	// takenUp is the number of redirects after which a node counts as used by nginx.
	takenUp = 20
)

// buildNext builds an example of a next release: this code, and a migration that adds a
// column to links.
func buildNext(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	steps, err := filepath.Glob("../../migrations/postgres/*.up.sql")
	must(t, err)
	replace := map[string]string{}
	for direction, sql := range map[string]string{
		"up":   "ALTER TABLE links ADD COLUMN note text NOT NULL DEFAULT ''; CREATE TABLE notes (code text PRIMARY KEY);",
		"down": "DROP TABLE notes; ALTER TABLE links DROP COLUMN note;",
	} {
		path := filepath.Join(dir, direction+".sql")
		must(t, os.WriteFile(path, []byte(sql), 0o600))
		added, err := filepath.Abs(fmt.Sprintf("../../migrations/postgres/%04d_notes.%s.sql", len(steps)+1, direction))
		must(t, err)
		replace[added] = path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	must(t, err)
	path, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "terse")
	must(t, os.WriteFile(path, overlay, 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", path, "-ldflags", "-X main.version="+nextVersion,
		"-o", binary, "github.com/terse/terse/cmd/terse")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	return binary
}

// install replaces the binary that the nodes run after a restart.
func install(t *testing.T, binary, at string) {
	t.Helper()
	content, err := os.ReadFile(binary)
	must(t, err)
	must(t, os.WriteFile(at+".new", content, 0o755))
	must(t, os.Rename(at+".new", at))
}

// migrate runs terse migrate of a release for the shards.
func (s *stack) migrate(binary string, args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary, append([]string{"migrate"}, args...)...)
	cmd.Env = append(os.Environ(), "TERSE_SHARDS="+s.Setting)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("terse migrate %v = %v: %s", args, err, out)
	}
}

// roll restarts the nodes one by one with another release.
func (s *stack) roll(binary, installed string) {
	s.t.Helper()
	install(s.t, binary, installed)
	for _, n := range s.Nodes {
		s.run(0, "restart", n.Name)
		s.await("redirects of "+n.Name+" after the restart", func() bool { return s.asked(n.Admin) > takenUp })
	}
}

var redirects = regexp.MustCompile(`(?m)^terse_http_requests_total\{[^}]*route="/:code"[^}]*\} (\S+)$`)

// asked returns the number of redirects of a node since its start.
func (s *stack) asked(admin string) (n float64) {
	s.t.Helper()
	_, _, page := s.ask(http.MethodGet, admin+"/metrics", "")
	for _, m := range redirects.FindAllStringSubmatch(page, -1) {
		value, err := strconv.ParseFloat(m[1], 64)
		must(s.t, err)
		n += value
	}
	return n
}

// traffic is the continuous load of visitors and owners on nginx.
type traffic struct {
	s    *stack
	a    *audit.Auditor
	load *audit.Load[audit.Balancer]
}

func (s *stack) newTraffic() *traffic {
	s.t.Helper()
	opts := audit.Options{ShardOf: func(string) int { return audit.AnyShard }, Token: s.APIKey}
	for _, shard := range s.Shards {
		opts.DSNs = append(opts.DSNs, shard.DSN)
	}
	a, err := audit.New(opts)
	must(s.t, err)
	s.t.Cleanup(a.Close)
	a.Keep(8 * time.Second) // shorter than the TTL of the nodes' caches, which hides a lost announcement
	front := audit.Balancer(s.Nginx)
	var links, owned []string
	for range 50 {
		links = append(links, a.Create(s.t.Context(), front, ""))
		owned = append(owned, a.Create(s.t.Context(), front, "", a.Authorization()...))
	}
	v := &traffic{s, a, audit.NewLoad(s.t.Context(), a, []audit.Balancer{front})}
	v.load.Repeatable = true
	v.load.Hot(links)
	v.load.Hot(links)
	v.load.Creates(nil)
	v.load.Edits(owned)
	return v
}

// wantNoFailure checks that no request has failed so far.
func (v *traffic) wantNoFailure(during string) {
	v.s.t.Helper()
	if failed := v.a.Failures(5); len(failed) > 0 {
		v.s.t.Fatalf("requests failed during %s: %q", during, failed)
	}
}

// end stops the load, and compares the databases and nodes with the acknowledged writes.
func (v *traffic) end() {
	v.s.t.Helper()
	v.load.Stop()
	var nodes []audit.Node
	for _, n := range v.s.Nodes {
		nodes = append(nodes, audit.Balancer(n.URL))
	}
	report, err := v.a.Audit(v.s.t.Context(), nodes...)
	must(v.s.t, err)
	v.s.t.Logf("%d requests, %d links", report.Outcomes, report.Links)
	if report.Outcomes < 1000 || report.Lost > 0 || len(report.Broken) > 0 {
		v.s.t.Errorf("%d answers, %d wrong, %d links lost, want at least 1000 answers and no failure: %q", report.Outcomes, len(report.Broken), report.Lost, report.Broken)
	}
}

// addedNode is a node outside the stack's own nodes.
type addedNode struct {
	s     *stack
	admin string
	cmd   *exec.Cmd
	log   *bytes.Buffer
}

// addNode starts a node with the settings of the other nodes and its own addresses. It
// adds the node to the stack's configuration of nginx and Prometheus.
func (s *stack) addNode(binary string) *addedNode {
	s.t.Helper()
	settings := map[string]string{}
	must(s.t, json.Unmarshal(s.read("node1", "terse.json"), &settings))
	for _, listener := range []string{"listen", "admin_listen"} {
		port, err := testenv.FreePort(s.t.Context())
		must(s.t, err)
		settings[listener] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	config := filepath.Join(s.t.TempDir(), "terse.json")
	content, err := json.Marshal(settings)
	must(s.t, err)
	must(s.t, os.WriteFile(config, content, 0o600))
	n := &addedNode{s: s, admin: "http://" + settings["admin_listen"], log: new(bytes.Buffer)}
	n.cmd = exec.Command(binary, "serve", "--config", config)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	must(s.t, n.cmd.Start())
	s.t.Cleanup(func() {
		if n.cmd.ProcessState == nil {
			_ = n.cmd.Process.Kill()
			_ = n.cmd.Wait()
		}
	})
	s.await("the readiness of the added node", func() bool {
		status, _, _ := s.ask(http.MethodGet, n.admin+"/readyz", "")
		return status == http.StatusOK
	})
	s.edit("nginx", "terse.conf", "    server ", "    server "+settings["listen"]+" max_fails=2 fail_timeout=2s;\n    server ")
	s.edit("prometheus", "prometheus.yml", "\n      - targets: [", "\n      - targets: ["+settings["admin_listen"]+", ")
	return n
}

// stop stops the node with SIGTERM, like an operator.
func (n *addedNode) stop() {
	n.s.t.Helper()
	must(n.s.t, n.cmd.Process.Signal(syscall.SIGTERM))
	if err := n.cmd.Wait(); err != nil {
		n.s.t.Errorf("the added node exited with %v: %s", err, n.log)
	}
}

// file returns the path of a file of one of the stack's servers.
func (s *stack) file(server, name string) string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "servers", server+"*", name))
	must(s.t, err)
	if len(found) != 1 {
		s.t.Fatalf("%s has the files %v for %s, want one", server, found, name)
	}
	return found[0]
}

func (s *stack) read(server, name string) []byte {
	s.t.Helper()
	content, err := os.ReadFile(s.file(server, name))
	must(s.t, err)
	return content
}

// edit replaces the first occurrence of a text in a server's file, and makes the server
// reload the file.
func (s *stack) edit(server, name, old, with string) {
	s.t.Helper()
	content := strings.Replace(string(s.read(server, name)), old, with, 1)
	if !strings.Contains(content, with) {
		s.t.Fatalf("%s of %s lacks %q: %s", name, server, old, content)
	}
	path := s.file(server, name)
	must(s.t, os.WriteFile(path, []byte(content), 0o644))
	for _, line := range s.left() {
		var pid int
		var program string
		_, err := fmt.Sscan(line, &pid, &program)
		must(s.t, err)
		if strings.HasSuffix(program, server) || strings.Contains(line, "nginx: master") && server == "nginx" {
			must(s.t, syscall.Kill(pid, syscall.SIGHUP))
			return
		}
	}
	s.t.Fatalf("%s is not running", server)
}
