package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	terseclient "github.com/terse/terse/client"
)

type linksStats struct {
	clientFlags
	linkArg

	From     string   `placeholder:"WHEN" help:"Start: a date such as 2026-11-01, or a time such as 2026-11-01T09:15:00Z. Default: 30 days before the end."`
	To       string   `placeholder:"WHEN" help:"End, which is not part of the range. Default: the end of today."`
	TZ       string   `name:"tz" placeholder:"ZONE" help:"Time zone, such as Europe/Berlin. Default: UTC."`
	Interval string   `placeholder:"LENGTH" help:"Length of the points: 15min, hour, day, week or month. Default: by the length of the range."`
	By       []string `placeholder:"NAME,…" help:"Breakdowns: class, country, referrer, device, browser, os, language, utm_source, utm_medium, utm_campaign, utm_term, utm_content, source, rule."`
	Class    string   `placeholder:"CLASS" help:"Which clicks count: all, people or robots. Default: all."`
	Limit    int      `placeholder:"N" help:"Most values of a breakdown, 1 to 100. Default: 10."`
	Compare  bool     `help:"Also count the range of the same length before --from."`
	JSON     bool     `name:"json" xor:"format" help:"Print the statistics as JSON."`
	CSV      bool     `name:"csv" xor:"format" help:"Print the statistics as CSV."`
}

// Help is shown below the command's purpose.
func (*linksStats) Help() string {
	return `The API key needs the scope stats:read.

    terse links stats spring --from 2026-11-01 --to 2026-12-01 --tz Europe/Berlin --by country,referrer`
}

// Run shows the statistics of a link.
func (c *linksStats) Run(ctx context.Context, out output) error {
	if c.Limit < 0 {
		return settingsError{errors.New("--limit: must be 1 to 100")}
	}
	api, code, err := c.linkArg.open(&c.clientFlags, out)
	if err != nil {
		return err
	}
	defer api.Close()
	q := terseclient.StatsQuery{
		From: c.From, To: c.To, TZ: c.TZ, Interval: c.Interval, By: c.By, Class: c.Class, Limit: c.Limit, Compare: c.Compare,
	}
	if c.CSV {
		table, err := api.LinkStatsCSV(ctx, code, q)
		if err != nil {
			return err
		}
		_, err = out.stdout.Write(table)
		return err
	}
	s, err := api.LinkStats(ctx, code, q)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out.stdout, s)
	}
	return printStats(out.stdout, api.ShortURL(code), &s)
}

type linksReset struct {
	clientFlags
	linkArg
}

// Help is shown below the command's purpose.
func (*linksReset) Help() string {
	return `Use it after tests of a link. The API key needs the scope links:write. Statistics of several links
together keep the clicks.`
}

// Run sets the clicks of a link to zero.
func (c *linksReset) Run(ctx context.Context, out output) error {
	api, code, err := c.linkArg.open(&c.clientFlags, out)
	if err != nil {
		return err
	}
	defer api.Close()
	if err := api.ResetStats(ctx, code); err != nil {
		return err
	}
	fmt.Fprintf(out.stderr, "The clicks of %s count from zero again.\n", api.ShortURL(code))
	return nil
}

// printStats prints statistics for people.
func printStats(w io.Writer, shortURL string, s *terseclient.Stats) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "short URL\t%s\n", shortURL)
	fmt.Fprintf(table, "range\t%s to %s, %s\n", s.From.Format(rangeTime), s.To.Format(rangeTime), s.TZ)
	before := func(n func(t *terseclient.StatsTotal) int64) string {
		if s.Before == nil {
			return ""
		}
		return compared(n(&s.Total), n(&s.Before.Total))
	}
	if s.Class != "robots" {
		fmt.Fprintf(table, "people\t%d%s\n", s.Total.People, before(func(t *terseclient.StatsTotal) int64 { return t.People }))
	}
	if s.Class != "people" {
		fmt.Fprintf(table, "robots\t%d%s\n", s.Total.Robots, before(func(t *terseclient.StatsTotal) int64 { return t.Robots }))
	}
	if s.Class != "robots" {
		fmt.Fprintf(table, "visitors\t%d%s\n", s.Total.Visitors, before(func(t *terseclient.StatsTotal) int64 { return t.Visitors }))
	}
	if s.CoarseUntil != nil {
		fmt.Fprintf(table, "note\tclicks before %s are stored by hours or days, and count at the start of the hour or day\n", s.CoarseUntil.Format(time.DateOnly))
	}
	if s.Lost != nil && *s.Lost > 0 {
		fmt.Fprintf(table, "note\tthe server lost %d clicks of all links together in this time\n", *s.Lost)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := printChart(w, s); err != nil {
		return err
	}
	for i := range s.Breakdowns {
		if err := printBreakdown(w, &s.Breakdowns[i], s.Class == "robots"); err != nil {
			return err
		}
	}
	return nil
}

const rangeTime = "2006-01-02 15:04"

// compared says how a number differs from the number of the range before.
func compared(now, before int64) string {
	if before == 0 {
		return " (before: 0)"
	}
	return fmt.Sprintf(" (before: %d, %+.0f %%)", before, 100*float64(now-before)/float64(before))
}

// The size of a chart.
const (
	chartColumns = 72
	chartRows    = 6
)

// printChart draws the series as columns. Of a long series, each column has the clicks of several
// points.
func printChart(w io.Writer, s *terseclient.Stats) error {
	each := (len(s.Series) + chartColumns - 1) / chartColumns
	if each == 0 {
		return nil
	}
	columns := make([]int64, (len(s.Series)+each-1)/each)
	highest := int64(0)
	for i, p := range s.Series {
		n := p.People
		if s.Class == "robots" {
			n = p.Robots
		}
		columns[i/each] += n
		highest = max(highest, columns[i/each])
	}
	if highest == 0 {
		return nil
	}
	what := "people"
	if s.Class == "robots" {
		what = "robots"
	}
	column := s.Interval
	if each > 1 {
		column = fmt.Sprintf("%d × %s", each, s.Interval)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, each column %s, highest %d\n", what, column, highest)
	for row := range int64(chartRows) {
		line := make([]rune, len(columns))
		for i, n := range columns {
			line[i] = block(n*chartRows*8/highest-(chartRows-1-row)*8, row == chartRows-1 && n > 0)
		}
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	first, last := s.From.Format(rangeTime), s.To.Format(rangeTime)
	fmt.Fprintf(&b, "%s%s%s\n", first, strings.Repeat(" ", max(2, len(columns)-len(first)-len(last))), last)
	_, err := io.WriteString(w, b.String())
	return err
}

// block returns the part of a column in one row, in eighths. A column with few clicks still shows.
func block(eighths int64, shows bool) rune {
	if shows {
		eighths = max(1, eighths)
	}
	return []rune(" ▁▂▃▄▅▆▇█")[min(8, max(0, eighths))]
}

// barLength is the length of the longest bar of a breakdown.
const barLength = 30

// printBreakdown prints a table with a bar for each value.
func printBreakdown(w io.Writer, b *terseclient.StatsBreakdown, robots bool) error {
	rows := make([]terseclient.StatsValue, 0, len(b.Values)+2)
	for _, v := range b.Values {
		v.Value = oneLine(v.Value)
		rows = append(rows, v)
	}
	unknown := "(unknown)"
	if b.By == "referrer" {
		unknown = "(direct)"
	}
	for _, r := range []terseclient.StatsValue{{Value: "(other)", Clicks: b.Other}, {Value: unknown, Clicks: b.Unknown}} {
		if r.Clicks != (terseclient.Clicks{}) {
			rows = append(rows, r)
		}
	}
	count := func(c *terseclient.Clicks) int64 {
		if robots {
			return c.Robots
		}
		return c.People
	}
	longest := int64(1)
	for i := range rows {
		longest = max(longest, count(&rows[i].Clicks))
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s\tPEOPLE\tROBOTS\t\n", strings.ToUpper(b.By))
	for i := range rows {
		r := &rows[i]
		bar := strings.Repeat("█", int(count(&r.Clicks)*barLength/longest))
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", cmp.Or(r.Value, "-"), strconv.FormatInt(r.People, 10), strconv.FormatInt(r.Robots, 10), bar)
	}
	return table.Flush()
}
