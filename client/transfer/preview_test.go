package transfer_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/terse/terse/client/transfer"
)

func TestReadPreview(t *testing.T) {
	t.Parallel()
	const file = "\xef\xbb\xbfsep=;\r\nLong URL; Slug ;Long URL\r\nhttps://example.com/1;one\r\n;;\r\n\"https://example.com/2\";a\"b;\r\nhttps://example.com/3;\"three\r\nlines\";x\r\nhttps://example.com/4;;\r\n"
	p, err := transfer.ReadPreview(strings.NewReader(file), 2)
	want := transfer.Preview{Columns: []string{"Long URL", "Slug", "Long URL"}, Rows: [][]string{{"https://example.com/1", "one"}, {"https://example.com/3", "three\nlines", "x"}}}
	if err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("ReadPreview = %q, %v, want %q", p, err, want)
	}
	if got, want := transfer.GuessColumns(p.Columns), map[string]string{"url": "Long URL", "code": "Slug"}; !reflect.DeepEqual(got, want) {
		t.Errorf("GuessColumns = %v, want %v", got, want)
	}
	for _, file := range []string{"", "{}", "<html>", "INSERT INTO links VALUES (1)"} {
		if p, err := transfer.ReadPreview(strings.NewReader(file), 2); !errors.Is(err, transfer.ErrNoLinks) {
			t.Errorf("ReadPreview(%q) = %v, %v, want %v", file, p, err, transfer.ErrNoLinks)
		}
	}
}

// TestFieldsWithoutAColumn checks that a field with an empty column is not read, and that a column can be
// another field at the same time.
func TestFieldsWithoutAColumn(t *testing.T) {
	t.Parallel()
	for range 20 { // maps have a random order
		r, err := transfer.Open(strings.NewReader("url,title,tags,password_protected\nhttps://example.com/,The title,a,true\n"),
			transfer.ReadOptions{Source: "terse", Columns: map[string]string{"url": "url", "title": "tags", "tags": "", "code": "title"}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Next()
		if err != nil || got.Link.Title != "a" || got.Link.Tags != nil || got.Link.Code != "The title" || !got.PasswordLost {
			t.Fatalf("Next = %+v, %v, want the title a, no tags and a lost password", got, err)
		}
	}
}
