package logs_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/clicks/logs"
)

var update = flag.Bool("update", false, "write what Parse returns to testdata")

func mustFormat(tb testing.TB, name string) logs.Format {
	tb.Helper()
	f, err := logs.ParseFormat(name)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// describe returns all facts of a line in one line.
func describe(e logs.Entry, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	answers := [...]string{"unknown", "cache", "origin", "proxy", "elsewhere"}
	v := &e.Visit
	return fmt.Sprintf("%s %q %q %q %d by %s, id %t, private %t, prefetch %t, address %s, country %q, agent %q, referrer %q, language %q",
		e.At.Format(time.RFC3339Nano), e.Method, e.Host, e.URI, e.Status, answers[e.Answer], e.HasID, e.Private, v.Prefetch,
		v.Address, v.Country, v.UserAgent, v.Referrer, v.Language)
}

// TestParse reads the lines of testdata/FORMAT.log. testdata/FORMAT.want has the results. The first
// lines of nginx.log, combined.log and varnish.log were written by these servers.
func TestParse(t *testing.T) {
	t.Parallel()
	for _, name := range logs.FormatNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(filepath.Join("testdata", name+".log"))
			if err != nil {
				t.Fatal(err)
			}
			format := mustFormat(t, name)
			var got strings.Builder
			for line := range bytes.Lines(content) {
				e, err := format.Parse(bytes.TrimSuffix(line, []byte("\n")))
				if err != nil && !errors.Is(err, logs.ErrFormat) {
					t.Errorf("Parse(%q) = %v, want an ErrFormat", line, err)
				}
				fmt.Fprintln(&got, describe(e, err))
			}
			path := filepath.Join("testdata", name+".want")
			if *update {
				if err := os.WriteFile(path, []byte(got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			wanted := strings.Split(string(want), "\n")
			for i, line := range strings.Split(got.String(), "\n") {
				if i >= len(wanted) || line != wanted[i] {
					t.Errorf("line %d of %s.log = %s, want the line in %s", i+1, name, line, path)
				}
			}
		})
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	format := mustFormat(t, "varnish")
	at := time.Date(2026, time.March, 5, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		`"1772704800"`: at, "1772704800": at, `"1772704800.25"`: at.Add(250 * time.Millisecond), `"1772704800250"`: at.Add(250 * time.Millisecond),
		"1772704800250000": at.Add(250 * time.Millisecond), "1772704800250000000": at.Add(250 * time.Millisecond),
		`"2026-03-05T12:00:00.25+02:00"`: at.Add(250 * time.Millisecond),
		`"0"`:                            {}, `"-1"`: {}, "1e9": {}, `"99999999999999999999"`: {}, `"1772704800.x"`: {}, `"1772704800.-5"`: {}, `"9999-01-01T00:00:00Z"`: {}, `"NaN"`: {}, "null": {}, "true": {},
	} {
		e, err := format.Parse([]byte(`{"method":"GET","uri":"/a","status":302,"time":` + text + `}`))
		if !e.At.Equal(want) || (err != nil) != want.IsZero() {
			t.Errorf("time %s = %v, %v, want %v", text, e.At, err, want)
		}
	}
}

// FuzzParse checks that what Parse accepts is in bounds, and that it changes no line.
func FuzzParse(f *testing.F) {
	for i, name := range logs.FormatNames() {
		content, err := os.ReadFile(filepath.Join("testdata", name+".log"))
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(content) {
			f.Add(i, bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	names := logs.FormatNames()
	f.Fuzz(func(t *testing.T, i int, line []byte) {
		format := mustFormat(t, names[uint(i)%uint(len(names))])
		before := bytes.Clone(line)
		e, err := format.Parse(line)
		if !bytes.Equal(line, before) {
			t.Fatalf("Parse changed %q", before)
		}
		if err != nil {
			if !errors.Is(err, logs.ErrFormat) {
				t.Fatalf("Parse(%q) = %v, want an ErrFormat", line, err)
			}
			return
		}
		if e.At.Year() < 2000 || e.At.Year() > 2099 || e.At.Location() != time.UTC || e.Status < 0 || e.Status > 999 || e.Visit.Address.Zone() != "" {
			t.Fatalf("Parse(%q) = %+v, want it in bounds", line, e)
		}
	})
}

// FuzzCombined checks that all bytes of a request, a referrer and a User-Agent come back from the
// escapes of nginx.
func FuzzCombined(f *testing.F) {
	f.Add("/spring?utm_source=x", "https://www.linkedin.com/", "Mozilla/5.0 \"x\" \\ \xff")
	f.Add(`/\x22`, `\\"`, "] \"[")
	format := mustFormat(f, "combined")
	f.Fuzz(func(t *testing.T, uri, referrer, agent string) {
		line := fmt.Sprintf(`203.0.113.9 - - [05/Mar/2026:10:00:00 +0000] "GET %s HTTP/1.1" 302 0 "%s" "%s"`, escape(uri), escape(referrer), escape(agent))
		e, err := format.Parse([]byte(line))
		if err != nil || e.URI != uri || e.Visit.Referrer != orNone(referrer) || e.Visit.UserAgent != orNone(agent) {
			t.Fatalf("Parse(%q) = %+v, %v, want %q, %q, %q", line, e, err, uri, referrer, agent)
		}
	})
}

// orNone returns what a header means in a log.
func orNone(header string) string {
	if header == "-" {
		return ""
	}
	return header
}

// escape writes text as nginx does.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\x%02X`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
