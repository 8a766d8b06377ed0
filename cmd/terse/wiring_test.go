//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/terse/terse/internal/testenv"
)

// purgeSecret is a secret for purges of a CDN that does not exist.
const purgeSecret = "only-for-this-test"

// TestSettingsTakeEffect checks the effect of settings that no other test sets.
func TestSettingsTakeEffect(t *testing.T) {
	t.Parallel()
	const app, form, links = "https://app.example", "application/x-www-form-urlencoded", "/api/v1/links"
	dir, c := dataDir(t), client(t)
	blocked := filepath.Join(t.TempDir(), "hosts") // without blocked hosts, no links are scanned
	writeFile(t, blocked, "blocked.example\n")
	p := start(t, dir, "TERSE_BLOCKLIST_FILE="+blocked, "TERSE_ANONYMOUS_CREATE=false", "TERSE_CORS_ORIGINS="+app, "TERSE_LIMIT_PASSWORD=1/1h",
		"TERSE_LIMIT_REPORT=1/1h", "TERSE_CACHE_SIZE=1", "TERSE_SCAN_INTERVAL=1s")
	token := strings.TrimPrefix(p.newKey("admin,links:read,links:write", "TERSE_DATA_DIR="+dir)[1], "TERSE_API_KEY=")

	status, header := ask(t, c, http.MethodPost, p.url+links, "application/json", `{"url":"https://example.com/"}`, "Origin", app)
	if status != http.StatusUnauthorized {
		t.Errorf("create without a key = %d, want 401: TERSE_ANONYMOUS_CREATE is false", status)
	}
	if got := header.Get("Access-Control-Allow-Origin"); got != app {
		t.Errorf("Access-Control-Allow-Origin = %q, want %q of TERSE_CORS_ORIGINS", got, app)
	}

	p.persist(c, token, links, `{"url":"https://example.com/","alias":"secret","password":"open sesame"}`, http.StatusCreated)
	for i, want := range []int{http.StatusForbidden, http.StatusTooManyRequests} {
		if got, _ := ask(t, c, http.MethodPost, p.url+"/secret", form, "password=wrong"); got != want {
			t.Errorf("guess %d = %d, want %d by TERSE_LIMIT_PASSWORD", i+1, got, want)
		}
	}
	report := url.Values{"reason": {"spam"}}.Encode()
	for i, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		if got, _ := ask(t, c, http.MethodPost, p.url+"/secret+", form, report); got != want {
			t.Errorf("report %d = %d, want %d by TERSE_LIMIT_REPORT", i+1, got, want)
		}
	}
	testenv.Await(t, "the report to be counted", func() bool { return p.metric("terse_reports_open") == 1 })

	const perBatch = 100 // of 8 kB each
	batch := make([]map[string]string, perBatch)
	for i := range batch {
		batch[i] = map[string]string{"url": "https://example.com/?" + strings.Repeat("x", 8000)}
	}
	body, err := json.Marshal(map[string]any{"links": batch})
	must(t, err)
	for range 3 {
		p.persist(c, token, links+"/batch", string(body), http.StatusOK)
	}
	if got := p.metric("terse_cache_bytes"); got > 1<<20 || got < 1<<19 {
		t.Errorf("%v bytes of links are in memory, want 0.5 to 1 MiB with TERSE_CACHE_SIZE=1", got)
	}
	if got := p.metric("process_resident_memory_bytes"); got == 0 {
		t.Error("process_resident_memory_bytes = 0")
	}

	response, err := c.Get(p.url + "/api/openapi.json")
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	var document struct{ Info struct{ Version string } }
	must(t, json.NewDecoder(response.Body).Decode(&document))
	if document.Info.Version != version {
		t.Errorf("the version in the OpenAPI document = %q, want %q", document.Info.Version, version)
	}
	testenv.Await(t, "every link to be scanned again and again", func() bool {
		return p.metric("terse_scan_links_total") > 3*(3*perBatch+1)
	})
}

// persist posts JSON with a key. It repeats the request while a busy machine makes the server
// answer 503.
func (p *node) persist(c *http.Client, token, path, body string, want int) {
	p.t.Helper()
	var status int
	testenv.Await(p.t, "POST "+path, func() bool {
		status, _ = ask(p.t, c, http.MethodPost, p.url+path, "application/json", body, "Authorization", "Bearer "+token)
		return status != http.StatusServiceUnavailable
	})
	if status != want {
		p.t.Fatalf("POST %s = %d, want %d", path, status, want)
	}
}

// TestServeLeavesNothingRunning checks that the server leaves no goroutine and no connection, and that the log follows its settings.
func TestServeLeavesNothingRunning(t *testing.T) { //nolint:paralleltest // it compares the goroutines of this process
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	inRedis := redis.NewClient(&redis.Options{Addr: shared.Addr()})
	t.Cleanup(func() { must(t, inRedis.Close()) })
	must(t, inRedis.Ping(t.Context()).Err())
	before := goleak.IgnoreCurrent()
	log := logOfRun(t, "TERSE_REDIS_URL="+shared.URL(), "TERSE_CDN=varnish", "TERSE_VARNISH_SECRET="+purgeSecret, "TERSE_VARNISH_URLS=http://127.0.0.1:1",
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

	line, _, _ := strings.Cut(logOfRun(t, "TERSE_LOG_FORMAT=json"), "\n")
	var record struct{ Level, Msg string }
	if err := json.Unmarshal([]byte(line), &record); err != nil || record.Level != "INFO" || record.Msg == "" {
		t.Errorf("log has %q, %v, want JSON with TERSE_LOG_FORMAT=json", line, err)
	}
	goleak.VerifyNone(t, before)
}

// logOfRun runs the server until it is ready, and returns its log.
func logOfRun(t *testing.T, environ ...string) string {
	t.Helper()
	p := start(t, dataDir(t), environ...)
	if status := p.stop(); status != 0 {
		t.Errorf("terse serve ended with %d: %s", status, p.log)
	}
	return p.log.String()
}

// TestColdRedirectsAreAdmitted checks that overload protection decides once on a redirect that
// is not in memory.
func TestColdRedirectsAreAdmitted(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	c := client(t)
	const visits = 3
	for i := range visits {
		ask(t, c, http.MethodGet, p.url+"/"+fmt.Sprintf("unknown-%d", i), "", "")
	}
	if got := p.metric("terse_overload_requests_total", `class="redirect"`, `result="admitted"`); got != visits {
		t.Errorf("%v redirects were admitted, want %d", got, visits)
	}
}

// TestFastly checks that a node behind Fastly sends Surrogate-Control.
func TestFastly(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "TERSE_CDN=fastly", "TERSE_FASTLY_SERVICE_ID=service", "TERSE_FASTLY_TOKEN=q3Z9vT7xKp2LmN8r")
	c := client(t)
	code, err := shorten(c, p.url, "https://example.com/")
	must(t, err)
	response, err := c.Get(p.url + "/" + code)
	must(t, err)
	must(t, response.Body.Close())
	if got := response.Header.Get("Surrogate-Control"); !strings.HasPrefix(got, "max-age=60") {
		t.Errorf("Surrogate-Control = %q, want max-age=60 and more", got)
	}
}
