//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	terseclient "github.com/terse/terse/client"
)

// linksOf returns the links of a key by code.
func linksOf(t *testing.T, environ []string) map[string]terseclient.Link {
	t.Helper()
	got := terse(t, environ, "links", "export")
	if got.status != 0 {
		t.Fatalf("links export = %+v", got)
	}
	links := map[string]terseclient.Link{}
	for line := range strings.Lines(got.stdout) {
		var l terseclient.Link
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		links[l.Code] = l
	}
	return links
}

// importOf writes content to a file and imports it.
func importOf(t *testing.T, environ []string, content string, flags ...string) result {
	t.Helper()
	file := filepath.Join(t.TempDir(), "links")
	writeFile(t, file, content)
	return terse(t, environ, append([]string{"links", "import", file}, flags...)...)
}

// TestTextIsNotAltered checks that bytes that are not UTF-8 become no other target, title or tag,
// wherever they come from.
func TestTextIsNotAltered(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, owns)
	const bad = "caf\xe9"
	for _, args := range [][]string{
		{"http://e.example/" + bad},
		{"http://e.example/", "--title", bad},
		{"http://e.example/", "--tag=" + bad},
		{"http://e.example/", "--alias", bad},
	} {
		if got := terse(t, environ, append([]string{"shorten"}, args...)...); got.status != 2 || got.stdout != "" || !strings.Contains(got.stderr, "must be valid UTF-8") {
			t.Errorf("shorten %+q = %+v, want it rejected", args, got)
		}
	}
	if got := terse(t, []string{"TERSE_SERVER=http://" + bad}, "links", "list"); got.status != 2 || !strings.Contains(got.stderr, "TERSE_SERVER must be valid UTF-8") {
		t.Errorf("a setting that is not UTF-8 = %+v, want it rejected", got)
	}
	if got := terseReading(t, "http://e.example/"+bad+"\n", environ, "shorten", "-"); got.status != 1 || got.stdout != "" || !strings.Contains(got.stderr, "line 1: url: ") || !strings.Contains(got.stderr, "--encoding") {
		t.Errorf("shorten - = %+v, want the line and --encoding", got)
	}
	if got := importOf(t, environ, "url,title\nhttp://e.example/"+bad+",\nhttp://e.example/ok,"+bad+"\n"); got.status != 1 ||
		!strings.Contains(got.stderr, "line 2: url: is not valid UTF-8") || !strings.Contains(got.stderr, "line 3: title: is not valid UTF-8") {
		t.Errorf("import = %+v, want both rows rejected", got)
	}
	if links := linksOf(t, environ); len(links) != 0 {
		t.Fatalf("links = %+v, want none", links)
	}
	utf16 := "\xff\xfe"
	for _, c := range "http://e.example/utf16\r\n" {
		utf16 += string([]byte{byte(c), 0})
	}
	for _, tt := range []struct{ stdin, encoding, want string }{
		{"http://e.example/" + bad + "\n", "latin1", "http://e.example/caf%C3%A9"},
		{"\xef\xbb\xbfhttp://e.example/mark\n", "", "http://e.example/mark"},
		{utf16, "", "http://e.example/utf16"},
	} {
		args := []string{"shorten", "-", "--json"}
		if tt.encoding != "" {
			args = append(args, "--encoding", tt.encoding)
		}
		var l terseclient.Link
		got := terseReading(t, tt.stdin, environ, args...)
		if err := json.Unmarshal([]byte(got.stdout), &l); err != nil || got.status != 0 || l.URL != tt.want {
			t.Errorf("shorten - of %q = %+v, want %s", tt.stdin, got, tt.want)
		}
	}
	if got := importOf(t, environ, "url,code,title\nhttp://e.example/x,x,"+bad+"\n", "--encoding", "windows-1252"); got.status != 0 || linksOf(t, environ)["x"].Title != "café" {
		t.Errorf("import of windows-1252 = %+v, want the title café", got)
	}
}

// TestNothingUnderstood checks that a run that took nothing exits 1, says what the file has, and
// leaves no checkpoint.
func TestNothingUnderstood(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, owns)
	for _, tt := range []struct{ from, content, want string }{
		{"terse", "", "it is empty"},
		{"terse", "url\n", "no rows"},
		{"terse", "link,code\nhttps://a.example,a\n", `has the columns "link", "code"`},
		{"shlink", "Address,Code\nhttps://a.example,a\n", `has the columns "Address", "Code"`},
		{"yourls", "<?xml version=\"1.0\"?>\n<links/>\n", "it is XML"},
		{"yourls", "INSERT INTO `wp_posts` VALUES (1);\n", "wp_posts"},
		{"yourls", "\xff\xfea\x00b\x00", `has the columns "ab"`},
		{"kutt", `{"data":[]}`, "members"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "file")
		writeFile(t, file, tt.content)
		got := terse(t, environ, "links", "import", "--from", tt.from, file)
		if got.status != 1 || !strings.Contains(got.stderr, "the file has no links: ") || !strings.Contains(got.stderr, tt.want) || strings.Contains(got.stderr, "Imported") {
			t.Errorf("import of %q = %+v, want %q", tt.content, got, tt.want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("import of %q left %v, %v, want the file alone", tt.content, left, err)
		}
	}
	file := filepath.Join(t.TempDir(), "links.csv")
	writeFile(t, file, "url\nhttps://a.example\n")
	if got := terse(t, environ, "links", "import", file, "--checkpoint", filepath.Join(file, "checkpoint")); got.status != 1 || !strings.Contains(got.stderr, "--checkpoint") {
		t.Errorf("import with a checkpoint that cannot be written = %+v, want a hint to --checkpoint", got)
	}
	for _, statement := range []string{
		"INSERT INTO `db`.`yourls_url` (`keyword`,`url`) VALUES ('c%d','https://a.example');\n",
		"REPLACE INTO yourls_url (keyword, url) VALUES ('c%d','https://a.example');\n",
		"INSERT INTO \"public\".\"yourls_url\" (\"keyword\",\"url\") VALUES ('c%d','https://a.example');\n",
	} {
		content := fmt.Sprintf(statement, len(statement)) + "REPLACE INTO yourls_url (url, keyword) VALUES ('https://b.example','" + fmt.Sprint("d", len(statement)) + "');\n"
		if got := importOf(t, environ, content, "--from", "yourls"); got.status != 0 || !strings.Contains(got.stderr, "Imported 2 links, rejected 0 rows.") {
			t.Errorf("import of %s = %+v, want 2 links", content, got)
		}
	}
}

// TestFirstRowCounts checks that the first of several rows with a code becomes the link, near and
// far apart, with each way to import.
func TestFirstRowCounts(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"--upsert"}, {"--whole"}} {
		_, environ := startWithKey(t, "admin", "TERSE_LIMIT_CREATE_KEY=off")
		var b strings.Builder
		b.WriteString("code,url\nx,https://first.example/\nx,https://second.example/\n")
		for i := range 500 {
			fmt.Fprintf(&b, "code-%d,https://first.example/\n", i)
		}
		b.WriteString("x,https://third.example/\ncode-7,https://second.example/\n")
		got := importOf(t, environ, b.String(), flags...)
		if got.status != 1 || !strings.Contains(got.stderr, "Imported 501 links, rejected 3 rows.") || !strings.Contains(got.stderr, "line 3: code: is the code of line 2 already") {
			t.Errorf("import %v = %d %.500s, want 501 links and 3 rejected rows", flags, got.status, got.stderr)
		}
		for code, l := range linksOf(t, environ) {
			if l.URL != "https://first.example/" {
				t.Errorf("import %v: %s leads to %s, want the first row", flags, code, l.URL)
			}
		}
	}
}

// TestUpsert checks that an import changes the caller's links with the same code, and no others.
func TestUpsert(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	mine, theirs := p.newKey(owns, "TERSE_DATA_DIR="+dir), p.newKey(owns, "TERSE_DATA_DIR="+dir)
	terse(t, mine, "shorten", "https://a.example/old", "--alias", "mine", "--title", "kept", "--max-clicks", "5").want(t, "shorten", 0)
	terse(t, theirs, "shorten", "https://a.example/theirs", "--alias", "theirs").want(t, "shorten", 0)
	const rows = "url,code,tags\nhttps://a.example/new,mine,a;b\nhttps://a.example/new,theirs,\nhttps://a.example/more,more,\nhttps://a.example/minted,,\njavascript:x,mine2,\n"
	for range 2 {
		got := importOf(t, mine, rows, "--upsert")
		if got.status != 1 || !strings.Contains(got.stderr, "Imported 3 links, rejected 2 rows.") || !strings.Contains(got.stderr, "line 3: code: is taken") || !strings.Contains(got.stderr, "existed and were updated") {
			t.Errorf("import --upsert = %+v, want 3 links and 2 rejected rows", got)
		}
		links := linksOf(t, mine)
		if l := links["mine"]; len(links) != 3 || l.URL != "https://a.example/new" || l.Title != "kept" || l.MaxClicks != 5 || !slices.Equal(l.Tags, []string{"a", "b"}) || l.Version != 2 {
			t.Errorf("the link after --upsert = %+v of %d links, want the new target, the old title and version 2 of 3", l, len(links))
		}
	}
	const private = "url,code,no_visitors\nhttps://a.example/new,mine,true\n"
	if got := importOf(t, mine, private, "--upsert"); got.status != 0 || !linksOf(t, mine)["mine"].NoVisitors {
		t.Errorf("import --upsert of no_visitors = %+v, want a link without visitors", got)
	}
	const zero = "url,code,max_clicks,confirm,no_visitors\nhttps://a.example/new,mine,0,false,false\n"
	if got, l := importOf(t, mine, zero, "--upsert"), linksOf(t, mine)["mine"]; got.status != 0 || l.MaxClicks != 0 || l.NoVisitors {
		t.Errorf("import --upsert of max_clicks 0 = %+v and %+v, want no limit, and visitors", got, l)
	}
	admin := p.newKey("admin", "TERSE_DATA_DIR="+dir)
	importOf(t, admin, "url,code\nhttps://a.example/old,status\n", "--whole").want(t, "import --whole", 0)
	if got := importOf(t, admin, "url,code\nhttps://a.example/new,status\nhttps://a.example/new,health\n", "--upsert"); got.status != 1 ||
		!strings.Contains(got.stderr, "Imported 1 links, rejected 1 rows.") || !strings.Contains(got.stderr, "reserved") {
		t.Errorf("import --upsert of an existing and a new reserved code = %+v, want one link and one rejected row", got)
	}
	if l := linksOf(t, theirs)["theirs"]; l.URL != "https://a.example/theirs" || l.Version != 1 {
		t.Errorf("the link of another owner = %+v, want no change", l)
	}
}

// TestDryRun checks that a dry run reports what a real run then rejects, the server's reasons
// included, and that it changes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, owns+",admin")
	terse(t, environ, "shorten", "https://a.example/mine", "--alias", "mine").ok(t)
	terse(t, environ, "shorten", "https://a.example/gone", "--alias", "gone").ok(t)
	terse(t, environ, "links", "delete", "gone").ok(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "links.csv")
	writeFile(t, file, "url,code,title\nhttps://a.example,a,\"two\nlines\"\njavascript:alert(1),b,\nhttps://c.example,c/d,\nhttps://d.example,a,\nhttps://e.example,,\n"+
		"https://f.example,mine,\nhttps://g.example,login,\n"+p.url+"/x,x,\nhttps://h.example,gone,\n")
	reasons := []string{
		"line 2: warning: title: line breaks", "line 4: url: must begin", "line 5: ", "line 6: code: is the code of line 2", "line 8: code: is taken",
		"line 9: ", "line 10: url: must not lead to this URL shortener itself",
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "would take 3 links and reject 6 rows."},
		{[]string{"--upsert"}, "would take 4 links and reject 5 rows.\n1 of the links exist and would be updated."},
	} {
		got := terse(t, environ, append([]string{"links", "import", "--dry-run", file}, tt.args...)...)
		for _, want := range append([]string{tt.want}, reasons...) {
			if got.status != 1 || !strings.Contains(got.stderr, want) && (tt.args == nil || !strings.Contains(want, "is taken")) {
				t.Errorf("import --dry-run %v = %+v, want %q", tt.args, got, want)
			}
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("import --dry-run left %v, %v, want the file alone", left, err)
		}
		if all := linksOf(t, environ); len(all) != 1 || all["mine"].Version != 1 {
			t.Errorf("the links after import --dry-run %v are %v, want the one of before", tt.args, all)
		}
	}
	whole := filepath.Join(dir, "whole.ndjson")
	writeFile(t, whole, `{"code":"mine","url":"https://a.example/other"}`+"\n"+`{"code":"new","url":"https://a.example/new","version":3}`+"\n"+`{"code":"bad","url":"https://a.example","password_hash":"x"}`+"\n")
	got := terse(t, environ, "links", "import", "--dry-run", "--whole", whole)
	for _, want := range []string{"would take 1 links and reject 2 rows", "line 1: code: is taken", "line 3: password_hash"} {
		if got.status != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("import --dry-run --whole = %+v, want %q", got, want)
		}
	}
	if all := linksOf(t, environ); len(all) != 1 {
		t.Errorf("the links after import --dry-run --whole are %v, want the one of before", all)
	}

	// The real run rejects the same rows.
	got = terse(t, environ, "links", "import", file)
	for _, want := range append([]string{"Imported 3 links, rejected 6 rows."}, reasons...) {
		if got.status != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("import = %+v, want %q", got, want)
		}
	}
}

// TestReport checks the file with the short URL of each row.
func TestReport(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, owns)
	const rows = "Address,Slug,Words\nhttps://a.example,a,x\njavascript:x,b,\nhttps://c.example,c,\"d,\"\"\"\nhttps://d.example,,\n"
	dir := t.TempDir()
	for name, want := range map[string][]string{
		"report.csv":    {"line,url,short_url,warning\n2,https://a.example," + p.url + "/a,\n", "4,https://c.example," + p.url + `/c,tags: were dropped`, "5,https://d.example," + p.url + "/"},
		"report.ndjson": {`{"line":5,"url":"https://d.example","short_url":"` + p.url + `/`},
	} {
		path := filepath.Join(dir, name)
		got := importOf(t, environ, rows, "--map", "url=Address", "--map", "code=slug", "--map", "tags=Words", "--report", path, "--upsert")
		if got.status != 1 || !strings.Contains(got.stderr, "Imported 3 links, rejected 1 rows.") || !strings.Contains(got.stderr, "line 4: warning: tags: were dropped") || !strings.Contains(got.stderr, "1 links have warnings") {
			t.Errorf("import = %+v, want 3 links and a warning", got)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(string(content), part) {
				t.Errorf("%s = %s, want %q", name, content, part)
			}
		}
		if lines := strings.Count(string(content), "\n"); lines != 3+strings.Count(string(content), "short_url,") {
			t.Errorf("%s has %d lines, want one for each imported row", name, lines)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of %s = %v, %v, want 0600", name, info.Mode(), err)
		}
	}
}

// TestSecondaryFieldsRejectNothing checks that no secondary field rejects a link, and that ignored
// fields get no warning.
func TestSecondaryFieldsRejectNothing(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, "admin")
	const rows = "code,url,title,tags,status,expires_at,starts_at,max_clicks,created_at,clicks,forward_query\n" +
		"a,https://a.example,\u202ex,\",,\",303,0000-00-00,03/04/2099,many,yesterday,lots,yes\n" +
		"b,https://b.example,,,,,,,yesterday,lots,\n"
	got := importOf(t, environ, rows)
	if got.status != 0 || !strings.Contains(got.stderr, "Imported 2 links, rejected 0 rows.") || strings.Count(got.stderr, "warning: ") != 1 || strings.Contains(got.stderr, "yesterday") {
		t.Errorf("import = %+v, want 2 links and one warning", got)
	}
	for _, field := range []string{"title", "status", "expires_at", "starts_at", "max_clicks", "forward_query"} {
		if !strings.Contains(got.stderr, field+": ") {
			t.Errorf("the warning lacks %s: %s", field, got.stderr)
		}
	}
	whole := importOf(t, environ, strings.NewReplacer("a,https", "c,https", "b,https", "d,https").Replace(rows), "--whole")
	if whole.status != 0 || strings.Count(whole.stderr, "warning: ") != 2 || strings.Count(whole.stderr, "created_at: ") != 2 || strings.Count(whole.stderr, "clicks: ") != 3 {
		t.Errorf("import --whole = %+v, want 2 links with warnings of the history", whole)
	}
}

// TestPasswordHashes checks that a link with a password never becomes public unless the user says
// so.
func TestPasswordHashes(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, "admin")
	const table = "../../client/transfer/testdata/kutt-table.csv"
	checkpoint := filepath.Join(t.TempDir(), "checkpoint")
	got := terse(t, environ, "links", "import", "--from", "kutt", table, "--checkpoint", checkpoint)
	if got.status != 1 || !strings.Contains(got.stderr, "line 3: password: only its hash is in the file; --whole") {
		t.Errorf("import of a hash = %+v, want the row rejected", got)
	}
	got = terse(t, environ, "links", "import", "--from", "kutt", "--whole", table, "--checkpoint", checkpoint)
	if l := linksOf(t, environ)["locked"]; !l.PasswordProtected {
		t.Errorf("import --whole of a hash = %+v gives %+v, want a link with a password", got, l)
	}
}

// TestSafeCSV checks that exports for people are escaped by default, archives are exact, and both
// can be imported again.
func TestSafeCSV(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, "admin")
	terse(t, environ, "shorten", "https://a.example", "--alias", "a", "--title", "=1+1", "--tag", "@b").want(t, "shorten", 0)
	for _, tt := range []struct {
		args string
		safe bool
	}{
		{"links export --format csv", true},
		{"links list --format csv", true},
		{"links export --format csv --safe-csv=false", false},
		{"links list --format csv --safe-csv=false", false},
		{"links export --format csv --whole", false},
	} {
		got := terse(t, environ, strings.Fields(tt.args)...)
		if got.status != 0 || strings.Contains(got.stdout, ",'=1+1,") != tt.safe || strings.Contains(got.stdout, ",=1+1,") == tt.safe {
			t.Errorf("%s = %+v, want safe cells: %t", tt.args, got, tt.safe)
		}
		again := importOf(t, environ, got.stdout, "--upsert")
		l := linksOf(t, environ)["a"]
		if again.status != 0 || l.Title != "=1+1" || !slices.Equal(l.Tags, []string{"@b"}) || l.Version != 1 {
			t.Errorf("import of %s = %+v gives %+v, want the same link", tt.args, again, l)
		}
	}
}

// TestImportOfRules imports links with rules of other products, and checks which target a visit gets. A rule
// that Terse or the server cannot have rejects its row.
func TestImportOfRules(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, "admin")
	shlink := func(code, rules string) string {
		return `{"shortCode":"` + code + `","longUrl":"https://example.com/","hasRedirectRules":true,"redirectRules":[` + rules + "]}\n"
	}
	const ios = `{"longUrl":"https://example.com/ios","priority":1,"conditions":[{"type":"device","matchKey":null,"matchValue":"ios"}]}`
	wantTexts(t, importOf(t, environ, shlink("good", ios+`,{"longUrl":"https://example.com/mail","priority":2,"conditions":[{"type":"query-param","matchKey":"ref","matchValue":"mail"}]}`)+
		shlink("city", ios+`,{"longUrl":"https://example.com/","priority":2,"conditions":[{"type":"geolocation-city-name","matchKey":null,"matchValue":"Rome"}]}`)+
		shlink("useless", ios+","+ios)+
		shlink("scheme", `{"longUrl":"myapp://open","priority":1,"conditions":[{"type":"device","matchKey":null,"matchValue":"ios"}]}`)+
		shlink("lost", ""), "--from", "shlink"), 1,
		"Imported 1 links, rejected 4 rows.",
		`line 2: redirectRules[1].conditions[0]: has the type "geolocation-city-name"`,
		"line 3: rules[1].if: ", "line 4: rules[0].to: ", "line 5: redirectRules: is missing",
	)
	wantTexts(t, terse(t, environ, "links", "explain", "good", "--user-agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"), 0, "target    https://example.com/ios\n")
	wantTexts(t, terse(t, environ, "links", "explain", "good", "--query", "ref=mail"), 0, "target    https://example.com/mail\n")

	wantTexts(t, importOf(t, environ, `[{"key":"test","url":"https://example.com/","geo":{"DE":"https://example.com/de"},
		"testVariants":[{"url":"https://example.com/1","percentage":90},{"url":"https://example.com/2","percentage":10}],"testCompletedAt":"2099-01-01T00:00:00.000Z"},
		{"key":"much","url":"https://example.com/","testVariants":[{"url":"https://example.com/1","percentage":1001},{"url":"https://example.com/2","percentage":1}],"testCompletedAt":"2099-01-01T00:00:00.000Z"}]`,
		"--from", "dub"), 1, "Imported 1 links, rejected 1 rows.", "line 3: rules[0].split[0].weight: ")
	wantTexts(t, terse(t, environ, "links", "explain", "test", "--country", "DE"), 0, "target    https://example.com/de\n")
	wantTexts(t, terse(t, environ, "links", "explain", "test", "--country", "AT"), 0, "rules[1]  applies: split[")
}
