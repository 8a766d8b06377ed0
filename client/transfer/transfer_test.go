package transfer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/client"
	"github.com/terse/terse/client/transfer"
)

// read returns the records of a source, and the error text of each invalid row.
func read(t *testing.T, source string, r io.Reader) (records []transfer.Record, problems []string) {
	t.Helper()
	reader, err := transfer.Open(source, r)
	if err != nil {
		t.Fatalf("Open(%s) = %v, want nil", source, err)
	}
	for range 1_000_000 {
		record, err := reader.Next()
		var row *transfer.RowError
		switch {
		case errors.Is(err, io.EOF):
			return records, problems
		case errors.As(err, &row):
			problems = append(problems, row.Error())
		case err != nil:
			return records, append(problems, err.Error())
		default:
			records = append(records, record)
		}
	}
	t.Fatal("Next did not end after 1,000,000 records")
	return nil, nil
}

func at(s string) *time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return &t
}

// TestProducts reads files in the formats of the products.
func TestProducts(t *testing.T) {
	t.Parallel()
	type link = client.ArchivedLink
	for _, tt := range []struct {
		file     string
		want     []transfer.Record
		problems []string
	}{
		{"yourls.sql", []transfer.Record{
			{Line: 18, Link: link{Code: "ozh", URL: "https://ozh.org/", Title: `Ozh's "site" -- it's; (here)`, CreatedAt: at("2012-03-01T17:20:01Z"), Clicks: 12345}},
			{Line: 18, Link: link{Code: "1", URL: "https://example.com/?a=1&b=%27", Title: "日本語", CreatedAt: at("2020-02-29T23:59:59Z")}},
			{Line: 19, Link: link{Code: "Mixed-Case_9", URL: `https://example.com/?path=with\backslashes`, CreatedAt: at("2021-01-01T00:00:00Z"), Clicks: 3}},
			{Line: 21, Link: link{Code: "my.page", URL: "https://example.com/dot", Title: "A dot in the keyword", CreatedAt: at("2022-05-06T07:08:09Z"), Clicks: 7}},
			{Line: 23, Link: link{Code: "last", URL: "https://example.com/last", Title: "The last one", CreatedAt: at("2023-01-02T03:04:05Z"), Clicks: 1}},
		}, []string{"line 22: has 2 values for 6 columns"}},
		{"yourls.json", []transfer.Record{
			{Line: 1, Link: link{Code: "ozh", URL: "https://ozh.org/", Title: "Ozh", CreatedAt: at("2012-03-01T17:20:01Z"), Clicks: 12345}},
			{Line: 2, Link: link{Code: "1", URL: "https://example.com/", Title: "日本", CreatedAt: at("2020-02-29T23:59:59Z")}},
		}, nil},
		{"yourls.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "ozh", URL: "https://ozh.org/", Title: "Ozh", CreatedAt: at("2012-03-01T17:20:01Z"), Clicks: 12345}},
		}, nil},
		{"shlink.json", []transfer.Record{
			{Line: 4, Link: link{
				Code: "12C18", URL: "https://store.steampowered.com", Tags: []string{"games", "tech"}, ForwardQuery: "append",
				CreatedAt: at("2016-08-21T18:34:16Z"), StartsAt: at("2017-01-20T22:00:00Z"), MaxClicks: 400, UsedClicks: 328, Clicks: 328,
			}},
			{Line: 18, Link: link{
				Code: "multi/segment", URL: "https://example.com/", Title: "Two segments", Tags: []string{},
				CreatedAt: at("2020-01-02T03:04:05Z"), ExpiresAt: at("2021-01-01T00:00:00Z"), Clicks: 9,
			}},
			{Line: 34, Link: link{Code: "rY9zd", URL: "https://example.com/3", Title: "Drei", Tags: []string{"a b"}, CreatedAt: at("2022-01-02T03:04:05Z")}},
		}, nil},
		{"shlink.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "12C18", URL: "https://store.steampowered.com", Tags: []string{"games", "tech"}, CreatedAt: at("2016-08-21T18:34:16Z"), Clicks: 328}},
			{Line: 3, Link: link{Code: "rY9zd", URL: "https://example.com/?a=1,2", Title: `A "quoted" title`, CreatedAt: at("2022-01-02T03:04:05Z")}},
		}, nil},
		{"kutt.json", []transfer.Record{
			{Line: 2, Link: link{Code: "hello", URL: "https://example.com/hello", Title: "Says hello", CreatedAt: at("2021-03-04T05:06:07.89Z"), UpdatedAt: at("2021-03-05T05:06:07.89Z"), Clicks: 42}},
			{Line: 3, PasswordLost: true, Link: link{
				Code: "secret", URL: "https://example.com/secret", CreatedAt: at("2021-03-04T05:06:07.89Z"), UpdatedAt: at("2021-03-04T05:06:07.89Z"),
				ExpiresAt: at("2099-01-01T00:00:00Z"),
			}},
			{Line: 4, Disabled: true, Link: link{
				Code: "evil", URL: "https://example.com/evil", CreatedAt: at("2021-03-04T05:06:07.89Z"), UpdatedAt: at("2021-04-04T05:06:07.89Z"),
				DisabledAt: at("2021-04-04T05:06:07.89Z"), DisabledReason: "banned", Clicks: 1,
			}},
		}, nil},
		{"kutt.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "hello", URL: "https://example.com/hello", Title: "Says hello", CreatedAt: at("2021-03-04T05:06:07.89Z"), UpdatedAt: at("2021-03-05T05:06:07.89Z"), Clicks: 42}},
		}, nil},
		{"bitly.json", []transfer.Record{
			{Line: 2, Link: link{Code: "36lEcX1", URL: "https://example.com/a", Title: "An article", Tags: []string{"print"}, CreatedAt: at("2020-09-29T14:25:22Z")}},
			{Line: 3, Link: link{Code: "my-own", URL: "https://example.com/b", Tags: []string{}, CreatedAt: at("2021-09-29T14:25:22Z")}},
		}, nil},
		{"bitly.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "36lEcX1", URL: "https://example.com/a", Title: "An article", Tags: []string{"print", "web"}, CreatedAt: at("2020-09-29T14:25:22Z"), Clicks: 17}},
			{Line: 3, Link: link{Code: "my-own", URL: "https://example.com/b", CreatedAt: at("2021-09-29T00:00:00Z")}},
		}, nil},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			f, err := os.Open("testdata/" + tt.file)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			source, _, _ := strings.Cut(tt.file, ".")
			got, problems := read(t, source, f)
			if !reflect.DeepEqual(problems, tt.problems) {
				t.Errorf("problems = %q, want %q", problems, tt.problems)
			}
			for i := range max(len(got), len(tt.want)) {
				if i >= len(got) || i >= len(tt.want) || !reflect.DeepEqual(got[i], tt.want[i]) {
					t.Fatalf("record %d of %d, want %d records\n%+v\n%+v", i, len(got), len(tt.want), got[min(i, len(got)-1)], tt.want[min(i, len(tt.want)-1)])
				}
			}
		})
	}
}

// TestBadRowsSpoilNoOthers checks the error of each invalid row, and that the other
// rows are read.
func TestBadRowsSpoilNoOthers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 2<<20)
	for _, tt := range []struct {
		name, source, text string
		records            int
		problems           []string
	}{
		{
			"terse lines", "terse", "{\"url\":\"https://a.example\"}\n\nnonsense\n{\"url\":1}\n{\"url\":\"x\",\"nonsense\":1}\n{}{}\n{\"url\":\"" + long + "\"}\n{\"url\":\"https://b.example\"}", 2,
			[]string{"line 3: must be a JSON", "line 4: url: has the wrong type", `line 5: must be a JSON object of a link: unknown field "nonsense"`, "line 6: must be one", "line 7: must be at most"},
		},
		{
			"terse csv", "terse", "\ufeffurl,code,tags,max_clicks,expires_at\nhttps://a.example,a,\"x,\"\"y,z\"\"\",1,2030-01-01T00:00:00Z\n" +
				"https://b.example,b,,many,\nhttps://c.example,c,,,tomorrow\nhttps://d.example,d,,,,,,\nhttps://e.example\n", 2,
			[]string{"line 3: max_clicks: must be a whole number", "line 4: expires_at: must be a time", "line 5: has 8 fields for 5 columns"},
		},
		{"csv with a bare quote", "terse", "url\nhttps://a.example\na\"b\nhttps://b.example\n", 2, []string{`line 3: bare " in`}},
		{"cut off JSON", "kutt", `{"data":[{"address":"a","target":"https://a.example"},{"address":`, 1, []string{"line 1: invalid JSON"}},
		{"wrong type", "kutt", `[{"address":1},{"address":"b","target":"https://b.example"}]`, 1, []string{"line 1: address: has the wrong type"}},
		{"lines of records", "kutt", "{\"address\":\"a\"}\n{\"address\":\"b\"}\n", 2, nil},
		{"no objects", "shlink", `[1,2]`, 0, []string{"line 1: has the wrong type", "line 1: has the wrong type"}},
		{"an error of the API", "shlink", `{"shortUrls":1}`, 0, []string{`line 1: invalid JSON: "shortUrls" must contain links`}},
		{"bad time", "bitly", `{"links":[{"link":"bit.ly/a","created_at":"x"}]}`, 0, []string{"line 1: created_at: must be a time"}},
		{"cut off SQL", "yourls", "INSERT INTO yourls_url VALUES ('a','https://a", 0, []string{"line 1: invalid SQL: unexpected EOF"}},
		{"SQL without values", "yourls", "INSERT INTO yourls_url SELECT 1;", 0, []string{"line 1: invalid SQL"}},
		{"SQL with a missing value", "yourls", "INSERT INTO yourls_url VALUES (,);", 0, []string{"line 1: invalid SQL: a value is missing"}},
		{"no SQL at all", "yourls", "hello", 0, nil},
		{"SQL number", "yourls", "INSERT IGNORE INTO `db_url` VALUES ('a','https://a.example','t','2020-01-01 00:00:00','ip',x);", 0, []string{"line 1: clicks: must be a whole number"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			records, problems := read(t, tt.source, strings.NewReader(tt.text))
			if len(records) != tt.records || len(problems) != len(tt.problems) {
				t.Fatalf("%d records with problems %q, want %d with %q", len(records), problems, tt.records, tt.problems)
			}
			for i, want := range tt.problems {
				if !strings.HasPrefix(problems[i], want) {
					t.Errorf("problem %d = %q, want %q", i, problems[i], want)
				}
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ source, text, want string }{
		{"tinyurl", "", "unknown source"},
		{"terse", "", "is empty"},
		{"terse", "code,title\n", "column url"},
		{"terse", "url,nonsense\n", `unknown column "nonsense"`},
		{"terse", "url,url\n", "appears twice"},
		{"bitly", "title\n", "destination_url or long_url"},
	} {
		if _, err := transfer.Open(tt.source, strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Open(%s, %q) = %v, want %q", tt.source, tt.text, err, tt.want)
		}
	}
}

// TestWriterIsReader checks that a Reader reads what a Writer wrote, for both formats
// and both kinds of links.
func TestWriterIsReader(t *testing.T) {
	t.Parallel()
	owner := "key_x"
	whole := client.ArchivedLink{
		Code: "a-b_C", URL: `https://example.com/?q="a,b"`, Owner: &owner, Title: "日本 \"x\", y\u200d", Tags: []string{"a,b", `"q"`, " é"},
		Status: 307, ForwardQuery: "append", StartsAt: at("2030-01-01T00:00:00.000001Z"), ExpiresAt: at("2031-01-01T00:00:00Z"),
		MaxClicks: 3, UsedClicks: 1, PasswordHash: "$2a$10$x", DisabledAt: at("2026-01-01T00:00:00Z"), DisabledReason: "spam, \"bad\"",
		DeletedAt: at("2026-03-01T00:00:00Z"), Clicks: 1 << 60, LastClickAt: at("2026-02-01T00:00:00Z"), CreatedAt: at("2025-01-01T00:00:00.123456Z"), UpdatedAt: at("2025-01-02T00:00:00Z"), Version: 4,
	}
	own := client.Link{
		Code: "a", ShortURL: "https://sho.rt/a", URL: whole.URL, Title: whole.Title, Tags: whole.Tags, Status: 302, ForwardQuery: "off",
		State: "disabled", PasswordProtected: true, CreatedAt: *whole.CreatedAt, UpdatedAt: *whole.UpdatedAt, Version: 1,
	}
	for _, format := range transfer.Formats {
		var b bytes.Buffer
		w, err := transfer.NewWriter(format, &b)
		if err != nil || w.Begin(true) != nil || w.WriteArchived(&whole) != nil || w.Flush() != nil {
			t.Fatalf("write %s: %v", format, err)
		}
		got, problems := read(t, "terse", &b)
		if len(got) != 1 || !reflect.DeepEqual(got[0].Link, whole) || !got[0].Disabled {
			t.Errorf("%s reads %+v %q, want %+v", format, got, problems, whole)
		}
		b.Reset()
		if w.Begin(false) != nil || w.Write(&own) != nil || w.Flush() != nil {
			t.Fatalf("write %s", format)
		}
		got, problems = read(t, "terse", &b)
		if len(got) != 1 || !got[0].PasswordLost || !got[0].Disabled || got[0].Link.URL != own.URL || !reflect.DeepEqual(got[0].Link.Tags, own.Tags) {
			t.Errorf("%s reads %+v %q, want %+v", format, got, problems, own)
		}
	}
}

// FuzzOpen checks that no file makes a Reader panic or loop forever, and that each
// record has a valid line number.
func FuzzOpen(f *testing.F) {
	for _, source := range transfer.Sources() {
		for _, suffix := range []string{"sql", "json", "csv"} {
			if text, err := os.ReadFile(fmt.Sprintf("testdata/%s.%s", source, suffix)); err == nil {
				f.Add(source, text)
			}
		}
	}
	f.Add("terse", []byte("url,tags\nhttps://a.example,\"a,b\"\n"))
	f.Fuzz(func(t *testing.T, source string, text []byte) {
		reader, err := transfer.Open(source, bytes.NewReader(text))
		if err != nil {
			return
		}
		lines := bytes.Count(text, []byte("\n")) + 1
		for range 2*len(text) + 2 {
			record, err := reader.Next()
			var row *transfer.RowError
			if err != nil && !errors.As(err, &row) {
				return
			}
			if err == nil && (record.Line < 1 || record.Line > lines) {
				t.Fatalf("record of line %d, want 1 to %d", record.Line, lines)
			}
		}
		t.Fatalf("Next did not end after %d calls", 2*len(text)+2)
	})
}
