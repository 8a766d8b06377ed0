package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/postgres/schema"
	"github.com/terse/terse/store/sqlite"
)

// logLine returns a line of the nginx format.
func logLine(host, path, cache string, id int) string {
	const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	return fmt.Sprintf(`{"time":"%d.250","id":"%d","host":%q,"method":"GET","uri":%q,"status":"302","cache":%q,"upstream":"302","address":"203.0.113.9","user_agent":%q}`+"\n",
		time.Now().Unix(), id, host, path, cache, agent)
}

func wantTexts(t *testing.T, got result, status int, texts ...string) {
	t.Helper()
	if got.status != status {
		t.Errorf("status = %d, want %d: %s%s", got.status, status, got.stdout, got.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(got.stdout+got.stderr, text) {
			t.Errorf("the output is %q, want %q in it", got.stdout+got.stderr, text)
		}
	}
}

// TestClicksImport imports logs into the embedded database.
func TestClicksImport(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	d, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Serve: true, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { _ = d.Close() }()
	const domain = "jT0xYqRm4"
	at := time.Now().UTC().Truncate(time.Microsecond)
	for _, code := range []string{"spring", "summer", domain + "/spring"} {
		_, err := d.Create(t.Context(), store.Link{Code: code, URL: "https://example.com/", Status: 302, CreatedAt: at, UpdatedAt: at})
		must(t, err)
	}
	registry := domains.NewRegistry(d, time.Now)
	_, err = registry.Add(t.Context(), store.Domain{ID: domain, Host: "go.example", State: store.DomainActive}, "*.go.example")
	must(t, err)
	_, err = registry.Add(t.Context(), store.Domain{ID: "k7Qx9mB2a", Host: "pending.example", State: store.DomainPending})
	must(t, err)
	log := logLine("sho.rt", "/spring", "HIT", 1) + logLine("sho.rt", "/spring", "MISS", 2) + logLine("SHO.RT.", "/summer?x", "STALE", 3) +
		logLine("other.example", "/spring", "HIT", 4) + logLine("", "/spring", "HIT", 5) + "no log\n"
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write([]byte(log))
	must(t, err)
	must(t, w.Close())
	path, zipped := filepath.Join(t.TempDir(), "clicks.log"), filepath.Join(t.TempDir(), "clicks.log.gz")
	must(t, os.WriteFile(path, []byte(log), 0o600))
	must(t, os.WriteFile(zipped, packed.Bytes(), 0o600))

	environ := []string{"TERSE_DATA_DIR=" + dir, "TERSE_BASE_URL=https://sho.rt"}
	args := []string{"clicks", "import", "--format", "nginx"}
	wantTexts(t, terse(t, environ[:1], append(args, path)...), 2, "TERSE_BASE_URL: is required")
	wantTexts(t, terse(t, environ, "clicks", "import", "--format", "apache", path), 2, `--format: "apache" must be one of combined, nginx,`)
	wantTexts(t, terse(t, environ, append(args, path+".old")...), 1, "no such file")
	wantTexts(t, terse(t, environ, "clicks", "import", "--format", "combined", path), 1, "no line is in the format combined. Line 1: ")
	wantTexts(t, terse(t, []string{environ[1], "TERSE_DATA_DIR=" + t.TempDir()}, append(args, path)...), 1, "there is no database")
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	_, err = lock.TryLock()
	must(t, err)
	wantTexts(t, terse(t, environ, append(args, path)...), 1, "another import reads this file")
	must(t, lock.Close())

	wantTexts(t, terse(t, environ, append(args, path, zipped)...), 0, path+": 6 lines, 3 clicks of people and 0 of robots added\n",
		"1 skipped: not in this format", "1 skipped: answered and counted by the origin", "1 skipped: other host",
		zipped+": 6 lines, 0 clicks of people", "3 skipped: repeated in this import", "line 6: the line is not in this format")
	wantTexts(t, terseReading(t, log+logLine("sho.rt", "/spring", "HIT", 6), environ, append(args, "-")...), 0, "-: 7 lines, 1 clicks of people", "3 skipped: counted by an earlier import")
	wantTexts(t, terseReading(t, logLine("sho.rt", "/spring", "MISS", 7), environ, append(args, "--all", "-")...), 0, "-: 1 lines, 1 clicks of people")
	onDomains := logLine("go.example:443", "/spring", "HIT", 8) + logLine("A.go.example", "/spring", "HIT", 9) + logLine("pending.example", "/spring", "HIT", 10) + logLine("localhost", "/spring", "HIT", 11)
	wantTexts(t, terseReading(t, onDomains, environ, append(args, "-")...), 0, "2 clicks of people", "2 skipped: other host")
	office := append(slices.Clone(environ), "TERSE_CLICKS_EXCLUDE=203.0.113.0/24")
	wantTexts(t, terseReading(t, logLine("sho.rt", "/spring", "HIT", 13), office, append(args, "-")...), 0, "0 clicks of people", "1 skipped: from an excluded network")
	fromLogs := append(slices.Clone(environ), "TERSE_CLICKS_FROM=logs")
	wantTexts(t, terseReading(t, logLine("sho.rt", "/spring", "MISS", 12), fromLogs, append(args, "-")...), 0, "1 clicks of people")
	wantTexts(t, terse(t, append(slices.Clone(environ), "TERSE_CLICKS_FROM=cdn"), append(args, "-")...), 2, `TERSE_CLICKS_FROM: "cdn" must be origin or logs`)
	for code, want := range map[string]int64{"spring": 5, "summer": 1, domain + "/spring": 2} {
		if l, err := d.Get(t.Context(), code); err != nil || l.Clicks != want {
			t.Errorf("%s has %d clicks, %v, want %d", code, l.Clicks, err, want)
		}
	}
}

// TestClicksImportOverShards imports a log into two shards.
func TestClicksImportOverShards(t *testing.T) {
	t.Parallel()
	shards, setting := testenv.NewShards(t, 2, testenv.ClusterOptions{})
	environ := []string{"TERSE_SHARDS=" + setting, "TERSE_BASE_URL=https://sho.rt"}
	wantTexts(t, terse(t, environ, "migrate", "up"), 0)
	log, codes := "", []string{}
	at := time.Now().UTC().Truncate(time.Microsecond)
	for i, c := range shards {
		s, err := postgres.Open(t.Context(), postgres.Options{
			Name: fmt.Sprint("s", i+1), Primary: c.DSN(testenv.ShardDatabase), SchemaVersion: schema.Latest(), Logger: slog.New(slog.DiscardHandler),
		})
		must(t, err)
		defer func() { _ = s.Close() }()
		for n := 0; len(codes) < 3*(i+1); n++ {
			code := fmt.Sprintf("code-%d", n)
			_, err := s.Create(t.Context(), store.Link{Code: code, URL: "https://example.com/", Status: 302, CreatedAt: at, UpdatedAt: at})
			if err == nil {
				codes = append(codes, code)
			}
		}
	}
	for i, code := range codes {
		for n := range i + 1 {
			log += logLine("sho.rt", "/"+code, "HIT", 100*i+n)
		}
	}
	want := fmt.Sprintf("%d lines, %[1]d clicks of people", 1+2+3+4+5+6)
	got := terseReading(t, log, environ, "clicks", "import", "--format", "nginx", "-")
	wantTexts(t, got, 0, want)
	wantTexts(t, terseReading(t, log, environ, "clicks", "import", "--format", "nginx", "-"), 0, "21 skipped: counted by an earlier import")
}
