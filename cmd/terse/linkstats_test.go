package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	terseclient "github.com/terse/terse/client"
)

// TestPrintStats checks what people see of statistics: numbers, chart and breakdowns, and that
// values of strangers cannot move the cursor.
func TestPrintStats(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	coarse := start.AddDate(0, 0, 1)
	s := terseclient.Stats{
		From: start, To: start.AddDate(0, 0, 5), TZ: "UTC", Interval: "day", Class: "all", CoarseUntil: &coarse, Lost: new(int64(12)),
		Total:  terseclient.StatsTotal{Clicks: terseclient.Clicks{People: 97, Robots: 4}, Visitors: 60},
		Before: &terseclient.StatsBefore{Total: terseclient.StatsTotal{Clicks: terseclient.Clicks{People: 50}}},
		Breakdowns: []terseclient.StatsBreakdown{{
			By: "referrer", Unknown: terseclient.Clicks{People: 7, Robots: 4}, Other: terseclient.Clicks{People: 15},
			Values: []terseclient.StatsValue{{Value: "news.example", Clicks: terseclient.Clicks{People: 60}}, {Value: "\x1b[2Jevil\n", Clicks: terseclient.Clicks{People: 15}}},
		}},
	}
	for i, n := range []int64{48, 1, 0, 24, 24} {
		s.Series = append(s.Series, terseclient.StatsPoint{Start: start.AddDate(0, 0, i), Clicks: terseclient.Clicks{People: n}})
	}
	var b strings.Builder
	if err := printStats(&b, "https://sho.rt/spring", &s); err != nil {
		t.Fatal(err)
	}
	const want = `short URL  https://sho.rt/spring
range      2026-11-01 00:00 to 2026-11-06 00:00, UTC
people     97 (before: 50, +94 %)
robots     4 (before: 0)
visitors   60 (before: 0)
note       clicks before 2026-11-02 are stored by hours or days, and count at the start of the hour or day
note       the server lost 12 clicks of all links together in this time

people, each column day, highest 48
█
█
█
█  ██
█  ██
█▁ ██
2026-11-01 00:00  2026-11-06 00:00

REFERRER      PEOPLE  ROBOTS  
news.example  60      0       ██████████████████████████████
 [2Jevil      15      0       ███████
(other)       15      0       ███████
(direct)      7       4       ███
`
	if got := b.String(); got != want {
		t.Errorf("printed\n%s, want\n%s", got, want)
	}
}

// TestChartOfManyPoints checks that a long series still fits into a terminal, and that all of its
// clicks are in the chart.
func TestChartOfManyPoints(t *testing.T) {
	t.Parallel()
	s := terseclient.Stats{Interval: "hour", Class: "robots", Series: make([]terseclient.StatsPoint, 8784)}
	s.Series[8783].Robots = 1
	s.Series[0].Robots = 1_000_000_000
	var b strings.Builder
	if err := printChart(&b, &s); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if !strings.Contains(lines[1], "robots, each column 122 × hour, highest 1000000000") {
		t.Errorf("the chart begins with %q", lines[1])
	}
	bottom := []rune(lines[len(lines)-3])
	if len(bottom) != chartColumns || bottom[0] != '█' || bottom[chartColumns-1] != '▁' {
		t.Errorf("the lowest row is %q, want %d columns with clicks at both ends", string(bottom), chartColumns)
	}
}

// TestLinkStats calls a server for statistics in every form, and with wrong parameters.
func TestLinkStats(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, owns+",stats:read")
	terse(t, environ, "shorten", "example.com/1", "--alias", "spring").ok(t)
	if got := terse(t, environ, "links", "reset", "spring"); got.status != 0 || !strings.Contains(got.stderr, "count from zero") {
		t.Errorf("links reset = %+v", got)
	}
	stats := func(flags ...string) result {
		t.Helper()
		return terse(t, environ, append([]string{"links", "stats", "spring", "--from", "2026-03-29", "--to", "2026-03-30", "--tz", "Europe/Berlin", "--by", "country,os", "--compare"}, flags...)...)
	}
	if got := stats().ok(t); !strings.Contains(got, "2026-03-29 00:00 to 2026-03-30 00:00, Europe/Berlin\npeople     0 (before: 0)\n") {
		t.Errorf("links stats = %s", got)
	}
	var s terseclient.Stats
	if err := json.Unmarshal([]byte(stats("--json").ok(t)), &s); err != nil || len(s.Series) != 23 || len(s.Breakdowns) != 2 || s.Before == nil {
		t.Errorf("links stats --json = %+v, %v, want 23 hours and 2 breakdowns", s, err)
	}
	if got := stats("--csv", "--interval", "day").ok(t); !strings.Contains(got, "\npoint,,,2026-03-29T00:00:00+01:00,0,0,\n") {
		t.Errorf("links stats --csv = %s", got)
	}
	for _, c := range []struct {
		flags  []string
		status int
		want   string
	}{
		{[]string{"--json", "--csv"}, 2, "--json and --csv"},
		{[]string{"--limit", "-1"}, 2, "--limit"},
		{[]string{"--limit", "101"}, 1, "limit: "},
		{[]string{"--tz", "Mars/Olympus"}, 1, "tz: must be the name of an IANA time zone"},
		{[]string{"--to", "2026-01-01"}, 1, "to: must be after from"},
		{[]string{"--by", "city"}, 1, "by: "},
		{[]string{"--class", "bots"}, 1, "class: "},
	} {
		if got := stats(c.flags...); got.status != c.status || !strings.Contains(got.stderr, c.want) {
			t.Errorf("links stats %v = %+v, want status %d and %q", c.flags, got, c.status, c.want)
		}
	}
}
