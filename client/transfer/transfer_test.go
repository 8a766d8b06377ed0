package transfer_test

import (
	"bytes"
	"encoding/csv"
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
	reader, err := transfer.Open(r, transfer.ReadOptions{Source: source})
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
			record.Domain = ""
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
	type warnings = []transfer.Warning
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
		{"yourls-phpmyadmin.sql", []transfer.Record{
			{Line: 15, Warnings: warnings{
				{"created_at", `"0000-00-00 00:00:00" is not a clear time and was dropped`},
				{"title", "line breaks and control characters were removed"},
			}, Link: link{Code: "hex", URL: "https://example.com/hex?a=1", Title: "Two lines", Clicks: 5}},
			{Line: 16, Link: link{Code: "bin", URL: "https://example.com/binary", CreatedAt: at("2024-02-03T04:05:06Z"), Clicks: 6}},
			{Line: 17, Warnings: warnings{{"timestamp", "was dropped: it is an expression"}}, Link: link{Code: "x-hex", URL: "https://example.com/x", Clicks: 1234}},
			{Line: 18, Link: link{Code: "replaced", URL: "https://example.com/replaced"}},
		}, nil},
		{"yourls-ansi.sql", []transfer.Record{
			{Line: 14, Link: link{Code: "seven", URL: "https://example.com/seven", Title: "A 'title'", CreatedAt: at("2020-01-02T03:04:05Z"), Clicks: 7}},
		}, nil},
		{"yourls-sqlite.sql", []transfer.Record{
			{Line: 4, Link: link{Code: "five", URL: "https://example.com/five", Title: `C:\temp\new 'x'`, CreatedAt: at("2020-01-02T03:04:05Z"), Clicks: 5}},
		}, nil},
		{"kutt-copy.sql", []transfer.Record{
			{Line: 23, Warnings: warnings{{"title", "line breaks and control characters were removed"}}, Link: link{
				Code: "hello", URL: `https://example.com/a\b`, Title: "A tab", CreatedAt: at("2021-03-04T05:06:07.89Z"), UpdatedAt: at("2021-03-05T05:06:07.89Z"), Clicks: 42,
			}},
			{Line: 24, Link: link{
				Code: "locked", URL: "https://example.com/locked", PasswordHash: "$2a$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
				ExpiresAt: at("2099-01-01T00:00:00Z"), CreatedAt: at("2021-03-04T05:06:07Z"), UpdatedAt: at("2021-03-04T05:06:07Z"),
			}},
		}, nil},
		{"kutt-inserts.sql", []transfer.Record{
			{Line: 2, Link: link{Code: "hello", URL: `https://example.com/a\b`, Clicks: 42}},
			{Line: 3, Link: link{Code: "e", URL: "https://example.com/it's", Clicks: 1}},
		}, nil},
		{"kutt-table.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "hello", URL: "https://example.com/hello", Title: "Says hello", CreatedAt: at("2021-03-04T05:06:07.89Z"), UpdatedAt: at("2021-03-05T05:06:07.89Z"), Clicks: 42}},
			{Line: 3, Link: link{
				Code: "locked", URL: "https://example.com/locked", PasswordHash: "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
				CreatedAt: at("2021-03-04T05:06:07.89Z"), UpdatedAt: at("2021-03-04T05:06:07.89Z"),
			}},
		}, nil},
		{"shlink-headers.csv", []transfer.Record{
			{Line: 3, Link: link{Code: "12C18", Domain: "s.test", URL: "https://example.com/?a=1", Tags: []string{"games", "tech"}, CreatedAt: at("2016-08-21T18:34:16Z"), Clicks: 1328}},
			{Line: 4, Warnings: warnings{
				{"title", "line breaks and control characters were removed"},
			}, Link: link{Code: "rY9zd", Domain: "other.test", URL: "https://example.com/?a=1;2", Title: "Two lines", CreatedAt: at("2022-01-02T03:04:05Z")}},
		}, nil},
		{"bitly-original.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "36lEcX1", URL: "https://example.com/a", Title: "An article", Tags: []string{"print", "web"}, CreatedAt: at("2020-09-29T14:25:00Z"), Clicks: 17}},
		}, nil},
		{"rebrandly.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "product", URL: "https://example.com/products/item-123", CreatedAt: at("2024-01-15T10:30:00Z")}},
		}, nil},
		{"rebrandly.json", []transfer.Record{
			{Line: 1, Link: link{Code: "burn10M", URL: "https://example.com/car", Title: "A car", Tags: []string{"cars", "red"}, CreatedAt: at("2016-07-13T10:54:12Z"), UpdatedAt: at("2016-07-13T10:54:12Z"), Clicks: 42}},
		}, nil},
		{"shortio.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "a1", URL: "https://example.com/a", Title: "First", Tags: []string{"x", "y"}, CreatedAt: at("2023-12-31T23:59:00Z"), Clicks: 12}},
		}, nil},
		{"shortio.json", []transfer.Record{
			{Line: 1, PasswordLost: true, Warnings: warnings{{"android_url", "was dropped: all visits go to the same target"}}, Link: link{
				Code: "a1", URL: "https://example.com/a", Tags: []string{"x"}, CreatedAt: at("2023-12-31T23:59:00Z"), ExpiresAt: at("2100-01-01T00:00:00Z"),
			}},
		}, nil},
		{"dub.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "try", URL: "https://example.com/try", Tags: []string{"print", "web"}, CreatedAt: at("2024-05-06T07:08:09Z"), UpdatedAt: at("2024-05-07T07:08:09Z"), Clicks: 17}},
		}, nil},
		{"dub.json", []transfer.Record{
			{Line: 1, Link: link{
				Rules: []client.Rule{{If: &client.Condition{Members: client.Members{Country: []string{"US"}}}, To: "https://example.com/us"}},
				Code:  "try", URL: "https://example.com/try", Title: "Try", Tags: []string{"print"}, CreatedAt: at("2024-05-06T07:08:09Z"), UpdatedAt: at("2024-05-06T07:08:09Z"), Clicks: 17,
			}},
		}, nil},
		{"yourls.json", []transfer.Record{
			{Line: 1, Link: link{Code: "ozh", URL: "https://ozh.org/", Title: "Ozh", CreatedAt: at("2012-03-01T17:20:01Z"), Clicks: 12345}},
			{Line: 2, Link: link{Code: "1", URL: "https://example.com/", Title: "日本", CreatedAt: at("2020-02-29T23:59:59Z")}},
		}, nil},
		{"yourls.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "ozh", URL: "https://ozh.org/", Title: "Ozh", CreatedAt: at("2012-03-01T17:20:01Z"), Clicks: 12345}},
		}, nil},
		{"shlink.json", []transfer.Record{
			{Line: 4, Link: link{
				Code: "12C18", URL: "https://store.steampowered.com", Tags: []string{"games", "tech"}, ForwardQuery: "override",
				CreatedAt: at("2016-08-21T18:34:16Z"), StartsAt: at("2017-01-20T22:00:00Z"), MaxClicks: 400, UsedClicks: 328, Clicks: 328,
			}},
			{Line: 18, Link: link{
				Code: "multi/segment", Domain: "s.test", URL: "https://example.com/", Title: "Two segments",
				CreatedAt: at("2020-01-02T03:04:05Z"), ExpiresAt: at("2021-01-01T00:00:00Z"), Clicks: 9,
			}},
			{Line: 34, Link: link{Code: "rY9zd", URL: "https://example.com/3", Title: "Drei", Tags: []string{"a b"}, CreatedAt: at("2022-01-02T03:04:05Z")}},
		}, nil},
		{"shlink.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "12C18", Domain: "s.test", URL: "https://store.steampowered.com", Tags: []string{"games", "tech"}, CreatedAt: at("2016-08-21T18:34:16Z"), Clicks: 328}},
			{Line: 3, Link: link{Code: "rY9zd", Domain: "s.test", URL: "https://example.com/?a=1,2", Title: `A "quoted" title`, CreatedAt: at("2022-01-02T03:04:05Z")}},
		}, nil},
		{"kutt.json", []transfer.Record{
			{Line: 2, Link: link{Code: "hello", URL: "https://example.com/hello", Title: "Says hello", CreatedAt: at("2021-03-04T05:06:07.89Z"), UpdatedAt: at("2021-03-05T05:06:07.89Z"), Clicks: 42}},
			{Line: 3, PasswordLost: true, Link: link{
				Code: "secret", URL: "https://example.com/secret", CreatedAt: at("2021-03-04T05:06:07.89Z"), UpdatedAt: at("2021-03-04T05:06:07.89Z"),
				ExpiresAt: at("2099-01-01T00:00:00Z"),
			}},
			{Line: 4, Disabled: true, Link: link{
				Domain: "go.example",
				Code:   "evil", URL: "https://example.com/evil", CreatedAt: at("2021-03-04T05:06:07.89Z"), UpdatedAt: at("2021-04-04T05:06:07.89Z"),
				DisabledAt: at("2021-04-04T05:06:07.89Z"), DisabledReason: "banned", Clicks: 1,
			}},
		}, nil},
		{"kutt.csv", []transfer.Record{
			{Line: 2, Link: link{Code: "hello", URL: "https://example.com/hello", Title: "Says hello", CreatedAt: at("2021-03-04T05:06:07.89Z"), UpdatedAt: at("2021-03-05T05:06:07.89Z"), Clicks: 42}},
		}, nil},
		{"bitly.json", []transfer.Record{
			{Line: 2, Link: link{Code: "36lEcX1", URL: "https://example.com/a", Title: "An article", Tags: []string{"print"}, CreatedAt: at("2020-09-29T14:25:22Z")}},
			{Line: 3, Link: link{Code: "my-own", URL: "https://example.com/b", CreatedAt: at("2021-09-29T14:25:22Z")}},
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
			source, _, _ := strings.Cut(strings.ReplaceAll(tt.file, "-", "."), ".")
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
			[]string{"line 3: must be one JSON", "line 4: url: has the wrong type", `line 5: must be one JSON object of a link: unknown field "nonsense"`, "line 6: must be one", "line 7: must be at most"},
		},
		{
			"terse csv", "terse", "\ufeffurl,code,tags,max_clicks,expires_at\nhttps://a.example,a,\"x,\"\"y,z\"\"\",1,2030-01-01T00:00:00Z\n" +
				"https://b.example,b,,many,\nhttps://c.example,c,,,tomorrow\nhttps://d.example,d,,,,,7\nhttps://e.example\n", 4,
			[]string{"line 5: has 7 fields for 5 columns"},
		},
		{"csv with a bare quote", "terse", "url\nhttps://a.example\na\"b\nhttps://b.example\n", 2, []string{`line 3: bare " in`}},
		{"cut off JSON", "kutt", `{"data":[{"address":"a","target":"https://a.example"},{"address":`, 1, []string{"line 1: invalid JSON"}},
		{"wrong type", "kutt", `[{"address":1,"target":"https://a.example"},{"address":"b","target":"https://b.example"}]`, 1, []string{"line 1: address: has the wrong type"}},
		{"lines of records", "kutt", "{\"address\":\"a\",\"target\":\"https://a.example\"}\n{\"address\":\"b\"}\n", 1, []string{"line 2: url: is missing"}},
		{"no objects", "shlink", `[1,2]`, 0, []string{"line 1: must be one JSON object", "line 1: must be one JSON object"}},
		{"an error of the API", "shlink", `{"shortUrls":1}`, 0, []string{`line 1: invalid JSON: "shortUrls" must contain links`}},
		{"a member twice", "kutt", `[{"address":"a","target":"https://a.example","target":"https://b.example"}]`, 0, []string{"line 1: target: appears twice"}},
		{"a member in two spellings", "terse", `{"url":"https://a.example","URL":"https://b.example"}`, 0, []string{"line 1: "}},
		{"half a surrogate pair", "terse", `{"url":"https://a.example/\ud83d"}`, 0, []string{"line 1: url: has half of a surrogate pair"}},
		{"cut off SQL", "yourls", "INSERT INTO yourls_url VALUES ('a','https://a", 0, []string{"line 1: invalid SQL: unexpected EOF"}},
		{"SQL without values", "yourls", "INSERT INTO yourls_url SELECT 1;\nINSERT INTO yourls_url (keyword,url) VALUES ('a','https://a.example');", 1, []string{`line 1: invalid SQL: "SELECT" instead of VALUES`}},
		{"SQL with a missing value", "yourls", "INSERT INTO yourls_url VALUES (,);", 0, []string{"line 1: invalid SQL: a value is missing"}},
		{"SQL with an expression for the target", "yourls", "INSERT INTO yourls_url (keyword,url) VALUES ('a',CONCAT('https://','a')),('b','https://b.example');", 1, []string{"line 1: url: has the wrong type"}},
		{"SQL without names", "yourls", "INSERT INTO yourls_url VALUES ('a','https://a.example','t','2020-01-01 00:00:00','ip',1,'more');", 0, []string{"line 1: has 7 values"}},
		{"SQL number", "yourls", "INSERT IGNORE INTO `db_url` VALUES ('a','https://a.example','t','2020-01-01 00:00:00','ip','x');", 1, nil},
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

// TestNoLinks checks that a file that a source cannot have is an error, which says what the file
// has.
func TestNoLinks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ source, text, want string }{
		{"tinyurl", "", "unknown source"},
		{"terse", "", "it is empty"},
		{"yourls", "", "it is empty"},
		{"shlink", "\ufeff", "it is empty"},
		{"bitly", "\n\r\n", "only empty lines"},
		{"terse", "code,title\n", `it needs the column url, and has the columns "code", "title"`},
		{"terse", "url,nonsense\n", `the column "nonsense" is unknown. The file has the columns "url", "nonsense"`},
		{"terse", "url,url\n", "appears twice"},
		{"terse", "url,code\n", `it has the columns "url", "code" and no rows`},
		{"terse", "INSERT INTO x VALUES (1);", "it is SQL"},
		{"terse", "set;use;copy of it\n", `it needs the column url, and has the columns "set", "use", "copy of it"`},
		{"bitly", "Title,Date\na,b\n", `it needs the column long_url or destination_url`},
		{"bitly", "Title,Date\na,b\n", `has the columns "Title", "Date"`},
		{"bitly", "long_url,title\nhttps://a.example,b\n", "it needs the column custom_bitlinks or"},
		{"shlink", "hello", `has the columns "hello"`},
		{"yourls", "hello", `has the columns "hello"`},
		{"yourls", "<?xml version=\"1.0\"?><a/>", "it is XML"},
		{"yourls", "PK\x03\x04x", "compressed"},
		{"yourls", "-- nothing\nSELECT 1;\n", "it is SQL without rows"},
		{"yourls", "INSERT INTO `wp_posts` VALUES (1,2);", `rows of the tables "wp_posts"`},
		{"yourls", "INSERT INTO `wp_curl` (`id`,`x`) VALUES (1,2);", `rows of the tables "wp_curl"`},
		{"kutt", `{"data":[]}`, `it is JSON with the members "data"`},
		{"bitly", `[]`, "it is JSON without objects"},
		{"bitly", "INSERT INTO x VALUES (1);", "it is SQL"},
		{"terse", "u\x00r\x00l\x00\n\x00", "--encoding"},
	} {
		reader, err := transfer.Open(strings.NewReader(tt.text), transfer.ReadOptions{Source: tt.source})
		if err == nil {
			_, err = reader.Next()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Open(%s, %q) = %v, want %q", tt.source, tt.text, err, tt.want)
		}
		if tt.want != "unknown source" && tt.want != "appears twice" && !errors.Is(err, transfer.ErrNoLinks) {
			t.Errorf("Open(%s, %q) = %v, want ErrNoLinks", tt.source, tt.text, err)
		}
	}
}

// TestEncodings checks that text in another encoding is read when its encoding is known, and
// rejected otherwise.
func TestEncodings(t *testing.T) {
	t.Parallel()
	const want = "https://e.example/café"
	utf16 := func(s string) (b []byte) {
		for _, c := range s {
			b = append(b, byte(c), byte(c>>8))
		}
		return b
	}
	csv := "url,title\n" + want + ",é\n"
	latin := strings.NewReplacer("é", "\xe9")
	for _, tt := range []struct{ name, source, encoding, text, problem string }{
		{"UTF-8", "terse", "", csv, ""},
		{"UTF-8 by name", "terse", "utf-8", csv, ""},
		{"UTF-8 with a mark", "terse", "", "\ufeff" + csv, ""},
		{"a mark against the name", "terse", "latin1", "\ufeff" + csv, ""},
		{"UTF-16 with a mark", "terse", "", "\xff\xfe" + string(utf16(csv)), ""},
		{"UTF-16 by name", "terse", "utf-16le", string(utf16(csv)), ""},
		{"UTF-16 cut off", "terse", "", "\xff\xfe" + string(utf16(csv)) + "x", "not valid UTF-8"},
		{"Latin-1", "terse", "latin1", latin.Replace(csv), ""},
		{"Windows", "terse", "windows-1252", latin.Replace(csv), ""},
		{"Windows with an unused byte", "terse", "windows-1252", "url\nhttps://e.example/\x81\n", "url: is not valid UTF-8"},
		{"Latin-1 without a name", "terse", "", latin.Replace(csv), "line 2: url: is not valid UTF-8. If the file has another encoding, name it with --encoding"},
		{"Latin-1 in the title", "terse", "", "url,title\nhttps://e.example,\xe9\n", "title: is not valid UTF-8"},
		{"Latin-1 in a tag", "terse", "", "url,tags\nhttps://e.example,\"a,\xe9\"\n", "tags: is not valid UTF-8"},
		{"Latin-1 in the code", "terse", "", "url,code\nhttps://e.example,\xe9\n", "code: is not valid UTF-8"},
		{"Latin-1 in JSON", "terse", "", "{\"url\":\"https://e.example\",\"title\":\"\xe9\"}", "title: is not valid UTF-8"},
		{"Latin-1 in JSON of a product", "kutt", "", "{\"data\":[{\"address\":\"a\",\"target\":\"https://e.example/\xe9\"}]}", "target: is not valid UTF-8"},
		{"Latin-1 in SQL", "yourls", "", "INSERT INTO yourls_url (keyword,url) VALUES ('a','https://e.example/\xe9');", "url: is not valid UTF-8"},
		{"Latin-1 in SQL by name", "yourls", "latin1", "INSERT INTO yourls_url (keyword,url) VALUES ('a','https://e.example/caf\xe9');", ""},
		{"a replacement character that the file has", "terse", "", "url\nhttps://e.example/\ufffd\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reader, err := transfer.Open(strings.NewReader(tt.text), transfer.ReadOptions{Source: tt.source, Encoding: tt.encoding})
			if err != nil {
				t.Fatalf("Open() = %v", err)
			}
			record, err := reader.Next()
			if tt.problem == "" {
				if err != nil || record.Link.URL != want && !strings.HasSuffix(record.Link.URL, "\ufffd") {
					t.Errorf("Next() = %+q, %v, want %q", record.Link.URL, err, want)
				}
				return
			}
			for err == nil {
				_, err = reader.Next()
			}
			if !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("Next() = %v, want %q", err, tt.problem)
			}
		})
	}
	if _, err := transfer.Open(strings.NewReader("x"), transfer.ReadOptions{Source: "terse", Encoding: "klingon"}); err == nil || !strings.Contains(err.Error(), "klingon") {
		t.Errorf("Open() in an unknown encoding = %v, want an error with the name", err)
	}
}

// TestSecondaryFields checks that a secondary field never rejects a link, and what becomes of it.
func TestSecondaryFields(t *testing.T) {
	t.Parallel()
	type link = client.ArchivedLink
	var many []string
	for i := range 21 {
		many = append(many, fmt.Sprintf("tag%02d", i))
	}
	for _, tt := range []struct {
		column, cell string
		want         link
		warning      string // none if empty
	}{
		{"title", "\"a\nb\r\n\tc\"", link{Title: "a b c"}, "title: line breaks"},
		{"title", "a\u202eb\u2028c\x07", link{Title: "ab c"}, "title: line breaks"},
		{"title", strings.Repeat("é", 501), link{Title: strings.Repeat("é", 500)}, "title: was cut to 500 characters"},
		{"title", "=1+1", link{Title: "=1+1"}, ""},
		{"title", "'=1+1", link{Title: "'=1+1"}, ""},
		{"tags", "a; b|\tc", link{Tags: []string{"a", "b", "c"}}, ""},
		{"tags", `"a,""b,c"",d"`, link{Tags: []string{"a", "b,c", "d"}}, ""},
		{"tags", `"[""a"",""b,c""]"`, link{Tags: []string{"a", "b,c"}}, ""},
		{"tags", `"""a"`, link{}, "tags: were dropped: a quote is not closed"},
		{"tags", strings.Repeat("a", 51) + ";b", link{Tags: []string{"b"}}, "was dropped: a tag has 1 to 50 characters"},
		{"tags", strings.Join(many, ";"), link{Tags: many[:20]}, `"tag20" was dropped: a link has at most 20 tags`},
		{"tags", "a\u202e;b", link{Tags: []string{"a", "b"}}, `became "a"`},
		{"expires_at", "31.12.2099 23:59", link{ExpiresAt: at("2099-12-31T23:59:00Z")}, ""},
		{"expires_at", "12/31/2099", link{ExpiresAt: at("2099-12-31T00:00:00Z")}, ""},
		{"expires_at", "31/12/2099 11:59 PM", link{ExpiresAt: at("2099-12-31T23:59:00Z")}, ""},
		{"expires_at", "\"Dec 31, 2099, 11:59 PM\"", link{ExpiresAt: at("2099-12-31T23:59:00Z")}, ""},
		{"expires_at", "4102444800", link{ExpiresAt: at("2100-01-01T00:00:00Z")}, ""},
		{"expires_at", "2099-12-31 23:59:00+02", link{ExpiresAt: at("2099-12-31T21:59:00Z")}, ""},
		{"expires_at", "Thu Dec 31 2099 23:59:00 GMT+0100 (Central European Standard Time)", link{ExpiresAt: at("2099-12-31T22:59:00Z")}, ""},
		{"expires_at", "03/04/2099", link{}, `expires_at: "03/04/2099" is not a clear time and was dropped`},
		{"expires_at", "0000-00-00", link{}, "expires_at: "},
		{"expires_at", "0001-01-01T00:00:00Z", link{}, "expires_at: "},
		{"expires_at", "NULL", link{}, ""},
		{"created_at", "9999-01-01", link{}, "created_at: "},
		{"clicks", `"1,234"`, link{Clicks: 1234}, ""},
		{"clicks", "5.000", link{}, "clicks"},
		{"clicks", "1.234.567", link{Clicks: 1234567}, ""},
		{"clicks", "1\u00a0234", link{Clicks: 1234}, ""},
		{"clicks", "12.0", link{Clicks: 12}, ""},
		{"clicks", "many", link{}, "clicks: "},
		{"clicks", "-5", link{}, "clicks: "},
		{"max_clicks", "1000000001", link{}, "max_clicks: "},
		{"status", "303", link{}, "status: 303"},
		{"forward_query", "yes", link{}, "forward_query: "},
		{"forward_path", "override", link{}, "forward_path: "},
	} {
		got, problems := read(t, "terse", strings.NewReader("url,"+tt.column+"\nhttps://a.example,"+tt.cell+"\n"))
		if len(got) != 1 || len(problems) > 0 {
			t.Errorf("%s %q gives %+v, %q, want a link", tt.column, tt.cell, got, problems)
			continue
		}
		tt.want.URL = "https://a.example"
		if !reflect.DeepEqual(got[0].Link, tt.want) {
			t.Errorf("%s %q gives %+v, want %+v", tt.column, tt.cell, got[0].Link, tt.want)
		}
		if warned := fmt.Sprint(got[0].Warnings); (tt.warning == "") != (len(got[0].Warnings) == 0) || !strings.Contains(warned, tt.warning) {
			t.Errorf("%s %q gives the warnings %s, want %q", tt.column, tt.cell, warned, tt.warning)
		}
	}
}

// TestMainFields checks that the target and the code are never changed: a value that cannot be
// a code stays as it is, so that the server rejects it.
func TestMainFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ source, text, url, code string }{
		{"terse", "url,code\n https://a.example , b \n", " https://a.example ", " b "},
		{"terse", "url,short_url\nhttps://a.example,https://s.test/b\n", "https://a.example", "b"},
		{"bitly", "long_url,link\nhttps://a.example,bit.ly/a/b\n", "https://a.example", "a/b"},
		{"bitly", "long_url,link\nhttps://a.example,https://s.test/\n", "https://a.example", "https://s.test/"},
		{"bitly", "long_url,link\nhttps://a.example,https://s.test/%zz\n", "https://a.example", "https://s.test/%zz"},
		{"kutt", `[{"address":" a ","target":"HTTPS://A.example/%7e"}]`, "HTTPS://A.example/%7e", " a "},
	} {
		got, problems := read(t, tt.source, strings.NewReader(tt.text))
		if len(got) != 1 || got[0].Link.URL != tt.url || got[0].Link.Code != tt.code {
			t.Errorf("%q gives %+v, %q, want the target %q and the code %q", tt.text, got, problems, tt.url, tt.code)
		}
	}
}

// TestColumns checks columns that are named by hand.
func TestColumns(t *testing.T) {
	t.Parallel()
	const text = "Name,Web address,Slug,Words,escaped\n'=x,https://a.example,s,a;b,Name\n"
	open := func(columns map[string]string) (transfer.Record, error) {
		reader, err := transfer.Open(strings.NewReader(text), transfer.ReadOptions{Source: "terse", Columns: columns})
		if err != nil {
			return transfer.Record{}, err
		}
		return reader.Next()
	}
	got, err := open(map[string]string{"url": "Web Address", "alias": "Slug", "tags": "Words", "title": "Name"})
	want := client.ArchivedLink{URL: "https://a.example", Code: "s", Tags: []string{"a", "b"}, Title: "'=x"}
	if err != nil || !reflect.DeepEqual(got.Link, want) {
		t.Errorf("Next() = %+v, %v, want %+v", got.Link, err, want)
	}
	for _, tt := range []struct {
		columns map[string]string
		want    string
	}{
		{map[string]string{"url": "Missing"}, `there is no column "Missing" for url; the file has the columns "Name"`},
		{map[string]string{"target": "Web address"}, `there is no field "target"`},
		{map[string]string{"title": "Name"}, "it needs the column url"},
	} {
		if _, err := open(tt.columns); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Open() with %v = %v, want %q", tt.columns, err, tt.want)
		}
	}
}

// TestFormulas checks that an export for people has no cell that a spreadsheet runs, that its
// import gives the same links, and that cells that were never escaped stay.
func TestFormulas(t *testing.T) {
	t.Parallel()
	titles := []string{"=1+1", "+1", "-1", "@a", "'=1", "'", "''", "a", "", "＝1", "==", "'-", "x;=1", "x; \"'@a;+1", ";'=", "''=1"}
	write := func(opts transfer.WriteOptions) string {
		opts.Format = "csv"
		var b bytes.Buffer
		w, err := transfer.NewWriter(&b, opts)
		if err != nil || w.Begin() != nil {
			t.Fatal(err)
		}
		for i, title := range titles {
			l := client.Link{Code: fmt.Sprintf("-%d", i), URL: "https://a.example", Title: title, Tags: []string{title + "t"}, DisabledReason: title}
			if err := w.Write(&l); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	safe, exact := write(transfer.WriteOptions{}), write(transfer.WriteOptions{ExactCells: true})
	for _, text := range []string{safe, exact} {
		got, problems := read(t, "terse", strings.NewReader(text))
		if len(got) != len(titles) || len(problems) > 0 {
			t.Fatalf("%d links with problems %q, want %d", len(got), problems, len(titles))
		}
		for i, title := range titles {
			l := got[i].Link
			if l.Title != title || l.Code != fmt.Sprintf("-%d", i) || l.DisabledReason != title || !reflect.DeepEqual(l.Tags, []string{title + "t"}) {
				t.Errorf("title %q gives %+v", title, l)
			}
		}
	}
	rows, err := csv.NewReader(strings.NewReader(safe)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, cell := range row {
			for _, part := range strings.FieldsFunc(cell, func(r rune) bool { return r == ';' || r == '\t' }) {
				if text := strings.TrimLeft(part, ` "`); text != "" && strings.ContainsRune("=+-@＝", []rune(text)[0]) {
					t.Errorf("the export for people has the cell %q", cell)
				}
			}
		}
	}
	if strings.Contains(exact, "'-0") || strings.Contains(exact, "escaped") {
		t.Errorf("the exact export is escaped: %s", exact)
	}
	// A row that somebody adds to the file is not changed.
	got, _ := read(t, "terse", strings.NewReader("url,title,escaped\nhttps://a.example,'=1,\nhttps://b.example,'=1,title\nhttps://c.example,=1,title\n"))
	if len(got) != 3 || got[0].Link.Title != "'=1" || got[1].Link.Title != "=1" || got[2].Link.Title != "=1" {
		t.Errorf("rows of an edited file = %+v", got)
	}
}

// TestWriterIsReader checks that a Reader reads what a Writer wrote, for both formats
// and both kinds of links.
func TestWriterIsReader(t *testing.T) {
	t.Parallel()
	owner := "key_x"
	whole := client.ArchivedLink{
		Code: "a-b_C", URL: `https://example.com/?q="a,b"`, Owner: &owner, Title: "日本 \"x\", y\u200d", Tags: []string{"a,b", `"q"`, "a;b|c", "é d"},
		Status: 307, ForwardQuery: "append", ForwardPath: "append", StartsAt: at("2030-01-01T00:00:00.000001Z"), ExpiresAt: at("2031-01-01T00:00:00Z"),
		MaxClicks: 3, UsedClicks: 1, Confirm: true, NoVisitors: true, PasswordHash: "$2a$10$x", DisabledAt: at("2026-01-01T00:00:00Z"), DisabledReason: "spam, \"bad\"",
		DeletedAt: at("2026-03-01T00:00:00Z"), Clicks: 1 << 60, Robots: 7, LastClickAt: at("2026-02-01T00:00:00Z"), CreatedAt: at("2025-01-01T00:00:00.123456Z"), UpdatedAt: at("2025-01-02T00:00:00Z"), Version: 4,
	}
	own := client.Link{
		Code: "a", ShortURL: "https://sho.rt/a", URL: whole.URL, Title: whole.Title, Tags: whole.Tags, Status: 302, ForwardQuery: "off",
		State: "disabled", PasswordProtected: true, CreatedAt: *whole.CreatedAt, UpdatedAt: *whole.UpdatedAt, Version: 1,
	}
	for _, format := range transfer.Formats {
		var b bytes.Buffer
		w, err := transfer.NewWriter(&b, transfer.WriteOptions{Format: format, Whole: true})
		if err != nil || w.Begin() != nil || w.WriteArchived(&whole) != nil || w.Flush() != nil {
			t.Fatalf("write %s: %v", format, err)
		}
		got, problems := read(t, "terse", &b)
		if len(got) != 1 || !reflect.DeepEqual(got[0].Link, whole) || !got[0].Disabled {
			t.Errorf("%s reads %+v %q, want %+v", format, got, problems, whole)
		}
		b.Reset()
		if w, err = transfer.NewWriter(&b, transfer.WriteOptions{Format: format}); err != nil || w.Begin() != nil || w.Write(&own) != nil || w.Flush() != nil {
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
	files, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile("testdata/" + file.Name()); err == nil {
			source, _, _ := strings.Cut(strings.ReplaceAll(file.Name(), "-", "."), ".")
			f.Add(source, text)
		}
	}
	f.Add("terse", []byte("url,tags\nhttps://a.example,\"a,b\"\n"))
	f.Fuzz(func(t *testing.T, source string, text []byte) {
		reader, err := transfer.Open(bytes.NewReader(text), transfer.ReadOptions{Source: source})
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
