package store_test

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/terse/terse/store"
)

func TestCutPath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, code, rest string
		climbs           bool
	}{
		{path: "/", code: ""},
		{path: "/code", code: "code"},
		{path: "/code/", code: "code"},
		{path: "/c%6Fde/a/b", code: "code", rest: "/a/b"},
		{path: "/code//", code: "code", rest: "//"},
		{path: "/code//a/", code: "code", rest: "//a/"},
		{path: "/code%2Fa", code: "code/a"},
		{path: "/code%2Fa/b", code: "code/a", rest: "/b"},
		{path: "/code/a%2Fb%2f%20%C3%A4", code: "code", rest: "/a%2Fb%2f%20%C3%A4"},
		{path: "/code/a%2Fb\"<>ä", code: "code", rest: "/a%2Fb%22%3C%3E%C3%A4"},
		{path: "/code/a#b|c", code: "code", rest: "/a%23b|c"},
		{path: "/code/a\\b", code: "code", rest: "/a%5Cb"},
		{path: "/code/%5Ca", code: "code", rest: "/%5Ca"},
		{path: "/code/./a/%2e/...", code: "code", rest: "/./a/%2e/..."},
		{path: "/code/a..b/..c/d..", code: "code", rest: "/a..b/..c/d.."},
		{path: "/code/%252e%252e/a", code: "code", rest: "/%252e%252e/a"},
		{path: "/code/..", code: "code", rest: "/..", climbs: true},
		{path: "/code/a/../b", code: "code", rest: "/a/../b", climbs: true},
		{path: "/code/%2e%2E/b", code: "code", rest: "/%2e%2E/b", climbs: true},
		{path: "/code/.%2e", code: "code", rest: "/.%2e", climbs: true},
		{path: "/code/a%2F..%2Fb", code: "code", rest: "/a%2F..%2Fb", climbs: true},
		{path: "/code/..\\b", code: "code", rest: "/..%5Cb", climbs: true},
		{path: "/code/a%5C..%5Cb", code: "code", rest: "/a%5C..%5Cb", climbs: true},
		{path: "/code/..;x=1/b", code: "code", rest: "/..;x=1/b", climbs: true},
	} {
		u, err := url.ParseRequestURI(tt.path)
		if err != nil {
			t.Fatal(err)
		}
		if code, rest := store.CutPath(u); code != tt.code || rest != tt.rest || store.Climbs(rest) != tt.climbs {
			t.Errorf("CutPath(%q) = %q, %q that climbs: %v, want %q, %q, %v", tt.path, code, rest, store.Climbs(rest), tt.code, tt.rest, tt.climbs)
		}
	}
}

func TestJoinPath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ target, rest, want string }{
		{"https://e.com/?a=1#f", "", "https://e.com/?a=1#f"},
		{"https://e.com", "/a", "https://e.com/a"},
		{"https://e.com/", "/a/", "https://e.com/a/"},
		{"https://e.com?a=/#/f", "/a", "https://e.com/a?a=/#/f"},
		{"https://e.com/x/#f?/", "/a", "https://e.com/x/a#f?/"},
		{"https://e.com/x//", "/a", "https://e.com/x//a"},
		{"https://e.com/x", "//other.example", "https://e.com/x//other.example"},
		{"https://e.com", "//other.example", "https://e.com//other.example"},
	} {
		if got := store.JoinPath(tt.target, tt.rest); got != tt.want {
			t.Errorf("JoinPath(%q, %q) = %q, want %q", tt.target, tt.rest, got, tt.want)
		}
	}
}

// TestPathStaysBelowTheTarget checks with a parser of browsers that no path of a request leads to another
// host, above the path of the target, or to another query or fragment.
func TestPathStaysBelowTheTarget(t *testing.T) {
	t.Parallel()
	browser := newBrowser()
	piece := rapid.SampledFrom([]string{
		"a", ".", "..", "%2e", "%2E", "/", "//", "%2f", "\\", "%5c", ";", "?", "#", "@", ":", "%", "%25", "%00", "%0d%0a", "|", "é", "\xff", "\"", "evil.example", "%zz", "+", "[", "]",
	})
	rapid.Check(t, func(t *rapid.T) {
		target := rapid.SampledFrom([]string{"https://e.com", "https://e.com/", "https://e.com/x/y", "http://e.com:8080/x/?q=/..#f/..", "https://e.com?q", "https://e.com#f"}).Draw(t, "target")
		line := "GET /code/" + strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "path"), "") + " HTTP/1.1\r\nHost: h\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(line)))
		if err != nil {
			t.Skip()
		}
		_, rest := store.CutPath(r.URL)
		if store.Climbs(rest) {
			t.Skip()
		}
		before, err := browser.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		joined := store.JoinPath(target, rest)
		after, err := browser.Parse(joined)
		if err != nil {
			t.Fatalf("browsers do not parse %q: %v", joined, err)
		}
		if after.Protocol() != before.Protocol() || after.Host() != before.Host() || after.Search() != before.Search() || after.Hash() != before.Hash() ||
			!strings.HasPrefix(after.Pathname(), strings.TrimSuffix(before.Pathname(), "/")) {
			t.Fatalf("%q with %q = %q, which browsers read as %q", target, rest, joined, after.Href(false))
		}
		if !isPrintable(joined) {
			t.Fatalf("JoinPath(%q, %q) = %q, want printable ASCII", target, rest, joined)
		}
	})
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}
