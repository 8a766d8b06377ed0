//go:build unix

package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/deploy"
	"github.com/terse/terse/internal/testenv"
)

const (
	browser = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	robot   = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
)

// TestKilledImportOfLogs kills an import into two shards many times. In the end each line has
// counted once.
func TestKilledImportOfLogs(t *testing.T) {
	t.Parallel()
	const lines = 60_000
	f := newFleet(t, 2, testenv.ClusterOptions{})
	node, a := f.serve(), newAuditor(f, f.newKey(0))
	var codes []string
	for i := range 20 {
		codes = append(codes, a.create(node, f.aliasOn(i%2, fmt.Sprint("logged", i))))
	}
	var log bytes.Buffer
	want := map[string]int64{}
	for i := range lines {
		code := codes[rand.IntN(len(codes))]
		want[code]++
		fmt.Fprintf(&log, `{"time":"%d","id":"%d","host":"127.0.0.1","method":"GET","uri":"/%s?id=%d","status":"302","cache":"hit","address":"203.0.113.%d","user_agent":%q}`+"\n",
			time.Now().UnixMilli(), i, code, i, i%250, browser)
	}
	path := filepath.Join(t.TempDir(), "clicks.log")
	half := bytes.IndexByte(log.Bytes()[log.Len()/2:], '\n') + log.Len()/2 + 1
	writeFile(t, path, log.String()[:half])
	environ := append(f.environ, "TERSE_BASE_URL=http://localhost")
	args := []string{"clicks", "import", "--format", "varnish", path}
	killed := 0
	for killed < 8 {
		cmd := command(t, environ, args...)
		must(t, cmd.Start())
		done := make(chan struct{})
		go func() {
			_ = cmd.Wait() // fails when it was killed
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(time.Duration(rand.IntN(3000)) * time.Millisecond):
			must(t, cmd.Process.Signal(syscall.SIGKILL))
			<-done
		}
		if killed++; killed == 4 {
			writeFile(t, path, log.String())
		}
	}
	for range 2 {
		terse(t, environ, args...).want(t, "clicks import", 0, fmt.Sprint(lines, " lines, "))
	}
	got := map[string]int64{}
	for shard := range f.shards {
		for _, row := range query(f, shard, pgx.RowTo[string], "select code || ' ' || total from click_totals") {
			var code string
			var total int64
			if _, err := fmt.Sscan(row, &code, &total); err != nil {
				t.Fatal(err)
			}
			got[code] += total
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("clicks = %v, want %v", got, want)
	}
}

// importLog runs an import of the database of the edge's node, and returns its output.
func (e *edge) importLog(format, log string, more ...string) string {
	e.t.Helper()
	cmd := e.node.Command(e.t.Context(), append([]string{"clicks", "import", "--base-url", "http://localhost", "--format", format, "-"}, more...)...)
	cmd.Stdin = strings.NewReader(log)
	got := runCommand(e.t, cmd)
	if got.status != 0 {
		e.t.Errorf("clicks import = %+v, want status 0", got)
	}
	return got.stdout
}

// wantClicks stops the node and checks the clicks of people on a link.
func (e *edge) wantClicks(code string, want int64) {
	e.t.Helper()
	must(e.t, e.node.Stop())
	if got := e.node.clicksOf(code); got != want {
		e.t.Errorf("%s has %d clicks, want %d", code, got, want)
	}
}

// visitAll sends visits of a link to a cache. The node answers the first one. The cache answers five
// more of people and three of robots. Then come a visit of another host and an unknown code.
func (e *edge) visitAll(base, code string) {
	e.t.Helper()
	for i := range 5 {
		if status, _, _ := e.send(http.MethodGet, fmt.Sprint(base, "/", code), "", "User-Agent", browser, "Accept-Language", "de", "Referer", "https://t.co/"); status != http.StatusFound {
			e.t.Fatalf("visit %d of %s = %d, want 302", i, code, status)
		}
	}
	e.send(http.MethodGet, base+"/"+code, "", "User-Agent", robot)
	e.send(http.MethodHead, base+"/"+code, "", "User-Agent", browser)
	e.send(http.MethodGet, base+"/"+code, "", "User-Agent", browser, "Sec-Purpose", "prefetch")
	e.send(http.MethodGet, base+"/unknown-code", "", "User-Agent", browser)
	e.raw(base, "GET /"+code+" HTTP/1.1\r\nHost: other.example\r\nUser-Agent: "+browser+"\r\nConnection: close\r\n\r\n")
	e.raw(base, "GET /"+code+" HTTP/1.1\r\nHost: "+strings.TrimPrefix(base, "http://")+"\r\nUser-Agent: "+browser+" \xff\"\\\r\nReferer: \"}{\\\xe9\r\nConnection: close\r\n\r\n")
}

// raw sends the bytes of a request and reads the answer.
func (e *edge) raw(base, request string) {
	e.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	must(e.t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, request)
	must(e.t, err)
	_, err = io.Copy(io.Discard, conn)
	must(e.t, err)
}

// TestLogOfVarnish imports the log that varnishncsa writes with the shipped format.
func TestLogOfVarnish(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.call(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/","alias":"logged"}`, http.StatusCreated)
	log := e.logVarnish()
	e.visitAll(e.varnish, "logged")
	got := e.importLog("varnish", log())
	for _, text := range []string{"5 clicks of people and 3 of robots", "1 skipped: other host", "1 skipped: answered and counted by the origin"} {
		if !strings.Contains(got, text) {
			t.Errorf("the summary is %q, want %q in it", got, text)
		}
	}
	e.wantClicks("logged", 5+2) // Varnish caches each host apart, so the node has answered two visits
}

// TestClicksFromLogs checks that a node leaves the visits through Varnish to the log, and counts the
// others.
func TestClicksFromLogs(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil, "TERSE_CLICKS_FROM=logs")
	e.call(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/","alias":"logged"}`, http.StatusCreated)
	log := e.logVarnish()
	e.visitAll(e.varnish, "logged")
	e.send(http.MethodGet, e.node.url+"/logged", "", "User-Agent", browser)
	got := e.importLog("varnish", log())
	if text := "6 clicks of people and 3 of robots"; !strings.Contains(got, text) {
		t.Errorf("the summary is %q, want %q in it", got, text)
	}
	e.wantClicks("logged", 6+1)
}

// logVarnish starts to log. The result ends the log and returns it.
func (e *edge) logVarnish() func() string {
	e.t.Helper()
	path := filepath.Join(e.t.TempDir(), "clicks.log")
	cmd, err := e.cache.Command(e.t.Context(), "varnishncsa", "-j", "-f", "../deploy/varnish/clicks.format", "-a", "-w", path)
	must(e.t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	must(e.t, cmd.Start())
	has := func(text string) func() bool {
		return func() bool {
			content, err := os.ReadFile(path)
			return err == nil && strings.Contains(string(content), text)
		}
	}
	testenv.Await(e.t, "varnishncsa to write", func() bool {
		e.send(http.MethodGet, e.varnish+"/?first", "")
		return has("first")()
	})
	return func() string {
		e.t.Helper()
		e.send(http.MethodGet, e.varnish+"/?last", "")
		testenv.Await(e.t, "varnishncsa to write the last line", has("last"))
		must(e.t, stop(cmd))
		content, err := os.ReadFile(path)
		must(e.t, err)
		return string(content)
	}
}

// stop ends a process.
func stop(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = cmd.Wait() // reports the signal
	return nil
}

// TestLogOfNginx imports the log that an nginx with a cache writes with the shipped configuration.
func TestLogOfNginx(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.call(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/","alias":"logged"}`, http.StatusCreated)
	format, err := deploy.Edited("nginx/clicks.conf", nil)
	must(t, err)
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777)) // nginx runs as another user
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	nginx, err := testenv.StartNginx(t.Context(), testenv.NginxOptions{Config: fmt.Sprintf(`%s
proxy_cache_path %s keys_zone=links:1m;
server {
    listen LISTEN;
    access_log %s clicks;
    access_log %s combined;
    location = /moved { return 301 https://localhost/moved; }
    location / {
        proxy_pass %s;
        proxy_set_header Host $host;
        proxy_cache links;
        proxy_cache_valid 302 1m;
        proxy_ignore_headers Cache-Control;
    }
}`, format, filepath.Join(dir, "cache"), filepath.Join(dir, "clicks.log"), filepath.Join(dir, "combined.log"), e.node.url)})
	must(t, err)
	defer func() { must(t, nginx.Close()) }()
	e.visitAll(nginx.URL(), "logged")
	e.send(http.MethodGet, nginx.URL()+"/moved", "", "User-Agent", browser)
	read := func(name string) (log string) {
		testenv.Await(t, name, func() bool {
			content, err := os.ReadFile(filepath.Join(dir, name))
			must(t, err)
			log = string(content)
			return strings.Contains(log, "/moved")
		})
		return log
	}
	got := e.importLog("nginx", read("clicks.log"))
	for _, text := range []string{"5 clicks of people and 3 of robots", "1 skipped: other host", "1 skipped: answered and counted by the origin", "1 skipped: redirected by a rule of the proxy"} {
		if !strings.Contains(got, text) {
			t.Errorf("the summary is %q, want %q in it", got, text)
		}
	}
	// This format has neither hosts nor the headers of a prefetch, and does not say who has answered.
	got = e.importLog("combined", read("combined.log"), "--all")
	if text := "8 clicks of people and 2 of robots"; !strings.Contains(got, text) {
		t.Errorf("the summary is %q, want %q in it", got, text)
	}
	e.wantClicks("logged", 5+1+8)
}
