//go:build unix

package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/terse/terse/store/storetest"
)

// startHostile starts a server for storetest.HostileFields: its own host is OwnHost, and it
// blocks BlockedHost. It returns the settings of a client with an admin key.
func startHostile(t *testing.T) (admin []string) {
	t.Helper()
	blocked := filepath.Join(t.TempDir(), "blocked")
	writeFile(t, blocked, storetest.BlockedHost+"\n")
	dir := t.TempDir()
	p := start(t, dir, "TERSE_BASE_URL=http://"+storetest.OwnHost, "TERSE_BLOCKLIST_FILE="+blocked, "TERSE_LIMIT_CREATE_KEY=off")
	p.url = "http://" + p.logged(`listen=(\S+)`)
	return p.newKey("admin", "TERSE_DATA_DIR="+dir)
}

// TestShortenRefusesHostileFields checks that terse shorten fails for every field that the
// API rejects, and that its error names the field.
func TestShortenRefusesHostileFields(t *testing.T) {
	t.Parallel()
	environ := startHostile(t)
	for _, tt := range storetest.HostileFields() {
		args := []string{"shorten", "https://example.com"}
		switch tt.Field {
		case "url":
			args[1] = tt.Value.(string)
		case "alias", "title":
			args = append(args, "--"+tt.Field+"="+tt.Value.(string))
		case "password":
			file := filepath.Join(t.TempDir(), "password")
			writeFile(t, file, tt.Value.(string))
			args = append(args, "--password-file", file)
		case "max_clicks":
			args = append(args, fmt.Sprintf("--max-clicks=%d", tt.Value))
		default:
			t.Fatalf("there is no flag for %s", tt.Field)
		}
		got := terse(t, environ, args...)
		if got.status != 1 || got.stdout != "" || !strings.Contains(got.stderr, "terse: "+tt.Field+": ") {
			t.Errorf("%s: terse %.100q = %d %q %.300q, want 1 and an error that names %s", tt.Name, args, got.status, got.stdout, got.stderr, tt.Field)
		}
	}
	if got := terse(t, environ, "shorten", "https://example.com/good"); got.status != 0 {
		t.Errorf("shorten of a good URL = %+v, want 0", got)
	}
	wantLinks(t, environ, 1)
}

// wantLinks checks the number of links on the server.
func wantLinks(t *testing.T, environ []string, n int) {
	t.Helper()
	if got := terse(t, environ, "links", "export", "--whole"); got.status != 0 || strings.Count(got.stdout, "\n") != n {
		t.Errorf("links = %d %.500q, want %d", got.status, got.stdout, n)
	}
}

// hostileRow is a row of an import with one hostile field.
type hostileRow struct {
	storetest.HostileField
	url, alias, title string
	clicks            any // max_clicks
}

// hostileRows returns a row for each hostile value of the named fields.
func hostileRows(fields ...string) (rows []hostileRow) {
	for i, f := range storetest.HostileFields() {
		if !slices.Contains(fields, f.Field) {
			continue
		}
		row := hostileRow{f, "https://example.com", fmt.Sprint("row-", i), "", 0}
		switch f.Field {
		case "url":
			row.url = f.Value.(string)
		case "alias":
			row.alias = f.Value.(string)
		case "title":
			row.title = f.Value.(string)
		case "max_clicks":
			row.clicks = f.Value
		}
		rows = append(rows, row)
	}
	return rows
}

// hostileFiles are the formats of imports: the flags, the fields that the format has, and
// the function that writes a file.
var hostileFiles = []struct {
	name   string
	flags  []string
	fields []string
	write  func(rows []hostileRow) []byte
}{
	{"csv", nil, []string{"url", "alias", "title", "max_clicks"}, writeCSV},
	{"ndjson", nil, []string{"url", "alias", "title", "max_clicks"}, writeNDJSON("alias")},
	{"whole csv", []string{"--whole"}, []string{"url", "alias", "title", "max_clicks"}, writeCSV},
	{"whole ndjson", []string{"--whole"}, []string{"url", "alias", "title", "max_clicks"}, writeNDJSON("code")},
	{"yourls.sql", []string{"--from", "yourls"}, []string{"url", "alias", "title"}, writeYOURLS},
	{"yourls.json", []string{"--from", "yourls", "--whole"}, []string{"url", "alias", "title"}, writeDocument("links", func(r hostileRow) any {
		return map[string]any{"keyword": r.alias, "url": r.url, "title": r.title}
	})},
	{"shlink.json", []string{"--from", "shlink", "--whole"}, []string{"url", "alias", "title", "max_clicks"}, writeDocument("data", func(r hostileRow) any {
		return map[string]any{"shortCode": r.alias, "longUrl": r.url, "title": r.title, "meta": map[string]any{"maxVisits": r.clicks}}
	})},
	{"kutt.json", []string{"--from", "kutt"}, []string{"url", "alias", "title"}, writeDocument("data", func(r hostileRow) any {
		return map[string]any{"address": r.alias, "target": r.url, "description": r.title}
	})},
	{"bitly.json", []string{"--from", "bitly", "--whole"}, []string{"url", "title"}, writeDocument("links", func(r hostileRow) any {
		return map[string]any{"link": "https://bit.ly/" + r.alias, "long_url": r.url, "title": r.title}
	})},
}

func writeCSV(rows []hostileRow) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"url", "alias", "title", "max_clicks"})
	for _, r := range rows {
		_ = w.Write([]string{r.url, r.alias, r.title, fmt.Sprint(r.clicks)})
	}
	w.Flush()
	return b.Bytes()
}

func writeNDJSON(alias string) func(rows []hostileRow) []byte {
	return func(rows []hostileRow) []byte {
		var b bytes.Buffer
		for _, r := range rows {
			_ = json.NewEncoder(&b).Encode(map[string]any{"url": r.url, alias: r.alias, "title": r.title, "max_clicks": r.clicks})
		}
		return b.Bytes()
	}
}

// writeYOURLS writes a dump as mysqldump does.
func writeYOURLS(rows []hostileRow) []byte {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`, "\n", `\n`, "\r", `\r`)
	var b bytes.Buffer
	for _, r := range rows {
		fmt.Fprintf(&b, "INSERT INTO `yourls_url` VALUES ('%s','%s','%s','2020-01-01 00:00:00','127.0.0.1',0);\n",
			quote.Replace(r.alias), quote.Replace(r.url), quote.Replace(r.title))
	}
	return b.Bytes()
}

// writeDocument writes the JSON of an API that returns its links in the named list.
func writeDocument(list string, one func(r hostileRow) any) func(rows []hostileRow) []byte {
	return func(rows []hostileRow) []byte {
		all := make([]any, len(rows))
		for i, r := range rows {
			all[i] = one(r)
		}
		document := any(map[string]any{list: all})
		if list == "data" { // Shlink's list is one level deeper
			document = map[string]any{"shortUrls": document, "data": all}
		}
		text, _ := json.Marshal(document)
		return text
	}
}

// TestImportsRefuseHostileFields checks that an import in every format rejects targets and codes
// that the API rejects, and reports the field of each rejected row. Links with other hostile fields
// are imported with a warning.
func TestImportsRefuseHostileFields(t *testing.T) {
	t.Parallel()
	environ := startHostile(t)
	var imported atomic.Int64
	for i, tt := range hostileFiles {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file, errors := filepath.Join(dir, "links"), filepath.Join(dir, "errors")
			rows := hostileRows(tt.fields...)
			links, rejected := 1, map[string]int{}
			for at := range rows {
				r := &rows[at]
				if strings.HasPrefix(r.alias, "row-") {
					r.alias = fmt.Sprintf("%s-%d", r.alias, i)
				}
				switch {
				case r.Field == "alias" && slices.Contains(tt.flags, "--whole"):
					rejected["code"]++
				case r.Field == "url" || r.Field == "alias":
					rejected[r.Field]++
				default:
					links++
				}
			}
			imported.Add(int64(links))
			good := hostileRow{url: "https://example.com/good", alias: fmt.Sprint("good-", i), clicks: 0}
			writeFile(t, file, string(tt.write(append(slices.Clone(rows), good))))
			got := terse(t, environ, append([]string{"links", "import", file, "--errors", errors}, tt.flags...)...)
			want := fmt.Sprintf("Imported %d links, rejected %d rows.\n%d links have warnings.", links, len(rows)+1-links, links-1)
			if got.status != 1 || !strings.Contains(got.stderr, want) {
				t.Errorf("import = %d %q, want 1 and %q", got.status, got.stderr, want)
			}
			text, err := os.ReadFile(errors)
			must(t, err)
			reported := map[string]int{}
			for line := range strings.Lines(string(text)) {
				var r struct{ Field string }
				must(t, json.Unmarshal([]byte(line), &r))
				reported[r.Field]++
			}
			if !slices.Contains(tt.flags, "--whole") { // CSV has no CR before LF, so that two rows have one code
				reported["alias"] += reported["code"]
				delete(reported, "code")
			}
			if fmt.Sprint(reported) != fmt.Sprint(rejected) {
				t.Errorf("the import reported %v, want %v:\n%s", reported, rejected, text)
			}
		})
	}
	t.Cleanup(func() { wantLinks(t, environ, int(imported.Load())) })
}
