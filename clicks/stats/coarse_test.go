package stats_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/stats"
	"github.com/terse/terse/store"
)

// TestCoarseDays checks answers from days that were stored by hours or days: they add up, a click
// counts where its hour or day begins, and an answer without CoarseUntil is exact.
func TestCoarseDays(t *testing.T) {
	t.Parallel()
	exact, coarse := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		around, err := time.Parse(time.RFC3339, rapid.SampledFrom(moments).Draw(t, "around"))
		if err != nil {
			t.Fatal(err)
		}
		byTime := day.Resolution(rapid.IntRange(0, 2).Draw(t, "byTime"))
		byValue := max(byTime, day.Resolution(rapid.IntRange(0, 2).Draw(t, "byValue")))
		raw := &rawClicks{clicks: map[string][]rawClick{"k": drawClicks(t, around)}}
		raw.pack(store.ClickLink, rapid.IntRange(1, 2).Draw(t, "shards"), func(d *day.Day) { d.Coarsen(byTime, byValue) })
		q := drawQuery(t, around)
		results, err := stats.Read(t.Context(), raw, store.ClickLink, []string{"k"}, &q, around.AddDate(1, 0, 0))
		if err != nil {
			t.Fatalf("Read = %v", err)
		}
		got := &results[0]
		if got.CoarseUntil.IsZero() {
			exact++
			compare(t, &q, got, raw.clicks["k"])
			return
		}
		coarse++
		var total day.Count
		for _, c := range raw.clicks["k"] {
			c.at = c.at.Truncate(time.Duration(byTime.Quarters()) * 15 * time.Minute)
			if !c.at.Before(q.From) && c.at.Before(q.To) {
				add(&total, &c, q.Class)
			}
		}
		if got.Total != total {
			t.Fatalf("Total = %v, want %v", got.Total, total)
		}
		for _, p := range got.Series {
			total.Add(day.Count{People: -p.People, Robots: -p.Robots})
		}
		if total != (day.Count{}) {
			t.Fatalf("the series does not add up: %v are missing", total)
		}
		for _, b := range got.Breakdowns {
			sum := b.Other
			sum.Add(b.Unknown)
			for _, v := range b.Values {
				sum.Add(v.Count)
			}
			if sum != got.Total {
				t.Fatalf("%v adds up to %v, want %v", b.Dimension, sum, got.Total)
			}
		}
	})
	if !t.Failed() && (exact == 0 || coarse == 0) {
		t.Errorf("%d exact and %d coarse answers, want both", exact, coarse)
	}
}

// TestCoarseWhereBordersAllow checks which answers from stored hours are exact.
func TestCoarseWhereBordersAllow(t *testing.T) {
	t.Parallel()
	raw := &rawClicks{clicks: map[string][]rawClick{"k": nil}}
	start := time.Date(2026, 8, 10, 0, 0, 0, 0, time.UTC)
	for i := range 3 * day.Quarters {
		c := rawClick{at: start.Add(time.Duration(i) * 15 * time.Minute), visitor: 1}
		c.values[day.Class], c.values[day.Country] = day.Person, "DE"
		raw.clicks["k"] = append(raw.clicks["k"], c)
	}
	raw.pack(store.ClickLink, 1, (*day.Day).ToHours)
	for name, c := range map[string]struct {
		params stats.Params
		coarse string
	}{
		"hours":                   {stats.Params{From: "2026-08-11", To: "2026-08-12", Interval: "hour"}, ""},
		"days of whole hours":     {stats.Params{From: "2026-08-11", To: "2026-08-12", Zone: "Asia/Tokyo", Interval: "day"}, ""},
		"quarters":                {stats.Params{From: "2026-08-11", To: "2026-08-12", Interval: "15min"}, "2026-08-12"},
		"days of half hours":      {stats.Params{From: "2026-08-11", To: "2026-08-12", Zone: "Asia/Kolkata", Interval: "day"}, "2026-08-12"},
		"end within an hour":      {stats.Params{From: "2026-08-10", To: "2026-08-11T10:15:00Z", Interval: "day"}, "2026-08-12"},
		"start within an hour":    {stats.Params{From: "2026-08-10T10:15:00Z", To: "2026-08-11", Interval: "day"}, "2026-08-11"},
		"only days without click": {stats.Params{From: "2026-09-11", To: "2026-09-12", Zone: "Asia/Kolkata", Interval: "day"}, ""},
	} {
		q, err := stats.ParseQuery(c.params, now)
		if err != nil {
			t.Fatalf("%s: ParseQuery = %v", name, err)
		}
		results, err := stats.Read(t.Context(), raw, store.ClickLink, []string{"k"}, &q, now)
		if err != nil {
			t.Fatalf("%s: Read = %v", name, err)
		}
		got := ""
		if until := results[0].CoarseUntil; !until.IsZero() {
			got = until.Format(time.DateOnly)
		}
		if got != c.coarse {
			t.Errorf("%s: CoarseUntil = %q, want %q", name, got, c.coarse)
		}
	}
}

// TestValuesByDay checks a range that cuts a day with quarter-hours of clicks and values of the day
// alone: clicks count as unknown if it is not known which of them are in the range.
func TestValuesByDay(t *testing.T) {
	t.Parallel()
	raw := &rawClicks{clicks: map[string][]rawClick{"k": nil}}
	for i, at := range []string{"2026-08-10T09:00:00Z", "2026-08-10T11:00:00Z", "2026-08-11T11:00:00Z", "2026-08-11T12:00:00Z"} {
		parsed, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		c := rawClick{at: parsed}
		c.values[day.Country] = []string{"DE", "FR"}[i%2]
		raw.clicks["k"] = append(raw.clicks["k"], c)
	}
	raw.pack(store.ClickLink, 1, func(d *day.Day) { d.Coarsen(day.ByQuarter, day.ByDay) })
	q, err := stats.ParseQuery(stats.Params{From: "2026-08-10T10:00:00Z", To: "2026-08-12", By: "country"}, now)
	if err != nil {
		t.Fatal(err)
	}
	results, err := stats.Read(t.Context(), raw, store.ClickLink, []string{"k"}, &q, now)
	if err != nil {
		t.Fatal(err)
	}
	b := results[0].Breakdowns[0]
	if results[0].Total.Robots != 3 || len(b.Values) != 2 || b.Values[0].Robots != 1 || b.Values[1].Robots != 1 || b.Unknown.Robots != 1 {
		t.Errorf("Total = %v, breakdown = %+v, want DE, FR and unknown once each", results[0].Total, b)
	}
	if got := results[0].CoarseUntil; !got.Equal(time.Date(2026, 8, 11, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("CoarseUntil = %v, want the end of the first day", got)
	}
}
