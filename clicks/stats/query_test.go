package stats_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/clicks/stats"
	"github.com/terse/terse/store"
)

// wrongFields returns the fields of an error of ParseQuery.
func wrongFields(err error) []string {
	all, _ := errors.AsType[store.InvalidError](err)
	fields := make([]string, len(all))
	for i, f := range all {
		fields[i] = f.Field
	}
	return fields
}

// now is a Monday.
var now = time.Date(2026, 11, 30, 22, 7, 9, 0, time.UTC)

// TestParseQueryWrong checks that an error names each wrong parameter.
func TestParseQueryWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		params stats.Params
		want   []string
	}{
		"reversed":            {stats.Params{From: "2026-11-02", To: "2026-11-01"}, []string{"to"}},
		"empty":               {stats.Params{From: "2026-11-02", To: "2026-11-02"}, []string{"to"}},
		"from the future":     {stats.Params{From: "2027-01-01"}, []string{"from"}},
		"over 100 years":      {stats.Params{From: "1926-11-29", To: "2026-11-30", Interval: "month"}, []string{"from"}},
		"year 0":              {stats.Params{From: "0000-01-01"}, []string{"from"}},
		"year 9999":           {stats.Params{To: "9999-12-31T00:00:00Z"}, []string{"to"}},
		"no date":             {stats.Params{From: "yesterday", To: "2026-02-30"}, []string{"from", "to"}},
		"no zone in the time": {stats.Params{From: "2026-11-01T00:00:00"}, []string{"from"}},
		"between quarters":    {stats.Params{From: "2026-11-01T00:05:00Z"}, []string{"from"}},
		"seconds":             {stats.Params{From: "2026-11-01T00:15:01Z"}, []string{"from"}},
		"unknown zone":        {stats.Params{Zone: "Mars/Olympus"}, []string{"tz"}},
		"zone of the machine": {stats.Params{Zone: "Local"}, []string{"tz"}},
		"zone is a path":      {stats.Params{Zone: "../../../etc/passwd"}, []string{"tz"}},
		"zone is a folder":    {stats.Params{Zone: "Europe"}, []string{"tz"}},
		"zone with NUL":       {stats.Params{Zone: "UTC\x00"}, []string{"tz"}},
		"long zone":           {stats.Params{Zone: strings.Repeat("a", 1<<20)}, []string{"tz"}},
		"interval":            {stats.Params{Interval: "minute"}, []string{"interval"}},
		"too many points":     {stats.Params{From: "2026-01-01", Interval: "15min"}, []string{"interval"}},
		"too many in all":     {stats.Params{From: "2026-11-01", Interval: "hour", Keys: 100}, []string{"interval"}},
		"dimension":           {stats.Params{By: "country,city"}, []string{"by"}},
		"no dimension":        {stats.Params{By: ","}, []string{"by"}},
		"dimension twice":     {stats.Params{By: "country,os,country"}, []string{"by"}},
		"many dimensions":     {stats.Params{By: strings.Repeat("os,", 1<<20)}, []string{"by"}},
		"class":               {stats.Params{Class: "bots"}, []string{"class"}},
		"limit":               {stats.Params{Limit: -1}, []string{"limit"}},
		"limit too high":      {stats.Params{Limit: 101}, []string{"limit"}},
		"all":                 {stats.Params{From: "x", To: "y", Zone: "UTC", Interval: "z", By: "a", Class: "b", Limit: 1000}, []string{"by", "class", "from", "interval", "limit", "to"}},
	} {
		_, err := stats.ParseQuery(c.params, now)
		got := wrongFields(err)
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: ParseQuery = %v, want fields %v", name, err, c.want)
		}
	}
}

// TestParseQueryPlus checks that the error explains a plus sign that was read as a space.
func TestParseQueryPlus(t *testing.T) {
	t.Parallel()
	_, err := stats.ParseQuery(stats.Params{From: "2026-11-01T00:00:00 01:00"}, now)
	if err == nil || !strings.Contains(err.Error(), "%2B") {
		t.Errorf("ParseQuery = %v, want a hint to %%2B", err)
	}
}

// TestParseQueryRange checks ranges, defaults and the range before.
func TestParseQueryRange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		params   stats.Params
		from, to string
		interval stats.Interval
		before   string
	}{
		"defaults":            {params: stats.Params{}, from: "2026-11-01T00:00:00Z", to: "2026-12-01T00:00:00Z", interval: stats.Day, before: "2026-10-02T00:00:00Z"},
		"today in Auckland":   {params: stats.Params{Zone: "Pacific/Auckland"}, from: "2026-11-02T00:00:00+13:00", to: "2026-12-02T00:00:00+13:00", interval: stats.Day, before: "2026-10-03T00:00:00+13:00"},
		"date in a zone":      {params: stats.Params{From: "2026-11-28", To: "2026-11-29", Zone: "Asia/Kolkata"}, from: "2026-11-28T00:00:00+05:30", to: "2026-11-29T00:00:00+05:30", interval: stats.Hour, before: "2026-11-27T00:00:00+05:30"},
		"day of 25 hours":     {params: stats.Params{From: "2026-10-25", To: "2026-10-26", Zone: "Europe/Berlin"}, from: "2026-10-25T00:00:00+02:00", to: "2026-10-26T00:00:00+01:00", interval: stats.Hour, before: "2026-10-24T00:00:00+02:00"},
		"midnight is skipped": {params: stats.Params{From: "2026-04-24", To: "2026-04-25", Zone: "Africa/Cairo"}, from: "2026-04-24T01:00:00+03:00", to: "2026-04-25T00:00:00+03:00", interval: stats.Hour, before: "2026-04-23T00:00:00+02:00"},
		"times":               {params: stats.Params{From: "2026-11-01T10:15:00+02:00", To: "2026-11-01T12:00:00Z"}, from: "2026-11-01T08:15:00Z", to: "2026-11-01T12:00:00Z", interval: stats.Hour, before: "2026-11-01T04:30:00Z"},
		"only the end":        {params: stats.Params{To: "2026-03-01"}, from: "2026-01-30T00:00:00Z", to: "2026-03-01T00:00:00Z", interval: stats.Day, before: "2025-12-31T00:00:00Z"},
		"years":               {params: stats.Params{From: "1926-11-30", To: "2026-11-30"}, from: "1926-11-30T00:00:00Z", to: "2026-11-30T00:00:00Z", interval: stats.Month, before: "1826-11-29T00:00:00Z"},
	} {
		q, err := stats.ParseQuery(c.params, now)
		if err != nil {
			t.Errorf("%s: ParseQuery = %v", name, err)
			continue
		}
		if got := q.From.Format(time.RFC3339); got != c.from {
			t.Errorf("%s: From = %s, want %s", name, got, c.from)
		}
		if got := q.To.Format(time.RFC3339); got != c.to {
			t.Errorf("%s: To = %s, want %s", name, got, c.to)
		}
		if q.Interval != c.interval {
			t.Errorf("%s: Interval = %s, want %s", name, q.Interval, c.interval)
		}
		q.Compare = true
		results, err := stats.Read(t.Context(), &rawClicks{}, store.ClickLink, []string{"a"}, &q, now)
		if err != nil {
			t.Errorf("%s: Read = %v", name, err)
			continue
		}
		if got := results[0].Before.From.Format(time.RFC3339); got != c.before {
			t.Errorf("%s: the range before begins at %s, want %s", name, got, c.before)
		}
	}
}

// TestSeriesLengths checks the number of points where the clocks change and the calendar is uneven.
func TestSeriesLengths(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		params stats.Params
		want   int
	}{
		"day of 23 hours":          {stats.Params{From: "2026-03-29", To: "2026-03-30", Zone: "Europe/Berlin", Interval: "hour"}, 23},
		"day of 25 hours":          {stats.Params{From: "2026-10-25", To: "2026-10-26", Zone: "Europe/Berlin", Interval: "hour"}, 25},
		"quarters of 23 hours":     {stats.Params{From: "2026-03-29", To: "2026-03-30", Zone: "Europe/Berlin", Interval: "15min"}, 92},
		"days over a change":       {stats.Params{From: "2026-10-20", To: "2026-10-30", Zone: "Europe/Berlin", Interval: "day"}, 10},
		"a day that never was":     {stats.Params{From: "2011-12-29", To: "2012-01-02", Zone: "Pacific/Apia", Interval: "day"}, 3},
		"weeks":                    {stats.Params{From: "2026-11-01", To: "2026-12-01", Interval: "week"}, 6},
		"months":                   {stats.Params{From: "2025-01-15", To: "2026-01-15", Interval: "month"}, 13},
		"an hour of half an hour":  {stats.Params{From: "2026-04-05", To: "2026-04-06", Zone: "Australia/Lord_Howe", Interval: "hour"}, 25},
		"midnight came twice":      {stats.Params{From: "2026-10-31", To: "2026-11-03", Zone: "America/Havana", Interval: "day"}, 3},
		"in the evening once more": {stats.Params{From: "2010-11-07T03:00:00Z", To: "2010-11-07T04:00:00Z", Zone: "America/St_Johns", Interval: "day"}, 1},
	} {
		q, err := stats.ParseQuery(c.params, now)
		if err != nil {
			t.Errorf("%s: ParseQuery = %v", name, err)
			continue
		}
		results, err := stats.Read(t.Context(), &rawClicks{}, store.ClickLink, []string{"a"}, &q, now)
		if err != nil {
			t.Errorf("%s: Read = %v", name, err)
			continue
		}
		if got := len(results[0].Series); got != c.want {
			t.Errorf("%s: %d points, want %d", name, got, c.want)
		}
	}
}
