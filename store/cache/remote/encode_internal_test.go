package remote

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/terse/terse/store"
)

// anyLink draws a link as Resolve of a store returns it.
func anyLink(t *rapid.T) store.Link {
	at := func(label string) time.Time {
		if rapid.Bool().Draw(t, "no "+label) {
			return time.Time{}
		}
		return time.UnixMicro(rapid.Int64Range(-1<<40, 1<<55).Draw(t, label)).UTC()
	}
	text := func(label string) string { return rapid.OneOf(rapid.Just(""), rapid.String()).Draw(t, label) }
	l := store.Link{
		Code: rapid.StringMatching(`[0-9A-Za-z_-]{1,64}`).Draw(t, "code"), URL: rapid.StringMatching(`(http|HTTPS)://[!-.0-\[\]-~][!-~]{0,100}`).Draw(t, "url"), Title: text("title"), Owner: text("owner"),
		Status:       rapid.SampledFrom([]int{301, 302, 307, 308}).Draw(t, "status"),
		ForwardQuery: store.ForwardQuery(rapid.IntRange(0, 2).Draw(t, "forward")),
		StartsAt:     at("starts"), ExpiresAt: at("expires"), MaxClicks: rapid.Int64Min(0).Draw(t, "max"),
		UsedClicks: rapid.Int64Min(0).Draw(t, "used"), PasswordHash: text("password"), DisabledAt: at("disabled"),
		DisabledReason: text("reason"), DeletedAt: at("deleted"), CreatedAt: at("created"), UpdatedAt: at("updated"),
		Version: rapid.Int64Min(1).Draw(t, "version"), RequestID: text("request"), Confirm: rapid.Bool().Draw(t, "confirm"), Rules: text("rules"), NoVisitors: rapid.Bool().Draw(t, "no visitors"),
		ForwardPath: rapid.Bool().Draw(t, "forward path"),
	}
	if tags := rapid.SliceOf(rapid.String()).Draw(t, "tags"); len(tags) > 0 {
		l.Tags = tags
	}
	return l
}

func TestDecodeGivesBackWhatWasEncoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := anyLink(t)
		text := encode(&want)
		if got, ok := decode(text, want.Code); !ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("decode =\n%+v, %v, want\n%+v", got, ok, want)
		}
		if _, ok := decode(text, want.Code+"x"); ok {
			t.Fatal("decode accepts a link with another code")
		}
		if got := codeIn(text); got != want.Code {
			t.Fatalf("codeIn = %q, want %q", got, want.Code)
		}
		cut := rapid.IntRange(0, len(text)-1).Draw(t, "cut")
		if _, ok := decode(text[:cut], want.Code); ok {
			t.Fatalf("decode accepts %d of %d bytes", cut, len(text))
		}
		if _, ok := decode(text+"x", want.Code); ok {
			t.Fatal("decode accepts a link with trailing bytes")
		}
	})
}

func TestEncodedSize(t *testing.T) {
	t.Parallel()
	l := store.Link{
		Code: "code12345", URL: "https://example.com/" + strings.Repeat("p", 80), Owner: "key_0123456789ab", Status: 302,
		CreatedAt: time.UnixMicro(1_790_000_000_000_000), UpdatedAt: time.UnixMicro(1_790_000_000_000_000), Version: 1,
	}
	if got := len(encode(&l)); got > 150 {
		t.Errorf("a link with a target of 100 bytes takes %d bytes, want at most 150", got)
	}
}

// TestFormats checks the bytes of both formats. Nodes of different versions share them.
func TestFormats(t *testing.T) {
	t.Parallel()
	plain := store.Link{
		Code: "abc", URL: "https://example.com/", Status: 301, MaxClicks: 1, RequestID: "r", Version: 3,
		CreatedAt: time.UnixMicro(1_790_000_000_000_000).UTC(), UpdatedAt: time.UnixMicro(1_790_000_000_000_000).UTC(),
	}
	confirmed := plain
	confirmed.Confirm = true
	without := plain
	without.NoVisitors = true
	ruled := plain
	ruled.Rules = "[]"
	paths := plain
	paths.ForwardPath = true
	const (
		begin = "L\x00\x00\x00\x00\x00\x00\x00\x03"
		texts = "\x03abc\x14https://example.com/"
		rest  = "\x01\x02\x80\x80\xaf\xa2\xdb\xff\xad\x06\x01r"
	)
	for _, tt := range []struct {
		link store.Link
		want string
	}{
		{plain, begin + "\x01" + texts + "\xa0\x88" + rest},
		{confirmed, begin + "\x02" + texts + "\x00\x01\xa0\x88" + rest},
		{without, begin + "\x02" + texts + "\x00\x04\xa0\x88" + rest},
		{paths, begin + "\x02" + texts + "\x00\x08\xa0\x88" + rest},
		{ruled, begin + "\x02" + texts + "\x00\x02\xa0\x88" + rest + "\x02[]"},
	} {
		if got := encode(&tt.link); got != tt.want {
			t.Errorf("encode with confirm %v and rules %q = %q, want %q", tt.link.Confirm, tt.link.Rules, got, tt.want)
		}
		if got, ok := decode(tt.want, "abc"); !ok || !reflect.DeepEqual(got, tt.link) {
			t.Errorf("decode(%q) = %+v, %v, want %+v", tt.want, got, ok, tt.link)
		}
	}
	if _, ok := decode(begin+"\x02"+texts+"\x00\x11\xa0\x88"+rest, "abc"); ok {
		t.Error("decode ignores a field that it does not know")
	}
}

func TestDecodeRefusesOtherFormats(t *testing.T) {
	t.Parallel()
	l := store.Link{Code: "abc", URL: "https://example.com/", Status: 302, Version: 1}
	text := encode(&l)
	for _, wrong := range []string{
		"", "x", leaseText(7), markerText(7), "X" + text[1:], text[:headerLen-1] + "\x03" + text[headerLen:],
		text[:1] + strings.Repeat("\x00", 8) + text[headerLen-1:], text[:1] + strings.Repeat("\xff", 8) + text[headerLen-1:],
	} {
		if _, ok := decode(wrong, "abc"); ok {
			t.Errorf("decode(%q) returns a link, want none", wrong)
		}
	}
}

// TestDecodeRefusesPoisonedLinks checks that a link in Redis that no create can store counts as
// unknown: a writer to Redis cannot make a node send a script, a second header or a status that
// is no redirect.
func TestDecodeRefusesPoisonedLinks(t *testing.T) {
	t.Parallel()
	good := store.Link{Code: "abc", URL: "https://example.com/", Status: 302, Version: 1}
	for _, poison := range []func(l *store.Link){
		func(l *store.Link) { l.URL = "javascript:alert(1)" },
		func(l *store.Link) { l.URL = "data:text/html,<script>alert(1)</script>" },
		func(l *store.Link) { l.URL = "//evil.example/" },
		func(l *store.Link) { l.URL = "https:evil.example" },
		func(l *store.Link) { l.URL = "https://" },
		func(l *store.Link) { l.URL = "https:///evil.example" },
		func(l *store.Link) { l.URL = `https://\evil.example` },
		func(l *store.Link) { l.URL = "" },
		func(l *store.Link) { l.URL = "https://example.com/\r\nSet-Cookie: a=b" },
		func(l *store.Link) { l.URL = "https://example.com/ x" },
		func(l *store.Link) { l.URL = "https://example.com/\xff" },
		func(l *store.Link) { l.URL = "https://example.com/" + strings.Repeat("x", store.MaxURLLen) },
		func(l *store.Link) { l.Status = 200 },
		func(l *store.Link) { l.Status = 0 },
		func(l *store.Link) { l.Status = 303 },
		func(l *store.Link) { l.Status = 1 << 40 },
		func(l *store.Link) { l.Status = -302 },
		func(l *store.Link) { l.ForwardQuery = store.ForwardOverride + 1 },
	} {
		bad := good
		poison(&bad)
		if got, ok := decode(encode(&bad), bad.Code); ok {
			t.Errorf("decode returns %+v, want no link", got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	l := store.Link{Code: "abc", URL: "https://example.com/", Tags: []string{"a", "b"}, Status: 301, Version: 3, CreatedAt: time.UnixMicro(1)}
	f.Add(encode(&l), "abc")
	f.Add(leaseText(1), "abc")
	f.Fuzz(func(t *testing.T, text, code string) {
		l, ok := decode(text, code)
		if !ok {
			return
		}
		if l.Code != code || l.Version < 1 || l.DeletedAt.IsZero() && !l.MayRedirect() {
			t.Errorf("decode(%q, %q) = %+v", text, code, l)
		}
		if again, ok := decode(encode(&l), code); !ok || !reflect.DeepEqual(again, l) {
			t.Errorf("decode(encode(%+v)) = %+v, %v", l, again, ok)
		}
	})
}

// BenchmarkDecode reads the link of BenchmarkLink in package cache.
func BenchmarkDecode(b *testing.B) {
	at := time.UnixMicro(1_790_000_000_000_000)
	l := store.Link{
		Code: "code12345", URL: "https://example.com/" + strings.Repeat("p", 80), Owner: "key_0123456789ab", Status: 302,
		CreatedAt: at, UpdatedAt: at, Version: 1,
	}
	text := encode(&l)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = decode(text, l.Code)
	}
}
