package stats_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/stats"
	"github.com/terse/terse/store"
)

// TestReadInParts checks that a long range is read in parts that follow each other, without days in
// the future or before 1970.
func TestReadInParts(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{{"a"}, make([]string, 100)} {
		var d parts
		q, err := stats.ParseQuery(stats.Params{From: "1960-01-01", To: "2040-01-01"}, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stats.Read(t.Context(), &d, store.ClickLink, keys, &q, now); err != nil {
			t.Fatalf("Read = %v", err)
		}
		at := int32(0)
		for _, p := range d {
			if p.from != at || p.to <= p.from || p.to-p.from > 366 {
				t.Errorf("a part has the days %d to %d, want them to begin at %d", p.from, p.to, at)
			}
			at = p.to
		}
		if want := store.DayOf(now) + 2; at != want {
			t.Errorf("read until day %d, want %d", at, want)
		}
	}
}

// parts records the ranges that are read.
type parts []struct{ from, to int32 }

func (p *parts) ListClickDays(_ context.Context, kind store.ClickKind, _ []string, from, to int32) ([]store.ClickDay, error) {
	if kind == store.ClickLost {
		return nil, nil
	}
	*p = append(*p, struct{ from, to int32 }{from, to})
	return nil, nil
}

// failing fails.
type failing struct{}

func (failing) ListClickDays(context.Context, store.ClickKind, []string, int32, int32) ([]store.ClickDay, error) {
	return nil, store.ErrUnavailable
}

// TestReadFails checks that no answer is partial.
func TestReadFails(t *testing.T) {
	t.Parallel()
	q, err := stats.ParseQuery(stats.Params{}, now)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := stats.Read(t.Context(), failing{}, store.ClickLink, []string{"a"}, &q, now); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Read = %v, %v, want ErrUnavailable", r, err)
	}
	bad := &rawClicks{rows: []store.ClickDay{{Kind: store.ClickLink, Key: "a", Day: store.DayOf(now), Data: []byte("bad")}}}
	if r, err := stats.Read(t.Context(), bad, store.ClickLink, []string{"a"}, &q, now); !errors.Is(err, day.ErrFormat) {
		t.Errorf("Read = %v, %v, want ErrFormat", r, err)
	}
}

// TestLost checks that an answer has the number of lost clicks in its range, and in the range before.
func TestLost(t *testing.T) {
	t.Parallel()
	raw := &rawClicks{}
	for i := range int32(4) {
		var d day.Day
		d.Add(day.Click{Quarter: 8, N: 1 << (4 * i)})
		d.Add(day.Click{Quarter: 40, N: 2 << (4 * i)})
		raw.rows = append(raw.rows, store.ClickDay{Kind: store.ClickLost, Day: store.DayOf(now) - i, Data: d.Append(nil)})
	}
	midnight := store.DayStart(store.DayOf(now))
	q, err := stats.ParseQuery(stats.Params{
		From: midnight.Add(-14 * time.Hour).Format(time.RFC3339), To: midnight.Add(10 * time.Hour).Format(time.RFC3339), Compare: true,
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	results, err := stats.Read(t.Context(), raw, store.ClickLink, []string{"a", "b"}, &q, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if *r.Lost != 0x21 || *r.Before.Lost != 0x210 || r.Total.All() != 0 {
			t.Errorf("lost %#x and %#x before, total %v, want 0x21, 0x210 and no clicks", *r.Lost, *r.Before.Lost, r.Total)
		}
	}
}

// lossless is a store whose lost clicks cannot be read, as while a shard is down.
type lossless struct{ rawClicks }

func (l *lossless) ListClickDays(ctx context.Context, kind store.ClickKind, keys []string, from, to int32) ([]store.ClickDay, error) {
	if kind == store.ClickLost {
		return nil, store.ErrUnavailable
	}
	return l.rawClicks.ListClickDays(ctx, kind, keys, from, to)
}

// TestLostIsUnknown checks that statistics of a link need no other shard than its own.
func TestLostIsUnknown(t *testing.T) {
	t.Parallel()
	q, err := stats.ParseQuery(stats.Params{Compare: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	r, err := stats.Read(t.Context(), &lossless{}, store.ClickLink, []string{"a"}, &q, now)
	if err != nil || r[0].Lost != nil || r[0].Before.Lost != nil {
		t.Errorf("Read = %+v, %v, want an unknown number of lost clicks", r, err)
	}
}

// TestFloodOverManyDays checks that new values on each day do not push out the values with most
// clicks, and that a breakdown adds up then.
func TestFloodOverManyDays(t *testing.T) {
	t.Parallel()
	raw := &rawClicks{}
	const days = 250
	first := store.DayOf(now) - days
	for i := range int32(days) {
		var d day.Day
		for j := range day.MaxValues {
			c := day.Click{N: 2}
			c.Values[day.Referrer] = fmt.Sprintf("junk-%d-%d.example", i, j)
			d.Add(c)
		}
		c := day.Click{N: 3}
		c.Values[day.Referrer] = "real.example"
		d.Add(c)
		raw.rows = append(raw.rows, store.ClickDay{Kind: store.ClickLink, Key: "a", Day: first + i, Data: d.Append(nil)})
	}
	q, err := stats.ParseQuery(stats.Params{From: "2026-01-01", By: "referrer", Limit: 2}, now)
	if err != nil {
		t.Fatal(err)
	}
	results, err := stats.Read(t.Context(), raw, store.ClickLink, []string{"a"}, &q, now)
	if err != nil {
		t.Fatal(err)
	}
	b := results[0].Breakdowns[0]
	if len(b.Values) != 2 || b.Values[0].Name != "real.example" || b.Values[0].Robots != 3*days {
		t.Errorf("values = %v, want real.example with %d", b.Values, 3*days)
	}
	sum := b.Other
	sum.Add(b.Unknown)
	for _, v := range b.Values {
		sum.Add(v.Count)
	}
	if want := int64(days * (3 + 2*day.MaxValues)); sum.Robots != want || results[0].Total.Robots != want {
		t.Errorf("breakdown adds up to %d, total is %d, want %d", sum.Robots, results[0].Total.Robots, want)
	}
}

// BenchmarkRead measures 30 days of a link with 100,000 clicks a day, by hour with all breakdowns.
func BenchmarkRead(b *testing.B) {
	raw := &rawClicks{}
	for i := range int32(30) {
		var d day.Day
		for j := range 100_000 {
			c := day.Click{N: 1, Quarter: j % day.Quarters, Visitor: uint64(j%40_000+1) * 0x9e3779b97f4a7c15}
			c.Values[day.Class] = day.Person
			for dim := day.Country; dim < day.Dimensions; dim++ {
				k := j * int(dim+7) % 997
				c.Values[dim] = fmt.Sprint("value-", k*k*k/1_000_000/int(dim))
			}
			d.Add(c)
		}
		raw.rows = append(raw.rows, store.ClickDay{Kind: store.ClickLink, Key: "a", Day: store.DayOf(now) - i, Data: d.Append(nil)})
	}
	q, err := stats.ParseQuery(stats.Params{Zone: "Asia/Kolkata", Interval: "hour", By: "class,country,referrer,device,browser,os,language,utm_source,utm_medium,utm_campaign,utm_term,utm_content,source,rule"}, now)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := stats.Read(context.Background(), raw, store.ClickLink, []string{"a"}, &q, now.Add(time.Hour)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(raw.rows[0].Data)), "B/day")
}
