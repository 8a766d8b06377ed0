package stats_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/stats"
	"github.com/terse/terse/store"
)

// rawClick is a click as it happened.
type rawClick struct {
	at      time.Time
	values  [day.Dimensions]string
	visitor uint64
}

func (c *rawClick) person() bool { return c.values[day.Class] == day.Person }

// rawClicks are the oracle: clicks by key. Their days are in rows.
type rawClicks struct {
	clicks map[string][]rawClick
	rows   []store.ClickDay
}

// ListClickDays implements stats.Days.
func (r *rawClicks) ListClickDays(_ context.Context, kind store.ClickKind, keys []string, from, to int32) ([]store.ClickDay, error) {
	for i, key := range keys {
		if slices.Contains(keys[:i], key) {
			return nil, fmt.Errorf("key %q is there twice", key)
		}
	}
	var found []store.ClickDay
	for _, row := range r.rows {
		if row.Kind == kind && slices.Contains(keys, row.Key) && from <= row.Day && row.Day < to {
			found = append(found, row)
		}
	}
	return found, nil
}

// pack stores the clicks as days in several shards. change may change each day.
func (r *rawClicks) pack(kind store.ClickKind, shards int, change func(*day.Day)) {
	for key, clicks := range r.clicks {
		type place struct {
			day   int32
			shard int
		}
		days := map[place]*day.Day{}
		for i, c := range clicks {
			p := place{store.DayOf(c.at), i % shards}
			if days[p] == nil {
				days[p] = new(day.Day)
			}
			days[p].Add(day.Click{Quarter: int(c.at.Sub(store.DayStart(p.day)) / (15 * time.Minute)), Values: c.values, Visitor: c.visitor, N: 1})
		}
		for p, d := range days {
			change(d)
			r.rows = append(r.rows, store.ClickDay{Kind: kind, Key: key, Day: p.day, Data: d.Append(nil)})
		}
	}
}

func add(c *day.Count, click *rawClick, class stats.Class) bool {
	switch {
	case click.person() && class != stats.Robots:
		c.People++
	case !click.person() && class != stats.People:
		c.Robots++
	default:
		return false
	}
	return true
}

// zones have offsets of 15, 30 and 45 minutes, changes at midnight and of half an hour, a day that
// never was, and an offset with seconds.
var zones = []string{
	"UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe",
	"Africa/Cairo", "America/St_Johns", "America/Havana", "Asia/Beirut", "Pacific/Apia", "Pacific/Kiritimati", "America/Sao_Paulo",
	"Africa/Monrovia",
}

// moments are times around changes of clocks.
var moments = []string{
	"2026-03-08T07:00:00Z", "2026-10-25T01:00:00Z", "2026-04-04T15:00:00Z", "2026-04-23T22:00:00Z", "2011-12-30T10:00:00Z",
	"2018-11-04T03:00:00Z", "2010-11-07T02:31:00Z", "2026-03-28T22:00:00Z", "2026-11-01T04:00:00Z",
	"1971-06-01T00:00:00Z",
}

// draw draws clicks around a moment.
func drawClicks(t *rapid.T, around time.Time) []rawClick {
	values := rapid.SampledFrom([]string{"", "", "a", "b", "c", "(other)", "ü"})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rawClick {
		spread := rapid.SampledFrom([]int64{3, 26, 40 * 24}).Draw(t, "spread") * 60
		c := rawClick{
			at:      around.Add(time.Duration(rapid.Int64Range(-spread, spread).Draw(t, "minute")) * time.Minute),
			visitor: rapid.Uint64Range(1, 6).Draw(t, "visitor") * 0x9e3779b97f4a7c15,
		}
		for dim := range c.values {
			c.values[dim] = values.Draw(t, "value")
		}
		c.values[day.Class] = rapid.SampledFrom([]string{day.Person, day.Person, "crawler", ""}).Draw(t, "class")
		return c
	}), 0, 25).Draw(t, "clicks")
}

// drawQuery draws a query with a range around a moment.
func drawQuery(t *rapid.T, around time.Time) stats.Query {
	zone := rapid.SampledFrom(zones).Draw(t, "zone")
	at := func(label string) string {
		hours := rapid.SampledFrom([]int64{4, 60, 50 * 24}).Draw(t, label+" spread")
		at := around.Truncate(15 * time.Minute).Add(time.Duration(rapid.Int64Range(-4*hours, 4*hours).Draw(t, label)) * 15 * time.Minute)
		if rapid.Bool().Draw(t, label+" is a date") {
			return at.Format(time.DateOnly)
		}
		return at.Format(time.RFC3339)
	}
	p := stats.Params{
		From: at("from"), To: at("to"), Zone: zone,
		Interval: rapid.SampledFrom([]string{"", "15min", "hour", "day", "week", "month"}).Draw(t, "interval"),
		By:       rapid.SampledFrom([]string{"", "country", "class,referrer", "rule,os,device,utm_term"}).Draw(t, "by"),
		Class:    rapid.SampledFrom([]string{"", "all", "people", "robots"}).Draw(t, "class"),
		Limit:    rapid.IntRange(0, 4).Draw(t, "limit"),
		Compare:  rapid.Bool().Draw(t, "compare"),
	}
	q, err := stats.ParseQuery(p, around)
	if err != nil {
		for _, field := range wrongFields(err) {
			if field != "to" && field != "interval" { // reversed, or too many points
				t.Fatalf("ParseQuery(%+v) = %v", p, err)
			}
		}
		t.Skip(err)
	}
	return q
}

// TestAgainstRawClicks checks answers about random clicks, ranges, zones, filters and breakdowns
// against the clicks themselves.
func TestAgainstRawClicks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		around, err := time.Parse(time.RFC3339, rapid.SampledFrom(moments).Draw(t, "around"))
		if err != nil {
			t.Fatal(err)
		}
		raw := &rawClicks{clicks: map[string][]rawClick{"k1": drawClicks(t, around), "k2": drawClicks(t, around), "no": nil}}
		raw.pack(store.ClickOwner, rapid.IntRange(1, 3).Draw(t, "shards"), func(*day.Day) {})
		q := drawQuery(t, around)
		keys := []string{"k2", "no", "k1", "k2"}
		results, err := stats.Read(t.Context(), raw, store.ClickOwner, keys, &q, around.AddDate(1, 0, 0))
		if err != nil {
			t.Fatalf("Read = %v", err)
		}
		for i, key := range keys {
			compare(t, &q, &results[i], raw.clicks[key])
			if !results[i].CoarseUntil.IsZero() {
				t.Fatalf("CoarseUntil = %v, want an exact answer", results[i].CoarseUntil)
			}
			if (results[i].Before != nil) != q.Compare {
				t.Fatalf("Before = %v, want it if Compare is %v", results[i].Before, q.Compare)
			}
			if q.Compare {
				before := q
				before.From, before.To, before.By = results[i].Before.From, results[i].Before.To, nil
				if !before.To.Equal(q.From) || !before.From.Before(before.To) {
					t.Fatalf("the range before ends at %v, want %v", before.To, q.From)
				}
				compare(t, &before, results[i].Before, raw.clicks[key])
			}
		}
	})
}

// compare compares an answer with the clicks.
func compare(t *rapid.T, q *stats.Query, got *stats.Result, clicks []rawClick) {
	t.Helper()
	var total day.Count
	points := map[int]day.Count{}
	values := make([]map[string]day.Count, len(q.By))
	for i := range values {
		values[i] = map[string]day.Count{}
	}
	visitors := map[int32]map[uint64]bool{}
	people := map[int32]int64{}
	whole := map[int32]bool{}
	for _, c := range clicks {
		c.at = c.at.Truncate(15 * time.Minute) // changes nothing since 1980, see quarterOf
		number := store.DayOf(c.at)
		if _, ok := whole[number]; !ok {
			whole[number] = true
		}
		if c.person() {
			if visitors[number] == nil {
				visitors[number] = map[uint64]bool{}
			}
			visitors[number][c.visitor] = true
		}
		if c.at.Before(q.From) || !c.at.Before(q.To) {
			whole[number] = false
			continue
		}
		if c.person() {
			people[number]++
		}
		if !add(&total, &c, q.Class) {
			continue
		}
		bucket := bucketOf(got.Series, c.at)
		count := points[bucket]
		add(&count, &c, q.Class)
		points[bucket] = count
		for i, dim := range q.By {
			count := values[i][c.values[dim]]
			add(&count, &c, q.Class)
			values[i][c.values[dim]] = count
		}
	}
	if got.Total != total {
		t.Fatalf("Total = %v, want %v", got.Total, total)
	}
	checkBuckets(t, q, got.Series)
	for i, p := range got.Series {
		if p.Count != points[i] {
			t.Fatalf("point %v = %v, want %v", p.Start, p.Count, points[i])
		}
	}
	for i, b := range got.Breakdowns {
		compareValues(t, &b, values[i], q.Limit)
	}
	if len(got.Breakdowns) != len(q.By) {
		t.Fatalf("%d breakdowns, want %d", len(got.Breakdowns), len(q.By))
	}
	want := map[string]stats.Visitors{}
	for number, n := range people {
		start := store.DayStart(number)
		if q.Class != stats.Robots {
			want[start.Format(time.DateOnly)] = stats.Visitors{Day: start, N: min(n, int64(len(visitors[number]))), Whole: whole[number]}
		}
	}
	found := map[string]stats.Visitors{}
	for _, v := range got.Visitors {
		found[v.Day.Format(time.DateOnly)] = v
	}
	if !maps.Equal(found, want) {
		t.Fatalf("Visitors = %v, want %v", found, want)
	}
}

// bucketOf returns the point of a time. It finds it by the clock of the zone: two times are in the
// same bucket if their clocks show the same interval.
func bucketOf(series []stats.Point, at time.Time) int {
	last := -1
	for i, p := range series {
		if !p.Start.After(at) {
			last = i
		}
	}
	return last
}

// label returns what the clock shows, down to the interval.
func label(i stats.Interval, t time.Time) string {
	switch i {
	case stats.Hour:
		return t.Format("2006-01-02T15")
	case stats.Day:
		return t.Format("2006-01-02")
	case stats.Week:
		y, w := t.ISOWeek()
		return fmt.Sprintf("%d-W%d", y, w)
	case stats.Month:
		return t.Format("2006-01")
	}
	return fmt.Sprint(t.Unix() / 900)
}

// checkBuckets checks each border of a series by the clock of the zone: the label changes there, and
// does not change inside of a bucket, except where the clocks go back.
func checkBuckets(t *rapid.T, q *stats.Query, series []stats.Point) {
	t.Helper()
	if len(series) == 0 || !series[0].Start.Equal(q.From) {
		t.Fatalf("the series does not begin at %v", q.From)
	}
	seen := map[string]bool{}
	for i, p := range series {
		end := q.To
		if i+1 < len(series) {
			end = series[i+1].Start
		}
		if !p.Start.Before(end) {
			t.Fatalf("point %v ends at %v", p.Start, end)
		}
		first := label(q.Interval, p.Start)
		steps := 15 * time.Minute
		if end.Sub(p.Start) > 72*time.Hour {
			steps = end.Sub(p.Start) / 100
		}
		for at := p.Start; at.Before(end); at = at.Add(steps) {
			if got := label(q.Interval, at); got != first && !wentBack(at) {
				t.Fatalf("point %v has %v", p.Start, at)
			}
		}
		if seen[first] && !wentBack(p.Start) {
			t.Fatalf("two points are %v", first)
		}
		seen[first] = true
	}
}

// wentBack reports whether the clocks went back, or by less than an hour, within the last day.
func wentBack(t time.Time) bool {
	_, before := t.Add(-25 * time.Hour).Zone()
	_, after := t.Zone()
	_, later := t.Add(2 * time.Hour).Zone()
	return before > after || after > later || (after-before)%3600 != 0
}

func compareValues(t *rapid.T, b *stats.Breakdown, want map[string]day.Count, limit int) {
	t.Helper()
	other := day.Count{}
	for name, c := range want {
		if name != "" {
			other.Add(c)
		}
	}
	last := int64(1 << 40)
	for _, v := range b.Values {
		if v.Count != want[v.Name] || v.Name == "" {
			t.Fatalf("%v: %q = %v, want %v", b.Dimension, v.Name, v.Count, want[v.Name])
		}
		if v.All() > last {
			t.Fatalf("%v: %q is larger than the value before", b.Dimension, v.Name)
		}
		last = v.All()
		other.Add(day.Count{People: -v.People, Robots: -v.Robots})
	}
	known := len(want)
	if _, unknown := want[""]; unknown {
		known--
	}
	if len(b.Values) != min(limit, known) {
		t.Fatalf("%v: %d values, want %d of %d", b.Dimension, len(b.Values), limit, known)
	}
	if b.Other != other || b.Unknown != want[""] {
		t.Fatalf("%v: other = %v, unknown = %v, want %v, %v", b.Dimension, b.Other, b.Unknown, other, want[""])
	}
}
