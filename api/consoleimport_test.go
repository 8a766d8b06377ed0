package api_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// multipartForm returns the body and the Content-Type of a form with a file.
func multipartForm(tb testing.TB, fields url.Values) (body []byte, kind string) {
	tb.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, values := range fields {
		for _, value := range values {
			if name == "file" {
				part, err := w.CreateFormFile("file", "links <b>.csv")
				must(tb, err)
				_, err = part.Write([]byte(value))
				must(tb, err)
				continue
			}
			must(tb, w.WriteField(name, value))
		}
	}
	must(tb, w.Close())
	return b.Bytes(), w.FormDataContentType()
}

// upload sends a form of the import.
func (v visitor) upload(path string, fields url.Values) answer {
	v.t.Helper()
	body, kind := multipartForm(v.t, fields)
	return v.do(http.MethodPost, path, body, append([]string{"Content-Type", kind}, v.headers...)...)
}

// mapped returns the second form of an import as a page shows it.
func mapped(a answer) url.Values {
	a.t.Helper()
	fields := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`).FindAllSubmatch(a.body, -1) {
		fields.Set(string(m[1]), html.UnescapeString(string(m[2])))
	}
	for _, m := range regexp.MustCompile(`(?s)<select id="(map_\w+)".*?</select>`).FindAllSubmatch(a.body, -1) {
		chosen := regexp.MustCompile(`<option value="([^"]*)" selected`).FindSubmatch(m[0])
		fields.Set(string(m[1]), "")
		if chosen != nil {
			fields.Set(string(m[1]), html.UnescapeString(string(chosen[1])))
		}
	}
	return fields
}

// TestImportInTheConsole imports a spreadsheet with columns of its own and with wrong rows, twice.
func TestImportInTheConsole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	key := s.owner("owner")
	s.create(`{"url":"https://example.com/","alias":"taken"}`, key...)
	v := s.signIn(key)
	const file = "Long URL;Slug;Name;Labels;Expires;Title\r\n" +
		"https://example.com/1;one;First <b>;a, b;2027-01-02;not this\r\n" +
		"javascript:alert(1);two;;;;\r\n" +
		";three;;;;\r\n" +
		"https://example.com/4;taken;;;;\r\n" +
		"https://example.com/5;;;;;\r\n" +
		"https://example.com/6;six;;;someday;\r\n" +
		"https://example.com/7;a b;;;2001-01-01;\r\n" +
		"https://example.com/8;one;;;;\r\n"
	page := v.upload("/~/import", url.Values{"file": {file}, "encoding": {"windows-1252"}})
	fields := mapped(page)
	for name, want := range map[string]string{"map_url": "Long URL", "map_code": "Slug", "map_title": "Title", "map_tags": "Labels", "map_expires_at": "Expires", "map_domain": "", "name": "links <b>.csv"} {
		if page.status != http.StatusOK || fields.Get(name) != want {
			t.Fatalf("the preview = %d, and %s is %q, want %q: %s", page.status, name, fields.Get(name), want, page.body)
		}
	}
	if !strings.Contains(string(page.body), "And 3 more rows") || !strings.Contains(string(page.body), "<bdi>First &lt;b&gt;</bdi>") {
		t.Errorf("the preview is %s", page.body)
	}
	fields.Set("map_url", "")
	fields.Set("map_code", "Other")
	if a := v.upload("/~/import/rows", fields); a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.body), "is required: choose the column") || !strings.Contains(string(a.body), "must be a column of the file") {
		t.Errorf("an import with wrong columns = %d %.900s", a.status, a.body)
	}
	fields.Set("map_url", "Long URL")
	fields.Set("map_code", "Slug")
	fields.Set("map_title", "Name")
	var first string
	for round := range 2 {
		a := v.upload("/~/import/rows", fields)
		report := html.UnescapeString(string(a.body))
		if a.status != http.StatusOK || !strings.Contains(report, "Imported 3 links, rejected 5 of 8 rows") {
			t.Fatalf("import %d = %d %s", round+1, a.status, report)
		}
		for line, want := range map[int]string{3: "url", 4: "url", 5: "alias", 8: "alias", 9: "alias"} {
			if !regexp.MustCompile(fmt.Sprintf(`class="number">%d</th><td class="url"><bdi>%s</bdi></td><td class="url"><bdi>[^<]`, line, want)).MatchString(report) {
				t.Errorf("import %d reports no %s of line %d: %s", round+1, want, line, report)
			}
		}
		if !strings.Contains(report, `expires_at: "someday" is not a clear time and was dropped`) {
			t.Errorf("import %d does not warn of the dropped time: %s", round+1, report)
		}
		minted := regexp.MustCompile(`(?s)<td class="number">6</td>.*?<bdi>([^<]+)</bdi>`).FindStringSubmatch(report)
		if minted == nil || first != "" && first != minted[1] {
			t.Errorf("import %d made the link %v, want %s", round+1, minted, first)
		} else {
			first = minted[1]
		}
	}
	l := s.get("/api/v1/links/one", key...).link()
	if l.URL != "https://example.com/1" || l.Title != "First <b>" || !slices.Equal(l.Tags, []string{"a", "b"}) || l.ExpiresAt == nil || l.ExpiresAt.Year() != 2027 {
		t.Errorf("the first row became %+v", l)
	}
	var list struct{ Links []linkJSON }
	s.get("/api/v1/links", key...).into(&list)
	if len(list.Links) != 4 {
		t.Errorf("there are %d links after the import, want 4", len(list.Links))
	}
	exported := v.open("/~/links.csv")
	again := mapped(v.upload("/~/import", url.Values{"file": {string(exported.body)}, "encoding": {"utf-8"}}))
	if a := v.upload("/~/import/rows", again); !strings.Contains(string(a.body), "Imported 0 links, rejected 4 of 4 rows") {
		t.Errorf("an import of an export = %d %.2000s, want every alias taken", a.status, a.body)
	}
}

// TestExportedSecretsAreNotImported imports rows of an export whose links would work in another way.
func TestExportedSecretsAreNotImported(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	v := s.signIn(s.owner("owner"))
	data := base64.StdEncoding.EncodeToString([]byte("url,password_protected,state,disabled_reason\nhttps://example.com/1,true,live,\nhttps://example.com/2,false,disabled,phishing\nhttps://example.com/3,false,live,\n"))
	a := v.upload("/~/import/rows", url.Values{"data": {data}, "map_url": {"url"}})
	for _, want := range []string{"Imported 1 link, rejected 2 of 3 rows", "so that everybody could open the link", "the link was taken down"} {
		if a.status != http.StatusOK || !strings.Contains(string(a.body), want) {
			t.Errorf("the import = %d, without %q: %s", a.status, want, a.body)
		}
	}
}

func TestUploadsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	v := s.signIn(s.owner("owner"))
	for name, tt := range map[string]struct{ file, want string }{
		"empty":            {"", "must not be empty"},
		"no rows":          {"url,alias\n", "has no rows"},
		"workbook":         {"PK\x03\x04rest", "Save it as CSV"},
		"JSON":             {`{"url":"https://example.com"}`, "Save it as CSV"},
		"HTML":             {"<html>", "it is XML or HTML"},
		"other encoding":   {"url,title\nhttps://example.com,B\xfccher\n", "does not have the chosen encoding"},
		"zero bytes":       {"u\x00r\x00l\x00\n", "NUL bytes"},
		"too many columns": {strings.Repeat(",", 100) + "\nhttps://example.com\n", "must have at most 100 columns"},
		"too many rows":    {"url\n" + strings.Repeat("https://example.com\n", 1001), "must have at most 1000 rows"},
		"too large":        {"url\n" + strings.Repeat("x", 512<<10), "must be at most 512 KiB"},
		"broken quotes":    {"\"url\nhttps://example.com\n", "cannot be read"},
		"too many fields":  {"url\n" + strings.Repeat("\"", 3), "has no rows"},
	} {
		a := v.upload("/~/import", url.Values{"file": {tt.file}, "encoding": {"utf-8"}})
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(html.UnescapeString(string(a.body)), tt.want) {
			t.Errorf("%s = %d, without %q: %.2500s", name, a.status, tt.want, a.body)
		}
	}
	if a := v.upload("/~/import", url.Values{"file": {strings.Repeat("x", 2<<20)}, "encoding": {"utf-8"}}); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a file of 2 MiB = %d, want 413", a.status)
	}
	if a := v.upload("/~/import", url.Values{"file": {"url\nhttps://example.com"}, "encoding": {"utf-7"}}); a.status != http.StatusUnprocessableEntity {
		t.Errorf("an unknown encoding = %d, want 422", a.status)
	}
	if a := v.submit("/~/import", url.Values{"file": {"url\nhttps://example.com"}}); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("an upload as a plain form = %d, want 415", a.status)
	}
	if a := v.do(http.MethodPost, "/~/import", []byte("--x\r\nbroken"), append([]string{"Content-Type", "multipart/form-data; boundary=x"}, v.headers...)...); a.status != http.StatusBadRequest {
		t.Errorf("a broken upload = %d, want 400", a.status)
	}
	limited := newServer(t, func(o *options) { o.Limits.CreateKey = limit(t, "5/1h") })
	few := limited.signIn(limited.key("few", store.ScopeLinksWrite))
	var rows strings.Builder
	rows.WriteString("url\n")
	for i := range 8 {
		fmt.Fprintf(&rows, "https://example.com/%d\n", i)
	}
	a := few.upload("/~/import/rows", url.Values{"data": {base64.StdEncoding.EncodeToString([]byte(rows.String()))}, "map_url": {"url"}})
	if !strings.Contains(string(a.body), "Imported 5 links, rejected 3 of 8 rows") || !strings.Contains(string(a.body), "You have used up your limit") {
		t.Errorf("an import over the limit = %d %.2000s", a.status, a.body)
	}
	limited.clock.add(time.Hour)
	rest := url.Values{"data": {base64.StdEncoding.EncodeToString([]byte(rows.String()))}, "map_url": {"url"}, "from": {"5"}}
	if !strings.Contains(string(a.body), `name="from" value="5"`) || !strings.Contains(string(a.body), `value="`+rest.Get("data")+`"`) {
		t.Errorf("the report has no form for the remaining rows: %.2000s", a.body)
	}
	if a := few.upload("/~/import/rows", rest); !strings.Contains(string(a.body), "Imported 3 links") {
		t.Errorf("the import of the remaining rows = %d %.2000s", a.status, a.body)
	}
	for _, from := range []string{"-1", "9", "x"} {
		rest.Set("from", from)
		if a := few.upload("/~/import/rows", rest); a.status != http.StatusBadRequest {
			t.Errorf("an import from row %q = %d, want 400", from, a.status)
		}
	}
}
