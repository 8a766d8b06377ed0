package store_test

import (
	"net/url"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"

	"github.com/terse/terse/store"
)

// newBrowser returns a parser that works as browsers do. It is lax because the library
// rejects some hosts with _ and punycode that browsers accept. It adds ^ to the path set, as
// newer versions of the WHATWG URL Standard do.
func newBrowser() whatwg.Parser {
	return whatwg.NewParser(
		whatwg.WithLaxHostParsing(),
		whatwg.WithPathPercentEncodeSet(whatwg.PathPercentEncodeSet.Set('^')),
	)
}

func FuzzTarget(f *testing.F) {
	for _, group := range hostileTargets() {
		for _, raw := range group.raw {
			f.Add(raw)
		}
	}
	for _, raw := range plainTargets() {
		f.Add(raw)
	}
	for _, tt := range rewrittenTargets() {
		f.Add(tt.raw)
	}
	r := newRules(f, "sho.rt")
	browser := newBrowser()
	f.Fuzz(func(t *testing.T, raw string) {
		out, err := r.Target(raw)
		if err != nil {
			wantFieldError(t, "Target", err, "url", "must ")
			return
		}
		checkLocation(t, out)
		if again, err := r.Target(out); err != nil || again != out {
			t.Errorf("Target(%q) = %q, %v, want it unchanged", out, again, err)
		}
		checkBrowserAgrees(t, browser, raw, out)
		checkProgramsAgree(t, browser, out)
	})
}

// checkLocation checks that out may be sent as Location.
func checkLocation(tb testing.TB, out string) {
	tb.Helper()
	scheme := strings.ToLower(out[:min(len(out), len("https://"))])
	if !strings.HasPrefix(scheme, "http://") && scheme != "https://" {
		tb.Errorf("target %q does not begin with http:// or https://", out)
	}
	if len(out) > store.MaxURLLen {
		tb.Errorf("target has %d bytes, want at most %d", len(out), store.MaxURLLen)
	}
	if i := strings.IndexFunc(out, func(c rune) bool { return c <= ' ' || c > '~' }); i >= 0 {
		tb.Errorf("target %q has byte %#x, want printable ASCII", out, out[i])
	}
}

// checkBrowserAgrees checks that a browser goes to the same place with raw and with out, and
// that this place is not ours.
func checkBrowserAgrees(tb testing.TB, browser whatwg.Parser, raw, out string) {
	tb.Helper()
	want, err := browser.Parse(raw)
	if err != nil {
		tb.Fatalf("Target accepted %q, browsers do not: %v", raw, err)
	}
	got, err := browser.Parse(out)
	if err != nil {
		tb.Fatalf("Target made %q of %q, browsers refuse it: %v", out, raw, err)
	}
	if got.Href(false) != want.Href(false) {
		tb.Errorf("browsers take %q to %q, want %q", out, got.Href(false), want.Href(false))
	}
	if got.Username() != "" || got.Password() != "" {
		tb.Errorf("target %q has user information", out)
	}
	if strings.TrimRight(got.Hostname(), ".") == "sho.rt" {
		tb.Errorf("target %q leads to our own host", out)
	}
}

// checkProgramsAgree checks that a client that parses URLs by RFC 3986 connects to the same
// host as a browser.
func checkProgramsAgree(tb testing.TB, browser whatwg.Parser, out string) {
	tb.Helper()
	u, err := url.Parse(out)
	if err != nil {
		return
	}
	name := u.Hostname()
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	got, err := browser.Parse("http://" + strings.ToLower(name) + "/")
	if err != nil {
		tb.Fatalf("programs take %q to host %q, browsers refuse it: %v", out, name, err)
	}
	want, err := browser.Parse(out)
	if err != nil {
		tb.Fatal(err)
	}
	if got.Hostname() != want.Hostname() {
		tb.Errorf("programs take %q to host %q, browsers to %q", out, got.Hostname(), want.Hostname())
	}
}
