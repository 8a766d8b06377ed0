//go:build unix

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// bigFile writes an import of n links without codes, and returns its path.
func bigFile(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "big.ndjson")
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"url\":\"https://example.com/%d\"}\n", i)
		if i%100 == 50 {
			b.WriteString("{\"url\":\"ftp://refused.example\"}\n")
		}
	}
	writeFile(t, path, b.String())
	return path
}

// TestImportGoesOn kills an import many times and the server once. In the end each row is one
// link.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	const n = 3000
	p := start(t, "TERSE_LIMIT_CREATE_KEY=off")
	environ := p.newKey("links:read,links:write")
	file, refused := bigFile(t, n), filepath.Join(t.TempDir(), "refused")
	args := []string{"links", "import", file, "--errors", refused}
	whole := fmt.Sprintf("Imported %d links, rejected %d rows.", n, n/100)
	killed := 0
	var last bytes.Buffer
	for run := range 50 {
		last.Reset()
		cmd := command(t, environ, args...)
		cmd.Stderr = &last
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if run == 1 {
			p.kill()
			p.again()
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = cmd.Wait() // it may have been killed
		}()
		signal := syscall.SIGKILL
		if run%2 == 1 {
			signal = syscall.SIGINT
		}
		select {
		case <-done:
		case <-time.After(time.Duration(100*math.Pow(1.3, float64(run))) * time.Millisecond):
			_ = cmd.Process.Signal(signal)
			<-done
			if said := last.String(); strings.Contains(said, whole) && !strings.Contains(said, "repeat the command") {
				break // the import was complete, and about to exit
			}
			killed++
			continue
		}
		break
	}
	if !strings.Contains(last.String(), whole) || killed == 0 {
		t.Fatalf("the last of %d runs printed %s", killed+1, &last)
	}
	lines, err := os.ReadFile(refused)
	if err != nil || bytes.Count(lines, []byte("\n")) != n/100 {
		t.Errorf("%d rejected rows, %v, want %d", bytes.Count(lines, []byte("\n")), err, n/100)
	}
	seen := map[string]int{}
	for line := range strings.Lines(terse(t, environ, "links", "export").stdout) {
		var l struct{ URL string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		seen[l.URL]++
	}
	for url, times := range seen {
		if times != 1 {
			t.Errorf("%s was imported %d times", url, times)
		}
	}
	if len(seen) != n {
		t.Errorf("%d links, want %d", len(seen), n)
	}
	t.Logf("%d runs were killed", killed)
}

// TestMoveToShards moves links of every kind from an embedded database to shards with export
// and import, and checks that nothing is lost.
func TestMoveToShards(t *testing.T) {
	t.Parallel()
	from := start(t, "TERSE_LIMIT_CREATE_KEY=off").newKey("admin")
	if got := terse(t, from, "links", "import", "../store/testdata/real-urls.txt", "--checkpoint", filepath.Join(t.TempDir(), "c")); got.status != 1 {
		t.Fatalf("import of a list of URLs without a header = %+v, want an error", got)
	}
	urls, err := os.ReadFile("../store/testdata/real-urls.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := terseReading(t, string(urls), from, "shorten", "-"); strings.Count(got.stdout, "\n") < 1000 {
		t.Fatalf("shorten of the real URLs = %.500s", got.stderr)
	}
	strange := filepath.Join(t.TempDir(), "strange.ndjson")
	writeFile(t, strange, `{"code":"full","url":"https://example.com/?a=%25#x","owner":"key_other","title":"日本 🙂 \"x\"","tags":["a,b","é"],"status":308,"forward_query":"override","starts_at":"2027-01-01T00:00:00.000001Z","expires_at":"2028-01-01T00:00:00Z","max_clicks":5,"used_clicks":3,"confirm":true,"rules":[{"if":{"country":["DE"]},"to":"https://example.com/de?a=<1>"}],"password_hash":"$2a$10$abcdefghijklmnopqrstuuOxGXc5dkJmYrZ3bmzSdKlmwZfXyE4zK","disabled_at":"2026-05-01T00:00:00Z","disabled_reason":"phishing","clicks":9007199254740993,"robots":9007199254740995,"last_click_at":"2026-04-30T00:00:00Z","created_at":"2020-01-01T00:00:00.123456Z","updated_at":"2020-02-02T00:00:00Z","version":9}
{"code":"used-up","url":"https://example.com/used","max_clicks":2,"used_clicks":2,"clicks":2}
{"code":"expired","url":"https://example.com/expired","expires_at":"2021-01-01T00:00:00Z"}
{"code":"anonymous","url":"https://example.com/anonymous","owner":""}
{"code":"gone","url":"","deleted_at":"2026-03-01T00:00:00Z","created_at":"2026-01-01T00:00:00Z","version":3}
`)
	if got := terse(t, from, "links", "import", "--whole", strange, "--owner", "key_other=key_mine"); got.status != 0 {
		t.Fatalf("import of strange links = %+v", got)
	}
	f := newFleet(t, 2, testenv.ClusterOptions{})
	node := f.serve()
	to := node.newKey("admin")
	for _, format := range []string{"ndjson", "csv"} {
		file, back := filepath.Join(t.TempDir(), "whole."+format), filepath.Join(t.TempDir(), "back."+format)
		if got := terse(t, from, "links", "export", "--whole", "-o", file); got.status != 0 {
			t.Fatalf("export = %+v", got)
		}
		// The second import finds every link there, and changes nothing.
		if got := terse(t, to, "links", "import", "--whole", file); got.status != 0 || !strings.Contains(got.stderr, "rejected 0 rows") {
			t.Fatalf("import = %+v", got)
		}
		if got := terse(t, to, "links", "export", "--whole", "-o", back); got.status != 0 {
			t.Fatalf("export from the shards = %+v", got)
		}
		was, is := sortedLines(t, file), sortedLines(t, back)
		if !slices.Equal(was, is) {
			t.Errorf("%s: the shards have %d lines, the embedded database %d, and they differ", format, len(is), len(was))
		}
		if !slices.ContainsFunc(is, func(l string) bool { return strings.Contains(l, "key_mine") && strings.Contains(l, "9007199254740993") }) {
			t.Errorf("%s: the link with every field is missing", format)
		}
	}
	response, err := client(t).Get(node.url + "/gone")
	must(t, err)
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusGone {
		t.Errorf("visit of a link that was deleted before the move = %s, want 410", response.Status)
	}
}

// sortedLines returns the sorted lines of a file.
func sortedLines(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(strings.Lines(string(content)))
}
