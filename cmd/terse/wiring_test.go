//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// ask sends a request with a form or JSON, and returns the status and headers.
func ask(t *testing.T, c *http.Client, method, url, contentType, body string, header ...string) (int, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	r.Header.Set("Content-Type", contentType)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := c.Do(r)
	must(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	must(t, err)
	must(t, response.Body.Close())
	return response.StatusCode, response.Header
}

// TestSettingsTakeEffect checks the effect of settings that no other test sets.
func TestSettingsTakeEffect(t *testing.T) {
	t.Parallel()
	const app, form = "https://app.example", "application/x-www-form-urlencoded"
	e := &edge{t: t, dir: filepath.Join(t.TempDir(), "data"), client: client()}
	t.Cleanup(e.client.CloseIdleConnections)
	blocked := filepath.Join(t.TempDir(), "hosts") // without blocked hosts, no links are scanned
	must(t, os.WriteFile(blocked, []byte("blocked.example\n"), 0o600))
	e.node = start(t, e.dir, "TERSE_BLOCKLIST_FILE="+blocked, "TERSE_ANONYMOUS_CREATE=false", "TERSE_CORS_ORIGINS="+app, "TERSE_LIMIT_PASSWORD=1/1h",
		"TERSE_LIMIT_REPORT=1/1h", "TERSE_CACHE_SIZE=1", "TERSE_SCAN_INTERVAL=1s")
	e.token = e.key()

	status, header := ask(t, e.client, http.MethodPost, e.node.url+"/api/v1/links", "application/json", `{"url":"https://example.com/"}`, "Origin", app)
	if status != http.StatusUnauthorized {
		t.Errorf("create without a key = %d, want 401: TERSE_ANONYMOUS_CREATE is false", status)
	}
	if got := header.Get("Access-Control-Allow-Origin"); got != app {
		t.Errorf("Access-Control-Allow-Origin = %q, want %q of TERSE_CORS_ORIGINS", got, app)
	}

	e.create("secret", "https://example.com/", `,"password":"open sesame"`)
	for i, want := range []int{http.StatusForbidden, http.StatusTooManyRequests} {
		if got, _ := ask(t, e.client, http.MethodPost, e.node.url+"/secret", form, "password=wrong"); got != want {
			t.Errorf("guess %d = %d, want %d by TERSE_LIMIT_PASSWORD", i+1, got, want)
		}
	}
	report := url.Values{"reason": {"spam"}}.Encode()
	for i, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		if got, _ := ask(t, e.client, http.MethodPost, e.node.url+"/secret+", form, report); got != want {
			t.Errorf("report %d = %d, want %d by TERSE_LIMIT_REPORT", i+1, got, want)
		}
	}
	testenv.Await(t, "the report to be counted", func() bool { return e.node.metric("terse_reports_open") == 1 })

	const links = 100 // of 8 kB each
	batch := make([]map[string]string, links)
	for i := range batch {
		batch[i] = map[string]string{"url": "https://example.com/?" + strings.Repeat("x", 8000)}
	}
	body, err := json.Marshal(map[string]any{"links": batch})
	must(t, err)
	for range 3 {
		e.call(http.MethodPost, "/api/v1/links/batch", string(body), http.StatusOK)
	}
	if got := e.node.metric("terse_cache_bytes"); got > 1<<20 || got < 1<<19 {
		t.Errorf("%v bytes of links are in memory, want 0.5 to 1 MiB with TERSE_CACHE_SIZE=1", got)
	}
	if got := e.node.metric("process_resident_memory_bytes"); got == 0 {
		t.Error("process_resident_memory_bytes = 0")
	}

	var document struct{ Info struct{ Version string } }
	must(t, json.Unmarshal([]byte(e.call(http.MethodGet, "/api/openapi.json", "", http.StatusOK)), &document))
	if document.Info.Version != version {
		t.Errorf("the version in the OpenAPI document = %q, want %q", document.Info.Version, version)
	}
	testenv.Await(t, "every link to be scanned again and again", func() bool {
		return e.node.metric("terse_scan_links_total") > 3*(3*links+1)
	})
}

// TestServeLeavesNothingRunning runs the server in this process. It checks that the server
// leaves no goroutine and no connection, and that the log follows its settings.
func TestServeLeavesNothingRunning(t *testing.T) { //nolint:paralleltest // it compares the goroutines of this process
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	inRedis := connect(t, redis)
	must(t, inRedis.Ping(t.Context()).Err())
	before := goleak.IgnoreCurrent()
	log := serveHere(t, "TERSE_REDIS_URL="+redis.URL(), "TERSE_CDN=varnish", "TERSE_VARNISH_SECRET="+purgeSecret, "TERSE_VARNISH_URLS=http://127.0.0.1:1",
		"TERSE_WEBRISK_KEY=9f86d081884c", "TERSE_WEBRISK_URL=http://127.0.0.1:1", "TERSE_OTLP_ENDPOINT=http://127.0.0.1:1",
		"TERSE_LOG_LEVEL=warn")
	if strings.Contains(log, "level=INFO") {
		t.Errorf("log has lines below TERSE_LOG_LEVEL: %s", log)
	}
	testenv.Await(t, "the connections to Redis to be closed", func() bool {
		clients, err := inRedis.ClientList(t.Context()).Result()
		must(t, err)
		return strings.Count(clients, "id=") == 1 // the test's own connection
	})
	goleak.VerifyNone(t, before)

	line, _, _ := strings.Cut(serveHere(t, "TERSE_LOG_FORMAT=json"), "\n")
	var record struct{ Level, Msg string }
	if err := json.Unmarshal([]byte(line), &record); err != nil || record.Level != "INFO" || record.Msg == "" {
		t.Errorf("log has %q, %v, want JSON with TERSE_LOG_FORMAT=json", line, err)
	}
	goleak.VerifyNone(t, before)
}

// serveHere runs the server in this process until it is ready, and returns its log.
func serveHere(t *testing.T, environ ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stdout, said := io.Pipe()
	var log logBuffer
	exit := make(chan int, 1)
	go func() {
		exit <- run(ctx, []string{"serve"}, append([]string{
			"TERSE_DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "TERSE_LISTEN=127.0.0.1:0", "TERSE_ADMIN_LISTEN=127.0.0.1:0",
		}, environ...), strings.NewReader(""), said, &log)
		_ = said.Close()
	}()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("terse serve printed %q, %v: %s", line, err, &log)
	}
	stop()
	select {
	case status := <-exit:
		if status != 0 {
			t.Errorf("terse serve ended with %d: %s", status, &log)
		}
	case <-time.After(time.Minute):
		t.Fatal("terse serve does not end")
	}
	return log.String()
}

// TestClicksAreRecordedByShard checks that a click goes to the recorder of its link's
// shard: an unreachable shard must not delay the clicks of the others.
func TestClicksAreRecordedByShard(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, testenv.ClusterOptions{})
	node, a := f.serve(), newAuditor(f, f.newKey(0))
	for shard := range f.shards {
		code := a.create(node, f.aliasOn(shard, store.NewKeyID()))
		for range shard + 1 {
			a.visit("visit", node, code)
		}
	}
	for shard := range f.shards {
		name := fmt.Sprintf("s%d", shard+1)
		if got := node.metric("terse_clicks_recorded_total", `shard="`+name+`"`); got != float64(shard+1) {
			t.Errorf("%v clicks were recorded for %s, want %d", got, name, shard+1)
		}
	}
}
