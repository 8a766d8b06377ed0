package visit_test

import (
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/useragent"
)

// german finds Germany for every address.
type german struct{}

func (german) Of(addr netip.Addr) string {
	if addr.IsValid() {
		return "DE"
	}
	return ""
}

func newClassifier(tb testing.TB) *visit.Classifier {
	tb.Helper()
	agents, err := useragent.New()
	if err != nil {
		tb.Fatal(err)
	}
	c, err := visit.New(agents, german{})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"

// TestTrace classifies a trace whose truth is known.
func TestTrace(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/trace.tsv")
	if err != nil {
		t.Fatal(err)
	}
	c := newClassifier(t)
	var people, found, wrong, devices int
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		n, err := strconv.Atoi(f[0])
		if err != nil || len(f) != 6 {
			t.Fatalf("line %q", line)
		}
		class, device := f[1], f[2]
		v := c.Visit(&visit.Request{
			Head:      f[3] == http.MethodHead,
			Prefetch:  useragent.Prefetched(http.Header{"Sec-Purpose": {f[4]}}),
			UserAgent: f[5],
		})
		if class == "person" {
			people += n
			if v.Device != device {
				devices += n
			}
		}
		if v.Class == "person" {
			found += n
		}
		switch {
		case v.Class == class:
		case class == "robot" && v.Class != "person" && v.Class != "head" && v.Class != "prefetch":
		default:
			wrong += n
			t.Logf("%d of class %s are %s: %s", n, class, v.Class, f[5])
		}
	}
	t.Logf("%d people, %d found; %d in a wrong class, %d people with a wrong device", people, found, wrong, devices)
	if off := max(people-found, found-people); off*1000 > people*5 {
		t.Errorf("%d people were found, want %d within 0.5 %%", found, people)
	}
	if wrong*100 > people || devices*200 > people {
		t.Errorf("%d requests are in a wrong class and %d people have a wrong device", wrong, devices)
	}
}

func TestVisit(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	for _, tt := range []struct {
		name string
		in   visit.Request
		want visit.Visit
	}{
		{"nothing", visit.Request{}, visit.Visit{Class: "tool", Source: "link"}},
		{
			"everything",
			visit.Request{
				UserAgent: firefox, Referrer: "https://l.facebook.com/", Language: "pt-BR,pt;q=0.9,en;q=0.8", QR: true,
				Query: "utm_source=news&utm_medium=", TargetQuery: "utm_source=other&utm_medium=mail", Address: netip.MustParseAddr("192.0.2.1"),
			},
			visit.Visit{
				Class: "person", Country: "DE", Referrer: "Facebook", Device: "desktop", Browser: "Firefox", OS: "Linux", Language: "pt", Source: "qr",
				UTM: visit.UTM{Source: "news", Medium: "mail"},
			},
		},
		{
			"the header with the country comes first",
			visit.Request{Country: "fr", Address: netip.MustParseAddr("192.0.2.1")},
			visit.Visit{Class: "tool", Country: "FR", Source: "link"},
		},
		{
			"a header without a country",
			visit.Request{Country: "T1", Address: netip.MustParseAddr("192.0.2.1")},
			visit.Visit{Class: "tool", Country: "DE", Source: "link"},
		},
		{
			"head",
			visit.Request{Head: true, Prefetch: true, UserAgent: firefox},
			visit.Visit{Class: "head", Device: "desktop", Browser: "Firefox", OS: "Linux", Source: "link"},
		},
		{
			"prefetch",
			visit.Request{Prefetch: true, UserAgent: firefox},
			visit.Visit{Class: "prefetch", Device: "desktop", Browser: "Firefox", OS: "Linux", Source: "link"},
		},
		{
			"a robot with the User-Agent of a browser",
			visit.Request{UserAgent: firefox + " (compatible; Googlebot/2.1)"},
			visit.Visit{Class: "crawler", Source: "link"},
		},
	} {
		if got := c.Visit(&tt.in); got != tt.want {
			t.Errorf("%s: Visit = %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	long := strings.Repeat("a", 63)
	for referrer, want := range map[string]string{
		"":                                    "",
		"https://www.google.com/":             "Google",
		"https://www.google.co.uk/search?q=x": "Google",
		"https://www.google.de":               "Google",
		"https://google.evil.example/":        "evil.example",
		"https://google.github.io/":           "google.github.io",
		"https://notgoogle.com/":              "notgoogle.com",
		"http://mail.google.com/mail":         "Gmail",
		"https://t.co/abc":                    "X",
		"https://lnkd.in/x":                   "LinkedIn",
		"HTTPS://WWW.LinkedIn.COM/feed":       "LinkedIn",
		"https://out.reddit.com/t3_x":         "Reddit",
		"https://eur01.safelinks.protection.outlook.com/?url=x": "Outlook",
		"https://news.ycombinator.com/item?id=1":                "Hacker News",
		"https://blog.shop.example.co.uk:8443/a":                "example.co.uk",
		"https://user:pa@ss@www.example.com/":                   "example.com",
		"https://www.example.com./":                             "example.com",
		"https://xn--mnchen-3ya.de/":                            "xn--mnchen-3ya.de",
		"https://intranet/wiki":                                 "intranet",
		"http://192.0.2.7/":                                     "(IP address)",
		"http://[2001:db8::1]:80/":                              "(IP address)",
		"http://0x7f.1/":                                        "(IP address)",
		"android-app://com.google.android.gm/":                  "Gmail",
		"android-app://com.example.reader":                      "android-app://com.example.reader",
		"android-app://com.example.reader/https/example.com":    "android-app://com.example.reader",
		"android-app://<script>":                                visit.Invalid,
		"android-app://" + long + long:                          visit.Invalid,
		"about:client":                                          visit.Invalid,
		"ftp://example.com":                                     visit.Invalid,
		"example.com":                                           visit.Invalid,
		"https://":                                              visit.Invalid,
		"https://.":                                             visit.Invalid,
		"https://..com":                                         visit.Invalid,
		"https://münchen.de/":                                   visit.Invalid,
		"https://<b>.example.com/":                              visit.Invalid,
		"https://example.com\\@evil.example/":                   "example.com",
		"https://a\x00.example/":                                visit.Invalid,
		"https://" + long + "." + long + ".com/":                long + ".com",
		"https://" + long + long + ".com/":                      visit.Invalid,
		"https://" + strings.Repeat("a.", 4000) + "com/":        visit.Invalid,
	} {
		for range 2 { // computed, then from memory
			if got := c.Visit(&visit.Request{Referrer: referrer}).Referrer; got != want {
				t.Errorf("referrer of %.80q = %q, want %q", referrer, got, want)
			}
		}
	}
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	for header, want := range map[string]string{
		"": "", "*": "", "*;q=0.5": "",
		"en": "en", "EN-us": "en", "de-CH-1996,de;q=0.9": "de", "fil-PH": "fil", "pt_BR": "pt", "fr;q=0.5": "fr", "it , es": "it",
		"e": visit.Invalid, "english": visit.Invalid, "<b>": visit.Invalid, "en\x00": visit.Invalid, "\xff": visit.Invalid, ",en": visit.Invalid,
	} {
		if got := c.Visit(&visit.Request{Language: header}).Language; got != want {
			t.Errorf("language of %q = %q, want %q", header, got, want)
		}
	}
}

func TestUTM(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	for query, want := range map[string]visit.UTM{
		"":                                      {},
		"a=1&utm_source":                        {},
		"utm_source=&utm_source=b&utm_source=c": {Source: "b"},
		"utm_source=a&utm_medium=b&utm_campaign=c&utm_term=d&utm_content=e": {Source: "a", Medium: "b", Campaign: "c", Term: "d", Content: "e"},
		"%75tm_source=x":                            {Source: "x"},
		"utm_source=Spring+Sale%20%C3%BC":           {Source: "Spring Sale ü"},
		"utm_source=%20+":                           {},
		"UTM_SOURCE=x":                              {},
		"utm_source=" + strings.Repeat("a", 64):     {Source: strings.Repeat("a", 64)},
		"utm_source=" + strings.Repeat("a", 65):     {Source: visit.Invalid},
		"utm_source=" + strings.Repeat("%61", 64):   {Source: strings.Repeat("a", 64)},
		"utm_source=" + strings.Repeat("%61", 4000): {Source: visit.Invalid},
		"utm_source=%zz":                            {Source: visit.Invalid},
		"utm_source=%ff":                            {Source: visit.Invalid},
		"utm_source=%00":                            {Source: visit.Invalid},
		"utm_source=a%0Ab":                          {Source: visit.Invalid},
		"utm_source=a%E2%80%AEb":                    {Source: visit.Invalid}, // right-to-left override
		"utm_source=(other)":                        {Source: visit.Invalid},
		"utm_source=<script>alert(1)</script>":      {Source: "<script>alert(1)</script>"}, // pages escape it
	} {
		if got := c.Visit(&visit.Request{Query: query}).UTM; got != want {
			t.Errorf("UTM of %.80q = %+v, want %+v", query, got, want)
		}
	}
}

func TestCutQR(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"": "", "a=1": "a=1", "qr=2": "qr=2", "xqr=1": "xqr=1", "qr=10": "qr=10", "a=qr=1": "a=qr=1",
		"qr=1": "", "qr=1&a=1": "a=1", "a=1&qr=1": "a=1", "a=%20&qr=1&&b=+": "a=%20&&b=+", "qr=1&qr=1": "",
	} {
		rest, found := visit.CutQR(query)
		if rest != want || found != (rest != query) {
			t.Errorf("CutQR(%q) = %q, %t, want %q", query, rest, found, want)
		}
	}
}

func TestVisitor(t *testing.T) {
	t.Parallel()
	salt, addr := make([]byte, 32), netip.MustParseAddr("192.0.2.1")
	seen := map[uint64]bool{visit.Visitor(salt, "abc", addr, firefox): true}
	if !seen[visit.Visitor(salt, "abc", netip.MustParseAddr("::ffff:192.0.2.1"), firefox)] {
		t.Error("an IPv4 address and the same address mapped into IPv6 are two visitors")
	}
	other := append([]byte{1}, salt[1:]...)
	for i, number := range []uint64{
		visit.Visitor(other, "abc", addr, firefox),
		visit.Visitor(salt, "abd", addr, firefox),
		visit.Visitor(salt, "abc", addr.Next(), firefox),
		visit.Visitor(salt, "abc", addr, firefox+" "),
	} {
		if number == 0 || seen[number] {
			t.Errorf("visitor %d = %d, want another number", i, number)
		}
		seen[number] = true
	}
	if got := visit.Visitor(salt, "abc", netip.Addr{}, firefox); got != 0 {
		t.Errorf("visitor without an address = %d, want 0", got)
	}
}

// TestManyReferrers checks that the memory for names of referrers is bounded.
func TestManyReferrers(t *testing.T) { // not parallel: it measures memory
	c := newClassifier(t)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range 100_000 {
		host := strconv.Itoa(i) + strings.Repeat(".long-label-of-a-host", 8) + ".example"
		c.Visit(&visit.Request{Referrer: "https://" + host + "/", UserAgent: firefox})
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("100,000 referrers grew the heap by %d bytes", grown)
	}
	runtime.KeepAlive(c)
}

// TestKnownRequestDoesNotAllocate is not parallel, because it counts allocations.
func TestKnownRequestDoesNotAllocate(t *testing.T) {
	c := newClassifier(t)
	r := visit.Request{
		UserAgent: firefox, Referrer: "https://www.example.com/page", Language: "en-US,en;q=0.5",
		Query: "utm_source=news", Address: netip.MustParseAddr("192.0.2.1"),
	}
	salt := make([]byte, 32)
	if got := testing.AllocsPerRun(100, func() {
		c.Visit(&r)
		visit.Visitor(salt, "abc", r.Address, r.UserAgent)
	}); got != 0 {
		t.Errorf("a known request makes %v allocations, want 0", got)
	}
}

// FuzzVisit checks that every value is short and printable.
func FuzzVisit(f *testing.F) {
	f.Add(firefox, "https://example.com/", "en", "utm_source=a", "DE")
	f.Add("\xff", "android-app://\x00", "\xff", "utm_term=%ff&%75tm_medium=%0a", "\xffa")
	c := newClassifier(f)
	f.Fuzz(func(t *testing.T, agent, referrer, language, query, country string) {
		r := visit.Request{UserAgent: agent, Referrer: referrer, Language: language, Query: query, Country: country}
		v := c.Visit(&r)
		if again := c.Visit(&r); again != v {
			t.Errorf("Visit = %+v, then %+v", v, again)
		}
		for _, value := range []string{
			v.Class, v.Country, v.Referrer, v.Device, v.Browser, v.OS, v.Language, v.Source,
			v.UTM.Source, v.UTM.Medium, v.UTM.Campaign, v.UTM.Term, v.UTM.Content,
		} {
			if len(value) > 100 || !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("value %q", value)
			}
		}
	})
}

func BenchmarkVisit(b *testing.B) {
	c := newClassifier(b)
	r := visit.Request{
		UserAgent: firefox, Referrer: "https://www.example.com/page", Language: "en-US,en;q=0.5", Address: netip.MustParseAddr("192.0.2.1"),
	}
	salt := make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		c.Visit(&r)
		visit.Visitor(salt, "abc", r.Address, r.UserAgent)
	}
}
