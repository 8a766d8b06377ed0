//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

const owns = "links:read,links:write"

func TestShortenAndExpand(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, owns)
	got := terse(t, environ, "shorten", "https://example.com/1", "--alias", "spring", "--title", "é", "--tag", "a,b", "--tag", "c",
		"--expires", "720h", "--max-clicks", "3", "--status", "307", "--forward-query", "append", "--forward-path", "append")
	if want := p.url + "/spring\n"; got.status != 0 || got.stdout != want || got.stderr != "" {
		t.Fatalf("shorten = %+v, want %s alone", got, want)
	}
	listed := terse(t, environ, "links", "list", "--format", "ndjson")
	var l struct {
		Tags     []string
		Title    string
		Status   int
		MaxClick int `json:"max_clicks"`
		Expires  time.Time
		Forward  string `json:"forward_query"`
		Path     string `json:"forward_path"`
	}
	if err := json.Unmarshal([]byte(listed.stdout), &l); err != nil || !slices.Equal(l.Tags, []string{"a,b", "c"}) || l.Title != "é" || l.Status != 307 || l.MaxClick != 3 || l.Forward != "append" || l.Path != "append" {
		t.Errorf("links list = %+v, want the fields of the create", listed)
	}
	many := terseReading(t, "https://example.com/a\n\njavascript:alert(1)\nhttps://example.com/b\n", environ, "shorten", "-", "https://example.com/c", "--json")
	lines := strings.Split(strings.TrimSpace(many.stdout), "\n")
	if many.status != 1 || len(lines) != 3 || !strings.Contains(lines[0], `"url":"https://example.com/a"`) || !strings.Contains(lines[2], `"url":"https://example.com/c"`) ||
		!strings.Contains(many.stderr, "line 3: url: must begin with http") {
		t.Errorf("shorten - = %+v, want three links in order and an error for line 3", many)
	}
	plain := strings.TrimSpace(terse(t, environ, "shorten", "https://example.com/plain").stdout)
	for _, arg := range []string{plain, strings.TrimPrefix(plain, p.url+"/")} {
		if got := terse(t, environ, "expand", arg); got.status != 0 || got.stdout != "https://example.com/plain\n" {
			t.Errorf("expand %s = %+v", arg, got)
		}
	}
	if got := terse(t, environ, "expand", "spring"); got.stdout != "https://example.com/1\n" {
		t.Errorf("expand of an own link with a click limit = %+v, want its target", got)
	}
	if got := terse(t, environ[:1], "expand", "spring"); got.status != 1 || !strings.Contains(got.stderr, "it does not redirect") {
		t.Errorf("expand without a key = %+v, want status 1", got)
	}
	if got := terse(t, environ, "expand", "nothing"); got.status != 1 || !strings.Contains(got.stderr, "no such link") {
		t.Errorf("expand of an unknown code = %+v", got)
	}
	if table := terse(t, environ, "links", "list", "--limit", "2", "--search", "EXAMPLE.com/"); strings.Count(table.stdout, "\n") != 3 {
		t.Errorf("links list --limit 2 = %+v, want a header and two rows", table)
	}
}

// TestClientProblems checks the message and the exit status of every kind of error.
func TestClientProblems(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, owns)
	missing := filepath.Join(t.TempDir(), "none")
	for _, tt := range []struct {
		args    string
		environ []string
		status  int
		want    string
	}{
		{"shorten https://example.com", []string{"TERSE_SERVER=ftp://x"}, 2, "must look like"},
		{"shorten https://example.com", []string{"TERSE_SERVER=" + p.url, "TERSE_API_KEY=tk_wrong"}, 1, "valid API key"},
		{"shorten https://example.com --patience 0s", []string{"TERSE_SERVER=http://127.0.0.1:1"}, 1, "refused"},
		{"shorten a b --alias x", environ, 2, "--alias"},
		{"shorten https://example.com --expires 2001-01-01 --starts x", environ, 2, "--starts"},
		{"shorten https://example.com --password-file " + missing, environ, 2, "--password-file"},
		{"links list --format xml", environ, 2, "--format"},
		{"links export --whole --tag x", environ, 2, "--whole"},
		{"links export --whole", environ, 1, "lacks the scope admin"},
		{"links export -o x --cursor y", environ, 2, "--cursor"},
		{"links export --cursor nonsense", environ, 1, "cursor"},
		{"links import " + missing, environ, 1, "no such file"},
		{"links import --from tinyurl -", environ, 2, "--from"},
		{"links import --owner a=b -", environ, 2, "--owner"},
		{"links import --upsert --whole -", environ, 2, "--upsert"},
		{"links import --map url=a --from bitly -", environ, 2, "--map"},
		{"links import --encoding klingon -", environ, 2, "--encoding"},
		{"links import --dry-run --report x -", environ, 2, "--dry-run"},
		{"shorten --encoding klingon -", environ, 2, "--encoding"},
		{"links import -", environ, 1, "is empty"},
	} {
		got := terse(t, tt.environ, strings.Fields(tt.args)...)
		if got.status != tt.status || !strings.Contains(got.stderr, tt.want) || got.stdout != "" {
			t.Errorf("terse %s = %+v, want status %d and %q", tt.args, got, tt.status, tt.want)
		}
	}
}

// TestClientWaitsForTheLimit checks that the client waits after a 429, and that no link is
// lost or created twice.
func TestClientWaitsForTheLimit(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, owns, "TERSE_LIMIT_CREATE_KEY=20/1s")
	var urls strings.Builder
	for i := range 50 {
		fmt.Fprintf(&urls, "https://example.com/%d\n", i)
	}
	got := terseReading(t, urls.String(), environ, "shorten", "-")
	if got.status != 0 || strings.Count(got.stdout, "\n") != 50 {
		t.Fatalf("shorten of 50 URLs at 20/s = %+v", got)
	}
	if listed := terse(t, environ, "links", "export"); strings.Count(listed.stdout, "\n") != 50 {
		t.Errorf("there are %d links, want 50", strings.Count(listed.stdout, "\n"))
	}
}

// TestImportRows checks the result and the message of an import for every kind of row.
func TestImportRows(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, owns)
	dir := t.TempDir()
	if got := terse(t, environ, "shorten", "https://example.com/taken", "--alias", "taken"); got.status != 0 {
		t.Fatal(got.stderr)
	}
	file, refused := filepath.Join(dir, "links.csv"), filepath.Join(dir, "refused.ndjson")
	writeFile(t, file, "url,alias,title,password_protected,state,clicks\n"+
		"https://example.com/1,one,é,,,7\n"+
		"javascript:alert(1),two,,,,\n"+
		"https://example.com/3,a/b,a\tb,,,\n"+
		"https://example.com/4,four,,true,,\n"+
		"https://example.com/5,five,,,disabled,\n"+
		"https://example.com/6,api,,,,\n"+
		"https://example.com/7,taken,,,,\n"+
		"https://example.com/8,,,,,\n")
	got := terse(t, environ, "links", "import", file, "--errors", refused)
	if got.status != 1 || !strings.Contains(got.stderr, "Imported 2 links, rejected 6 rows.") || !strings.Contains(got.stderr, "1 links lost their dates") {
		t.Fatalf("import = %+v", got)
	}
	lines, err := os.ReadFile(refused)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"line":3,"code":"two","field":"url","reason":`, `{"line":4,"code":"a/b","field":"alias"`,
		`{"line":5,"code":"four","field":"password"`, `{"line":6,"code":"five","field":"disabled_reason"`,
		`{"line":7,"code":"api","field":"alias","reason":"is reserved`, `{"line":8,"code":"taken","field":"code","reason":"is taken"}`,
	} {
		if strings.Count(string(lines), want) != 1 {
			t.Errorf("the rejected rows lack %s: %s", want, lines)
		}
	}
	if _, err := os.Stat(file + ".checkpoint"); !os.IsNotExist(err) {
		t.Errorf("the checkpoint still exists after a complete import: %v", err)
	}
	undated := filepath.Join(dir, "undated.csv")
	writeFile(t, undated, "url,alias,state\nhttps://example.com/5,five,disabled\n")
	if got := terse(t, environ, "links", "import", undated, "--whole"); got.status != 1 || !strings.Contains(got.stderr, "disabled_at") {
		t.Errorf("import --whole of a takedown without its date = %+v, want it rejected", got)
	}
	deleted := filepath.Join(dir, "deleted.csv")
	writeFile(t, deleted, "url,code,deleted_at\n,six,2026-03-01T00:00:00Z\n")
	if got := terse(t, environ, "links", "import", deleted); got.status != 1 || !strings.Contains(got.stderr, "deleted_at") {
		t.Errorf("import of a deleted link = %+v, want it rejected", got)
	}
	again := terse(t, environ, "links", "import", file, "--drop-passwords")
	if again.status != 1 || !strings.Contains(again.stderr, "Imported 2 links") || !strings.Contains(again.stderr, "line 2: code: is taken") {
		t.Errorf("the same import again = %+v, want the link without a code and the link without its password", again)
	}
}

// TestImportProducts imports exports of other products, and checks that their fields are kept.
func TestImportProducts(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, "admin")
	for _, tt := range []struct {
		source, file string
		links        int
		refused      string
	}{
		{"yourls", "yourls.sql", 4, "line 21: code: must be"},
		{"shlink", "shlink.json", 2, "line 18: code: must be"},
		{"kutt", "kutt.json", 1, "line 4: domain: must be"},
		{"kutt --domain localhost", "kutt.json", 2, "line 3: password: is not in the file"},
		{"bitly", "bitly.csv", 2, ""},
	} {
		checkpoint := filepath.Join(t.TempDir(), "checkpoint")
		args := append([]string{"links", "import", "--whole", "--from"}, strings.Fields(tt.source)...)
		got := terse(t, environ, append(args, "../../client/transfer/testdata/"+tt.file, "--checkpoint", checkpoint)...)
		if !strings.Contains(got.stderr, fmt.Sprintf("Imported %d links", tt.links)) || !strings.Contains(got.stderr, tt.refused) {
			t.Errorf("import of %s = %+v, want %d links and %q", tt.file, got, tt.links, tt.refused)
		}
	}
	all := terse(t, environ, "links", "export", "--whole", "--format", "csv").stdout
	for _, want := range []string{
		"ozh,,https://ozh.org/,", ",12345,", "2012-03-01T17:20:01Z", "Mixed-Case_9", "12C18,,https://store.steampowered.com,", `"games,tech"`, ",400,328,",
		"2017-01-20T22:00:00Z", "evil,,https://example.com/evil,", "2021-04-04T05:06:07.89Z,banned", "my-own,", "36lEcX1,",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the export lacks %s: %s", want, all)
		}
	}
}

// TestFirstRowOfACodeWins imports rows with the same codes in later requests. The first row
// of each code becomes the link.
func TestFirstRowOfACodeWins(t *testing.T) {
	t.Parallel()
	const codes, times = 450, 5
	for _, flags := range [][]string{nil, {"--whole"}} {
		_, environ := startWithKey(t, "admin", "TERSE_LIMIT_CREATE_KEY=off")
		file := filepath.Join(t.TempDir(), "twice.ndjson")
		var b strings.Builder
		for n := range times {
			for i := range codes {
				fmt.Fprintf(&b, "{\"code\":\"code-%d\",\"url\":\"https://example.com/%d\"}\n", i, n)
			}
		}
		writeFile(t, file, b.String())
		got := terse(t, environ, append([]string{"links", "import", file}, flags...)...)
		if want := fmt.Sprintf("Imported %d links, rejected %d rows.", codes, codes*(times-1)); got.status != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("import %v = %d %.500s, want %q", flags, got.status, got.stderr, want)
		}
		export := terse(t, environ, "links", "export").stdout
		if n := strings.Count(export, `"https://example.com/0"`); n != codes {
			t.Errorf("import %v: %d links have the target of the first row, want %d", flags, n, codes)
		}
	}
}

// TestImportOfLongRows imports links that take several times their length in a request, and a
// row that is longer than any request may be. Only that row is rejected.
func TestImportOfLongRows(t *testing.T) {
	t.Parallel()
	const links = 400
	for _, flags := range [][]string{nil, {"--whole"}} {
		_, environ := startWithKey(t, "admin", "TERSE_LIMIT_CREATE_KEY=off")
		var b strings.Builder
		tags := make([]string, store.MaxTags)
		for i := range tags {
			tags[i] = fmt.Sprintf(`"%02d%s"`, i, strings.Repeat("&", 40))
		}
		for i := range links {
			if i == links/2 {
				fmt.Fprintf(&b, `{"code":"too-long","url":"https://example.com/%s"}`+"\n", strings.Repeat("<", 500_000))
			}
			fmt.Fprintf(&b, `{"code":"code-%d","url":"https://example.com/","title":%q,"tags":[%s]}`+"\n",
				i, strings.Repeat("<", store.MaxTitleLen), strings.Join(tags, ","))
		}
		file := filepath.Join(t.TempDir(), "long.ndjson")
		writeFile(t, file, b.String())
		got := terse(t, environ, append([]string{"links", "import", file}, flags...)...)
		want := fmt.Sprintf("Imported %d links, rejected 1 rows.", links)
		if got.status != 1 || !strings.Contains(got.stderr, want) || !strings.Contains(got.stderr, "too large") {
			t.Errorf("import %v = %d %.500s, want %q and the reason", flags, got.status, got.stderr, want)
		}
	}
}

// TestExportGoesOn continues an interrupted export. The result equals an export in one run,
// and the file appears under its name only when it is complete.
func TestExportGoesOn(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, owns, "TERSE_LIMIT_CREATE_KEY=off")
	var rows strings.Builder
	for i := range 2500 {
		fmt.Fprintf(&rows, "{\"url\":\"https://example.com/%d\"}\n", i)
	}
	if got := terseReading(t, rows.String(), environ, "links", "import", "-"); !strings.Contains(got.stderr, "Imported 2500 links") {
		t.Fatalf("import = %+v", got)
	}
	for _, format := range []string{"csv", "ndjson"} {
		whole := terse(t, environ, "links", "export", "--format", format)
		file := filepath.Join(t.TempDir(), "links."+format)
		first := terse(t, environ, "links", "export", "-o", file)
		if content, err := os.ReadFile(file); err != nil || string(content) != whole.stdout || first.status != 0 {
			t.Fatalf("export to a file = %+v, %v, want the same as on stdout", first, err)
		}
		// These are the files of a run that was killed in its second page.
		head := strings.Join(strings.SplitAfter(whole.stdout, "\n")[:1000], "")
		if format == "csv" {
			head = strings.Join(strings.SplitAfter(whole.stdout, "\n")[:1001], "")
		}
		page := terseReading(t, "", environ, "links", "list", "--format", "ndjson", "--limit", "1000")
		if page.status != 0 {
			t.Fatal(page.stderr)
		}
		request, err := http.NewRequest(http.MethodGet, strings.TrimPrefix(environ[0], "TERSE_SERVER=")+"/api/v1/links?limit=1000", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimPrefix(environ[1], "TERSE_API_KEY="))
		response, err := client(t).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Next string `json:"next_cursor"`
		}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		writeFile(t, file+".part", head+"half a row that was not acknow")
		checkpoint, err := json.Marshal(map[string]any{
			"server": strings.TrimPrefix(environ[0], "TERSE_SERVER="), "query": fmt.Sprint(format, false, "", "\x00", "", "\x00", "", "\x00", false), "cursor": answer.Next, "bytes": len(head), "links": 1000,
		})
		must(t, err)
		writeFile(t, file+".part.checkpoint", string(checkpoint))
		if got := terse(t, environ, "links", "export", "-o", file, "--tag", "other"); got.status != 1 || !strings.Contains(got.stderr, "belongs to another export") {
			t.Errorf("another export to the same file = %+v, want an error", got)
		}
		again := terse(t, environ, "links", "export", "-o", file)
		content, err := os.ReadFile(file)
		if again.status != 0 || err != nil || string(content) != whole.stdout || !strings.Contains(again.stderr, "Exported 2500 links") {
			t.Errorf("continued %s export = %+v, %d bytes, %v, want the %d bytes of one run", format, again, len(content), err, len(whole.stdout))
		}
		left, err := filepath.Glob(file + ".*")
		if err != nil || len(left) != 0 {
			t.Errorf("the export left %v, %v", left, err)
		}
	}
}
