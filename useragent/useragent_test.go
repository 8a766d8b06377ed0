package useragent_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/terse/terse/useragent"
)

func newClassifier(t testing.TB) *useragent.Classifier {
	t.Helper()
	c, err := useragent.New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// readLines returns the lines of a file in testdata without its comments.
func readLines(t *testing.T, file string) (lines []string) {
	t.Helper()
	content, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// TestNamed checks well-known programs and browsers.
func TestNamed(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	for _, line := range readLines(t, "named.tsv") {
		want, ua, _ := strings.Cut(line, "\t")
		for range 2 { // computed, then from memory
			if got := c.UserAgent(ua); got.String() != want {
				t.Errorf("UserAgent(%q) = %v, want %s", ua, got, want)
			}
		}
	}
}

// TestUnseen checks User-Agents that were not used to write the rules. Some robots cannot be
// detected: they send the User-Agent of a browser, with a name that is in no list.
func TestUnseen(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	for _, tt := range []struct {
		file   string
		people bool
		misses int // of 100
	}{
		{"people.txt", true, 5},
		{"robots.txt", false, 8},
	} {
		all := readLines(t, tt.file)
		var missed []string
		for _, ua := range all {
			if (c.UserAgent(ua) == useragent.Person) != tt.people {
				missed = append(missed, ua)
			}
		}
		t.Logf("%s: %d of %d are wrong", tt.file, len(missed), len(all))
		if len(missed)*100 > len(all)*tt.misses {
			t.Errorf("%s: %d of %d are wrong, want at most %d %%:\n%s", tt.file, len(missed), len(all), tt.misses, strings.Join(missed, "\n"))
		}
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
	for _, tt := range []struct {
		method, ua string
		header     []string
		want       useragent.Class
	}{
		{http.MethodGet, browser, nil, useragent.Person},
		{http.MethodHead, browser, nil, useragent.Head},
		{http.MethodHead, "Twitterbot/1.0", nil, useragent.Head},
		{http.MethodGet, browser, []string{"Sec-Purpose", "prefetch"}, useragent.Prefetch},
		{http.MethodGet, browser, []string{"Sec-Purpose", "prefetch;prerender"}, useragent.Prefetch},
		{http.MethodGet, browser, []string{"Sec-Purpose", "Prefetch; anonymous-client-ip"}, useragent.Prefetch},
		{http.MethodGet, browser, []string{"Purpose", "prefetch"}, useragent.Prefetch},
		{http.MethodGet, browser, []string{"Purpose", "preview"}, useragent.Prefetch},
		{http.MethodGet, browser, []string{"X-Purpose", "preview"}, useragent.Prefetch},
		{http.MethodGet, browser, []string{"X-Moz", "prefetch"}, useragent.Prefetch},
		{http.MethodGet, browser, []string{"Purpose", "navigate"}, useragent.Person},
		{http.MethodGet, browser, []string{"Sec-Purpose", ""}, useragent.Person},
		{http.MethodPost, "Twitterbot/1.0", nil, useragent.Preview},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, "/abc", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("User-Agent", tt.ua)
		if tt.header != nil {
			r.Header.Set(tt.header[0], tt.header[1])
		}
		if got := c.Request(r); got != tt.want {
			t.Errorf("%s with %q and %q = %v, want %v", tt.method, tt.ua, tt.header, got, tt.want)
		}
	}
}

// TestLongUserAgents checks that only the begin of a long User-Agent is read.
func TestLongUserAgents(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0 "
	if got := c.UserAgent(browser + strings.Repeat("x", 1000) + " Twitterbot"); got != useragent.Preview {
		t.Errorf("a robot after 1000 bytes = %v, want %v", got, useragent.Preview)
	}
	if got := c.UserAgent(browser + strings.Repeat("x", 3000) + " Twitterbot"); got != useragent.Person {
		t.Errorf("a robot after 3000 bytes = %v, want %v: so much is not read", got, useragent.Person)
	}
}

// TestKnownUserAgentDoesNotAllocate is not parallel, because it counts allocations.
func TestKnownUserAgentDoesNotAllocate(t *testing.T) {
	c := newClassifier(t)
	const ua = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"
	if got := testing.AllocsPerRun(100, func() { c.UserAgent(ua) }); got != 0 {
		t.Errorf("a known User-Agent makes %v allocations, want 0", got)
	}
}

// FuzzUserAgent checks that a User-Agent has the same class when it comes again, also after
// others.
func FuzzUserAgent(f *testing.F) {
	f.Add("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0")
	f.Add("(compatible; bot")
	f.Add("\xff\x00Current RSS Reader")
	c := newClassifier(f)
	fresh := newClassifier(f)
	f.Fuzz(func(t *testing.T, ua string) {
		first := c.UserAgent(ua)
		if again, other := c.UserAgent(ua), fresh.UserAgent(ua); again != first || other != first {
			t.Errorf("classes of %q: %v, %v and %v", ua, first, again, other)
		}
		if !strings.Contains("person preview crawler tool scanner", first.String()) {
			t.Errorf("class of %q = %v", ua, first)
		}
	})
}

// The time of User-Agents that are not in memory.
func BenchmarkUserAgent(b *testing.B) {
	for name, text := range map[string]string{
		"browser":      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 ",
		"many begins":  strings.Repeat("Goo", 8<<10/3),
		"many words":   strings.Repeat("at a ", 8<<10/5),
		"many regexps": strings.Repeat("Current", 8<<10/7),
	} {
		b.Run(name, func(b *testing.B) {
			c := newClassifier(b)
			var number [4]byte
			for i := range b.N {
				number = [4]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24)}
				c.UserAgent(string(number[:]) + text)
			}
		})
	}
}
