package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/terse/terse/store/sqlite"
)

// The Redis client retries an unreachable server every second, also once after it was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// result is the exit status and the output of a command.
type result struct {
	status         int
	stdout, stderr string
}

// terse runs a command line in this process.
func terse(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	return terseReading(t, "", environ, args...)
}

// terseReading runs a command line with the given standard input.
func terseReading(t *testing.T, stdin string, environ []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // ends a server that should have failed
	defer cancel()
	status := run(ctx, args, environ, strings.NewReader(stdin), &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"terse serve", "JSON file", "TERSE_CODE_KEY_FILE"}},
		{[]string{"--help"}, []string{"serve", "migrate", "key", "version"}},
		{[]string{"serve", "--help"}, []string{"$TERSE_BASE_URL", "$TERSE_LIMIT_UNKNOWN", "40/20s"}},
		{[]string{"key", "create", "--help"}, []string{"links:write", "30d"}},
	} {
		got := terse(t, nil, tt.args...)
		if got.status != 0 || got.stderr != "" {
			t.Errorf("terse %v = %d %q, want 0", tt.args, got.status, got.stderr)
		}
		for _, w := range tt.want {
			if !strings.Contains(got.stdout, w) {
				t.Errorf("terse %v lacks %q: %s", tt.args, w, got.stdout)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if got := terse(t, nil, "version"); got.status != 0 || got.stdout != "terse dev\n" {
		t.Errorf("terse version = %+v, want terse dev", got)
	}
}

func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"nonsense"}, {"serve", "--nonsense"}, {"key"}, {"key", "create"}, {"key", "revoke"}, {"migrate", "down"}} {
		if got := terse(t, nil, args...); got.status != 2 || got.stderr == "" {
			t.Errorf("terse %v = %+v, want status 2 and a reason", args, got)
		}
	}
}

// TestSecretsAreNoArguments checks that a secret on the command line is rejected: every user of
// the machine can list the arguments of a process. The error does not repeat the secret.
func TestSecretsAreNoArguments(t *testing.T) {
	t.Parallel()
	const secret = "9f86d081884c7d65"
	for _, args := range [][]string{
		{"serve", "--code-key", secret},
		{"serve", "--code-key=" + secret},
		{"serve", "--shards", "s1 postgres://terse:" + secret + "@localhost/links"},
		{"serve", "--redis-url", "redis://:" + secret + "@localhost"},
		{"serve", "--cdn", "varnish", "--varnish-secret", secret},
		{"serve", "--cdn", "fastly", "--fastly-token", secret},
		{"serve", "--cdn", "cloudflare", "--cloudflare-token", secret},
		{"serve", "--webrisk-key", secret},
		{"migrate", "status", "--shards", "s1 postgres://terse:" + secret + "@localhost/links"},
		{"key", "revoke", "key_a", "--redis-url", "redis://:" + secret + "@localhost"},
		{"shorten", "--api-key", secret, "https://example.com/"},
	} {
		got := terse(t, nil, args...)
		flag := regexp.MustCompile(`--[a-z]+-(key|url|secret|token)|--shards`).FindString(strings.Join(args, " "))
		want := envPrefix + strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(flag, "--"), "-", "_")) + "_FILE"
		if got.status != 2 || !strings.Contains(got.stderr, flag+": ") || !strings.Contains(got.stderr, want) || strings.Contains(got.stderr, secret) {
			t.Errorf("terse %s %s = %+v, want status 2, naming the variable, without the secret", args[0], flag, got)
		}
	}
}

// TestWrongSettingsAreReportedAtOnce checks that one run reports every wrong setting by its
// variable.
func TestWrongSettingsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	wrong := map[string]string{
		"TERSE_LISTEN":                 "8080",
		"TERSE_ADMIN_LISTEN":           "127.0.0.1:99999",
		"TERSE_BASE_URL":               "https://sho.rt:99999",
		"TERSE_SHARDS":                 "s1 https://example.com",
		"TERSE_CODE_KEY":               "c2hvcnQ=",
		"TERSE_NODE_ID":                "512",
		"TERSE_BATCH_SIZE":             "0",
		"TERSE_REPLICA_MAX_AGE":        "0s",
		"TERSE_ANONYMOUS_CREATE":       "maybe",
		"TERSE_TRUSTED_PROXIES":        "10.0.0.0/8,nonsense",
		"TERSE_PROXY_PROTOCOL":         "2",
		"TERSE_CORS_ORIGINS":           "app.example",
		"TERSE_LIMIT_CREATE_ANONYMOUS": "60",
		"TERSE_LIMIT_CREATE_KEY":       "x/1m",
		"TERSE_LIMIT_UNKNOWN":          "1/0s",
		"TERSE_LIMIT_PASSWORD":         "-1/1m",
		"TERSE_LIMIT_REPORT":           "5",
		"TERSE_BLOCKLIST_FILE":         "/no/such/file",
		"TERSE_WEBRISK_RATE":           "1/1m",
		"TERSE_WEBRISK_URL":            "webrisk",
		"TERSE_SCAN_INTERVAL":          "daily",
		"TERSE_CLICKS_VISITORS":        "some",
		"TERSE_CLICKS_EXCLUDE":         "192.0.2.1/24",
		"TERSE_CLICKS_KEEP_DAYS":       "0",
		"TERSE_CLICKS_SPOOL_SIZE":      "0",
		"TERSE_COUNTRY_HEADER":         "a b",
		"TERSE_COUNTRY_FILE":           "/no/such/file",
		"TERSE_DOMAINS_PER_KEY":        "0",
		"TERSE_DOMAINS_NETWORKS":       "10.0.0.1/8",
		"TERSE_DNS_SERVER":             "dns.example",
		"TERSE_REDIS_URL":              "localhost:6379",
		"TERSE_CDN":                    "akamai",
		"TERSE_CACHE_SIZE":             "0",
		"TERSE_DRAIN_DELAY":            "5",
		"TERSE_DRAIN_TIMEOUT":          "15",
		"TERSE_MAX_CONNECTIONS":        "0",
		"TERSE_OTLP_ENDPOINT":          "localhost:4318",
		"TERSE_ACCESS_LOG_SAMPLE":      "NaN",
		"TERSE_LOG_LEVEL":              "loud",
		"TERSE_LOG_FORMAT":             "xml",
	}
	var environ []string
	for name, value := range wrong {
		environ = append(environ, name+"="+value)
	}
	got := terse(t, environ, "serve", "--data-dir", t.TempDir())
	if got.status != 2 || got.stdout != "" {
		t.Errorf("terse serve = %d %q, want 2", got.status, got.stdout)
	}
	for name := range wrong {
		if strings.Count(got.stderr, name+": ") != 1 {
			t.Errorf("stderr does not name %s once: %s", name, got.stderr)
		}
	}
}

func TestWrongSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name    string
		environ []string
		want    []string
	}{
		{"unknown variables", []string{"TERSE_NONSENSE=1", "TERSE_REDIS=x", "OTHER=1"}, []string{"TERSE_NONSENSE: ", "TERSE_REDIS: "}},
		{"varnish", []string{"TERSE_CDN=varnish"}, []string{"TERSE_VARNISH_URLS: is required", "TERSE_VARNISH_SECRET: is required"}},
		{"varnish nowhere", []string{"TERSE_CDN=varnish", "TERSE_VARNISH_URLS=10.0.0.7:80"}, []string{"TERSE_VARNISH_URLS: must be"}},
		{"fastly", []string{"TERSE_CDN=fastly", "TERSE_CDN_RATE=off"}, []string{"TERSE_FASTLY_SERVICE_ID: ", "TERSE_FASTLY_TOKEN: ", "TERSE_CDN_RATE: "}},
		{"cloudflare", []string{"TERSE_CDN=cloudflare", "TERSE_CDN_RATE=x"}, []string{"TERSE_CLOUDFLARE_ZONE_ID: ", "TERSE_CLOUDFLARE_TOKEN: ", "TERSE_CDN_RATE: "}},
		{"settings of another CDN", []string{"TERSE_FASTLY_TOKEN=x"}, []string{"TERSE_FASTLY_TOKEN: is only for TERSE_CDN=fastly"}},
		{"proxy headers without proxies", []string{"TERSE_PROXY_PROTOCOL=true"}, []string{"TERSE_PROXY_PROTOCOL: requires TERSE_TRUSTED_PROXIES"}},
		{"the header of a country without proxies", []string{"TERSE_COUNTRY_HEADER=CF-IPCountry"}, []string{"TERSE_COUNTRY_HEADER: requires TERSE_TRUSTED_PROXIES"}},
		{"origins", []string{"TERSE_CORS_ORIGINS=https://a.example/,https://b.example,*"}, []string{`TERSE_CORS_ORIGINS: "https://a.example/"`, `TERSE_CORS_ORIGINS: "*"`}},
		{"weak secrets", []string{
			"TERSE_CODE_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "TERSE_REDIS_URL=redis://:Change_Me@localhost",
			"TERSE_CDN=varnish", "TERSE_VARNISH_URLS=http://127.0.0.1", "TERSE_VARNISH_SECRET=s3cr3t",
			"TERSE_SHARDS=s1 postgres://terse:secret@s1-a/links",
		}, []string{"TERSE_CODE_KEY: must be random", "TERSE_REDIS_URL: contains a password from an example", "TERSE_VARNISH_SECRET: is too short", "TERSE_SHARDS: shard 1: primary: contains a password from an example"}},
		{"weak tokens", []string{"TERSE_CDN=fastly", "TERSE_FASTLY_SERVICE_ID=x", "TERSE_FASTLY_TOKEN=<your token>"}, []string{"TERSE_FASTLY_TOKEN: contains a password from an example"}},
		{"more weak tokens", []string{"TERSE_CDN=cloudflare", "TERSE_CLOUDFLARE_ZONE_ID=x", "TERSE_CLOUDFLARE_TOKEN=aaaaaaaaaaaaaaaaaaaa"}, []string{"TERSE_CLOUDFLARE_TOKEN: contains a password from an example"}},
		{"a weak secret of a user with a space", []string{"TERSE_REDIS_URL=redis://a b:secret@localhost"}, []string{"TERSE_REDIS_URL: contains a password from an example"}},
		{"a weak secret of a cluster", []string{"TERSE_REDIS_URL=redis-cluster://u:abcabcabc@a:1,b:2"}, []string{"TERSE_REDIS_URL: follows a pattern"}},
		{"a weak secret of sentinels", []string{"TERSE_REDIS_URL=rediss-sentinel://u:abc@a:1,b:2/m"}, []string{"TERSE_REDIS_URL: is too short"}},
		{"a contact without a scheme", []string{"TERSE_SECURITY_CONTACT=security@example.com"}, []string{`TERSE_SECURITY_CONTACT: "security@example.com" must be`}},
		{"hosts of the admin listener", []string{"TERSE_ADMIN_HOSTS=http://a,b:9090,c"}, []string{`TERSE_ADMIN_HOSTS: "http://a" must be`, `TERSE_ADMIN_HOSTS: "b:9090" must be`}},
		{"a weak password of sentinels", []string{"TERSE_REDIS_URL=redis-sentinel://:9f86d081884c7d65@a/m?sentinel_password=secret"}, []string{"TERSE_REDIS_URL: contains a password from an example"}},
		{"a weak secret, encoded", []string{"TERSE_REDIS_URL=redis://u:%73ecret@a"}, []string{"TERSE_REDIS_URL: contains a password from an example"}},
		{"a weak key of Web Risk", []string{"TERSE_WEBRISK_KEY=changeme"}, []string{"TERSE_WEBRISK_KEY: contains a password from an example"}},
		{"a Redis with a secret", []string{"TERSE_REDIS_URL=redis://secret@@host"}, []string{"TERSE_REDIS_URL: "}},
		{"no secret", []string{"TERSE_BASE_URL_FILE=/x"}, []string{"TERSE_BASE_URL_FILE: "}},
		{"missing file", []string{"TERSE_CONFIG=" + dir + "/none"}, []string{"TERSE_CONFIG: "}},
		{"no JSON", []string{"TERSE_CONFIG=" + write("no.json", "nonsense")}, []string{"TERSE_CONFIG: "}},
		{"two objects", []string{"TERSE_CONFIG=" + write("two.json", "{}}")}, []string{"TERSE_CONFIG: "}},
		{"null", []string{"TERSE_CONFIG=" + write("null.json", "null")}, []string{"TERSE_CONFIG: "}},
		{"unknown member", []string{"TERSE_CONFIG=" + write("unknown.json", `{"nonsense":1,"base_url":["x"]}`)}, []string{`"nonsense"`, `"base_url"`}},
		{"secret twice", []string{"TERSE_CODE_KEY=x", "TERSE_CODE_KEY_FILE=" + write("key", "y")}, []string{"TERSE_CODE_KEY_FILE"}},
		{"secret empty", []string{"TERSE_CODE_KEY_FILE=" + write("empty", "\n")}, []string{"TERSE_CODE_KEY_FILE: "}},
		{"all at once", []string{"TERSE_NONSENSE=1", "TERSE_CDN=x", "TERSE_CONFIG=" + dir + "/none"}, []string{"TERSE_NONSENSE", "TERSE_CDN", "TERSE_CONFIG"}},
		{"large number", []string{"TERSE_CONFIG=" + write("large.json", `{"cache_size":2000000}`)}, []string{`"2000000" must be`}},
		{"a long delay", []string{"TERSE_DRAIN_DELAY=6s", "TERSE_DRAIN_TIMEOUT=10s"}, []string{"TERSE_DRAIN_DELAY: 6s must be at most half of TERSE_DRAIN_TIMEOUT"}},
		{"no time to stop", []string{"TERSE_DRAIN_TIMEOUT=0s"}, []string{"TERSE_DRAIN_TIMEOUT: "}},
		{"secret missing", []string{"TERSE_CODE_KEY_FILE=" + dir + "/none"}, []string{"TERSE_CODE_KEY_FILE: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := terse(t, tt.environ, "serve", "--data-dir", dataDir(t))
			if got.status != 2 {
				t.Errorf("terse serve = %d, want 2", got.status)
			}
			for _, w := range tt.want {
				if !strings.Contains(got.stderr, w) {
					t.Errorf("stderr lacks %q: %s", w, got.stderr)
				}
			}
			if strings.Contains(got.stderr, "OTHER") {
				t.Errorf("stderr names a variable of others: %s", got.stderr)
			}
		})
	}
}

// TestPrecedence checks the order of the sources: flag, environment, file, default.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "terse.json")
	if err := os.WriteFile(path, []byte(`{"log_level":"file","log_format":"file","cdn":"file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	got := terse(t, []string{"TERSE_CONFIG=" + path, "TERSE_LOG_LEVEL=env", "TERSE_LOG_FORMAT=env"}, "serve", "--log-level", "flag")
	for _, want := range []string{`TERSE_LOG_LEVEL: "flag"`, `TERSE_LOG_FORMAT: "env"`, `TERSE_CDN: "file"`} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr lacks %q: %s", want, got.stderr)
		}
	}
}

// TestConfigurationNamesEverySetting compares docs/configuration.md with the code.
func TestConfigurationNamesEverySetting(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`TERSE_.*?) \\|").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, regexp.MustCompile(`TERSE_[A-Z_]+`).FindAllString(row[1], -1)...)
	}
	help := terse(t, nil, "serve", "--help").stdout + terse(t, nil, "expand", "--help").stdout
	known := regexp.MustCompile(`\$(TERSE_[A-Z_]+)`).FindAllStringSubmatch(help, -1)
	var want []string
	for _, m := range known {
		if !slices.Contains(want, m[1]) {
			want = append(want, m[1])
		}
	}
	for _, secret := range []string{"CODE_KEY", "SHARDS", "API_KEY", "REDIS_URL", "VARNISH_SECRET", "FASTLY_TOKEN", "CLOUDFLARE_TOKEN", "WEBRISK_KEY", "ACME_EAB_KEY", "OIDC"} {
		want = append(want, envPrefix+secret+"_FILE")
	}
	slices.Sort(documented)
	slices.Sort(want)
	if !slices.Equal(documented, want) {
		t.Errorf("docs/configuration.md has\n%v, the command has\n%v", documented, want)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	environ := []string{"TERSE_DATA_DIR=" + dataDir(t)}
	if got := terse(t, environ, "key", "list"); got.status != 1 {
		t.Errorf("key list without a database = %+v, want status 1", got)
	}
	created := terse(t, environ, "key", "create", "--name", "laptop", "--scope", "links:read,admin", "--limit", "600/60s", "--workspace", "marketing", "--expires", "720h", "--init")
	if created.status != 0 || !regexp.MustCompile(`^tk_[0-9a-f]{64}\n$`).MatchString(created.stdout) {
		t.Fatalf("key create = %+v, want a token alone on stdout", created)
	}
	id := regexp.MustCompile(`key_[0-9a-z]+`).FindString(created.stderr)
	listed := terse(t, environ, "key", "list")
	for _, want := range []string{id, "laptop", created.stdout[:len("tk_01234567")] + "… ", "marketing", "links:read,admin", "600/1m", "never"} {
		if listed.status != 0 || !strings.Contains(listed.stdout, want) {
			t.Errorf("key list = %+v, want %q in it", listed, want)
		}
	}
	if strings.Contains(listed.stdout, strings.TrimSpace(created.stdout)) {
		t.Errorf("key list contains a token: %s", listed.stdout)
	}
	if got := terse(t, environ, "key", "revoke", id); got.status != 0 || !strings.Contains(got.stdout, id) {
		t.Errorf("key revoke = %+v", got)
	}
	if got := terse(t, environ, "key", "revoke", "key_none"); got.status != 1 || !strings.Contains(got.stderr, "key_none") {
		t.Errorf("key revoke of an unknown key = %+v, want status 1", got)
	}
	if got := terse(t, append(environ, "TERSE_REDIS_URL=nonsense"), "key", "revoke", id); got.status != 2 || !strings.Contains(got.stderr, "TERSE_REDIS_URL: ") {
		t.Errorf("key revoke with a wrong Redis = %+v, want status 2 naming it", got)
	}
	if got := terse(t, append(environ, "TERSE_REDIS_URL=redis://127.0.0.1:1"), "key", "revoke", id); got.status != 0 || !strings.Contains(got.stderr, "10s") {
		t.Errorf("key revoke with an unreachable Redis = %+v, want a warning that it takes 10s", got)
	}
	got := terse(t, environ, "key", "create", "--name", "a\x00b", "--workspace", "anonymous", "--scope", "everything", "--limit", "6", "--expires", "2001-01-01")
	for _, w := range []string{"--name", "--workspace", "--scope", "--limit", "--expires"} {
		if got.status != 2 || !strings.Contains(got.stderr, w) {
			t.Errorf("wrong key create = %+v, want status 2 naming %s", got, w)
		}
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	environ := []string{"TERSE_DATA_DIR=" + dataDir(t)}
	latest := sqlite.NewMigrator("").Latest()
	for _, tt := range []struct {
		args string
		want string
	}{
		{"status", "schema: none yet"},
		{"up --init", fmt.Sprintf("schema: version %d", latest)},
		{"up", fmt.Sprintf("schema: version %d", latest)},
		{"down --yes", fmt.Sprintf("schema: version %d", latest-1)},
		{"status", fmt.Sprintf("schema: version %d", latest-1)},
		{"up", fmt.Sprintf("schema: version %d", latest)},
	} {
		got := terse(t, environ, append([]string{"migrate"}, strings.Fields(tt.args)...)...)
		if want := fmt.Sprintf("%s, latest is %d\n", tt.want, latest); got.status != 0 || got.stdout != want {
			t.Errorf("migrate %s = %+v, want %q", tt.args, got, want)
		}
	}
	if got := terse(t, environ, "migrate", "down"); got.status != 2 {
		t.Errorf("migrate down without --yes = %+v, want status 2", got)
	}
}
