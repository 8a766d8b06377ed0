package day_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/terse/terse/clicks/day"
)

// model is a Day as a plain map, without a limit of values.
type model struct {
	total    map[int]day.Count
	values   map[modelKey]day.Count
	visitors map[uint64]bool

	byTime, byValue day.Resolution
}

type modelKey struct {
	dim     day.Dimension
	name    string
	quarter int
}

func newModel() *model {
	return &model{total: map[int]day.Count{}, values: map[modelKey]day.Count{}, visitors: map[uint64]bool{}}
}

func start(r day.Resolution, quarter int) int { return quarter / r.Quarters() * r.Quarters() }

func sum(a, b day.Count) day.Count {
	return day.Count{People: a.People + b.People, Robots: a.Robots + b.Robots}
}

func (m *model) add(c day.Click) {
	count := day.Count{Robots: c.N}
	if c.Values[day.Class] == day.Person {
		count = day.Count{People: c.N}
		if c.Visitor != 0 {
			m.visitors[c.Visitor] = true
		}
	}
	m.addTotal(c.Quarter, count)
	for dim, name := range c.Values {
		m.addValue(modelKey{day.Dimension(dim), name, c.Quarter}, count)
	}
}

func (m *model) addTotal(quarter int, c day.Count) {
	quarter = start(m.byTime, quarter)
	m.total[quarter] = sum(m.total[quarter], c)
}

func (m *model) addValue(k modelKey, c day.Count) {
	k.quarter = start(m.byValue, k.quarter)
	m.values[k] = sum(m.values[k], c)
}

func (m *model) merge(o *model) {
	m.coarsen(o.byTime, o.byValue)
	for q, c := range o.total {
		m.addTotal(q, c)
	}
	for k, c := range o.values {
		m.addValue(k, c)
	}
	maps.Copy(m.visitors, o.visitors)
}

func (m *model) coarsen(byTime, byValue day.Resolution) {
	old := *m
	*m = *newModel()
	m.visitors = old.visitors
	m.byTime = max(old.byTime, byTime)
	m.byValue = max(old.byValue, byValue, m.byTime)
	for q, c := range old.total {
		m.addTotal(q, c)
	}
	for k, c := range old.values {
		m.addValue(k, c)
	}
}

// fataler is testing.TB or rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check compares d with m.
func (m *model) check(t fataler, d *day.Day) {
	t.Helper()
	byTime, byValue := d.Resolution()
	if byTime != m.byTime || byValue != m.byValue {
		t.Fatalf("Resolution = %v, %v, want %v, %v", byTime, byValue, m.byTime, m.byValue)
	}
	total := map[int]day.Count{}
	for _, p := range d.Series() {
		total[int(p.Quarter)] = p.Count
	}
	if !maps.Equal(total, m.total) {
		t.Fatalf("Series = %v, want %v", total, m.total)
	}
	values := map[modelKey]day.Count{}
	for dim := range day.Dimension(day.Dimensions) {
		for name, s := range d.Values(dim) {
			last := -1
			for _, p := range s {
				if int(p.Quarter) <= last || p.Count == (day.Count{}) {
					t.Fatalf("Values(%v) of %q = %v, want rising quarters and no zeros", dim, name, s)
				}
				last = int(p.Quarter)
				k := modelKey{dim, name, int(p.Quarter)}
				if _, twice := values[k]; twice {
					t.Fatalf("Values(%v) has %q twice", dim, name)
				}
				values[k] = p.Count
			}
		}
	}
	if !maps.Equal(values, m.values) {
		t.Fatalf("Values = %v, want %v", values, m.values)
	}
	if got, want := d.Visitors(), int64(len(m.visitors)); got != want {
		t.Fatalf("Visitors = %d, want %d", got, want)
	}
}

// someClick draws a click with few different values, so that clicks share them.
var someClick = rapid.Custom(func(t *rapid.T) day.Click {
	c := day.Click{
		Quarter: rapid.IntRange(0, day.Quarters-1).Draw(t, "quarter"),
		Visitor: rapid.Uint64Range(0, 8).Draw(t, "visitor") * 0x9e3779b97f4a7c15,
		N:       rapid.SampledFrom([]int64{1, 1, 1, 2, 3, 1000, 1 << 30}).Draw(t, "n"),
	}
	names := rapid.SampledFrom([]string{"", "", "US", "x", "ü\x00,\"", "link", strings.Repeat("v", day.MaxValueLen), "person", "(other)", "é", "abc"})
	for dim := range c.Values {
		c.Values[dim] = names.Draw(t, "value")
	}
	c.Values[day.Class] = rapid.SampledFrom([]string{day.Person, day.Person, "crawler", "", "zz"}).Draw(t, "class")
	return c
})

func parse(t fataler, b []byte) *day.Day {
	t.Helper()
	d, err := day.Parse(b)
	if err != nil {
		t.Fatalf("Parse(%x) = %v", b, err)
	}
	return d
}

// TestDayIsItsClicks checks that a day counts the clicks added, in any order and grouping, at any
// resolution, packed or not.
func TestDayIsItsClicks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		days := []*day.Day{{}}
		models := []*model{newModel()}
		pick := func(label string) int { return rapid.IntRange(0, len(days)-1).Draw(t, label) }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				c, i := someClick.Draw(t, "click"), pick("day")
				days[i].Add(c)
				models[i].add(c)
			},
			"new": func(*rapid.T) {
				days = append(days, &day.Day{})
				models = append(models, newModel())
			},
			"merge": func(t *rapid.T) {
				i, j := pick("to"), pick("from")
				if i == j {
					t.Skip("the same day")
				}
				days[i].Merge(days[j])
				models[i].merge(models[j])
			},
			"pack": func(t *rapid.T) {
				i := pick("day")
				days[i] = parse(t, days[i].Append([]byte("before"))[len("before"):])
			},
			"coarsen": func(t *rapid.T) {
				i := pick("day")
				byTime := day.Resolution(rapid.IntRange(0, 2).Draw(t, "byTime"))
				byValue := day.Resolution(rapid.IntRange(0, 2).Draw(t, "byValue"))
				days[i].Coarsen(byTime, byValue)
				models[i].coarsen(byTime, byValue)
			},
			"": func(t *rapid.T) {
				for i := range days {
					models[i].check(t, days[i])
				}
			},
		})
	})
}

// TestPackedFormIsCanonical checks that the packed form depends on the clicks alone, not on their
// order or grouping.
func TestPackedFormIsCanonical(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clicks := rapid.SliceOfN(someClick, 1, 40).Draw(t, "clicks")
		var one day.Day
		for _, c := range clicks {
			one.Add(c)
		}
		order := rapid.Permutation(clicks).Draw(t, "order")
		cut := rapid.IntRange(0, len(order)).Draw(t, "cut")
		var a, b day.Day
		for _, c := range order[:cut] {
			a.Add(c)
		}
		for _, c := range order[cut:] {
			b.Add(c)
		}
		a.Merge(parse(t, b.Append(nil)))
		if got, want := a.Append(nil), one.Append(nil); !bytes.Equal(got, want) {
			t.Fatalf("packed in another order: %x, want %x", got, want)
		}
	})
}

// TestFloodOfSmallValues mixes one click of a value with many others, whose names come first in
// every order by name. The value keeps a large part of its clicks.
func TestFloodOfSmallValues(t *testing.T) {
	t.Parallel()
	const flushes, junk = 300, 2 * day.MaxValues
	var stored day.Day
	for flush := range flushes {
		var d day.Day
		click := func(source string) {
			c := day.Click{Quarter: 3, N: 1}
			c.Values[day.Class], c.Values[day.UTMSource] = day.Person, source
			d.Add(c)
		}
		for i := range junk / 2 {
			click(fmt.Sprintf("a-%d-%d", flush, i))
		}
		click("newsletter")
		for i := range junk / 2 {
			click(fmt.Sprintf("b-%d-%d", flush, i))
		}
		stored.Merge(parse(t, d.Append(nil)))
		if flush%10 == 9 { // the batches of one fold
			stored = *parse(t, stored.Append(nil))
		}
	}
	for name, s := range stored.Values(day.UTMSource) {
		if name == "newsletter" && s.Sum().People >= flushes/4 {
			return
		}
	}
	t.Errorf("newsletter has fewer than %d of %d clicks", flushes/4, flushes)
}

// TestFloodOfValues checks that values beyond the limit go to Other, that a dimension still adds up,
// and that a value which starts after a flood of others keeps its clicks.
func TestFloodOfValues(t *testing.T) {
	t.Parallel()
	var stored day.Day
	add := func(clicks func(d *day.Day)) {
		var d day.Day
		clicks(&d)
		if d.Size() > 200_000 {
			t.Errorf("Size = %d, want a bound", d.Size())
		}
		stored.Merge(parse(t, d.Append(nil)))
		stored = *parse(t, stored.Append(nil))
	}
	click := func(d *day.Day, referrer string, n int64) {
		c := day.Click{Quarter: 3, N: n}
		c.Values[day.Class], c.Values[day.Referrer] = day.Person, referrer
		d.Add(c)
	}
	const junk, flushes, n = 3000, 20, 5
	for flush := range flushes {
		add(func(d *day.Day) {
			click(d, "early.example", n)
			for i := range junk {
				click(d, fmt.Sprintf("junk-%d-%d.example", flush, i), 1)
			}
			if flush >= flushes/2 {
				click(d, "late.example", n)
			}
		})
	}
	got := map[string]int64{}
	var all int64
	for name, s := range stored.Values(day.Referrer) {
		got[name] = s.Sum().People
		all += s.Sum().People
	}
	if want := int64(flushes*(junk+n) + flushes/2*n); all != want || stored.Total().People != want {
		t.Errorf("values add up to %d, total is %d, want %d", all, stored.Total().People, want)
	}
	if got["early.example"] != flushes*n || got["late.example"] != flushes/2*n {
		t.Errorf("early, late = %d, %d, want %d, %d", got["early.example"], got["late.example"], flushes*n, flushes/2*n)
	}
	if len(got) != day.MaxValues+1 {
		t.Errorf("%d values, want %d and Other", len(got), day.MaxValues)
	}
	if _, unknown := got[""]; unknown {
		t.Errorf("clicks of unknown referrers: %d, want none", got[""])
	}
}

// TestValuesThatCannotBeStored checks that strings which are no values count as Other.
func TestValuesThatCannotBeStored(t *testing.T) {
	t.Parallel()
	var d day.Day
	for _, name := range []string{"\xff", "a\xc3", strings.Repeat("a", day.MaxValueLen+1), day.Other} {
		c := day.Click{N: 1}
		c.Values[day.UTMTerm] = name
		d.Add(c)
	}
	for range 2 {
		got := map[string]int64{}
		for name, s := range d.Values(day.UTMTerm) {
			got[name] = s.Sum().Robots
		}
		if want := map[string]int64{day.Other: 4}; !maps.Equal(got, want) {
			t.Errorf("Values = %v, want %v", got, want)
		}
		d = *parse(t, d.Append(nil))
	}
}

// TestVisitors checks that the estimate of many visitors is within 2 %, and that a visitor who comes
// back counts once.
func TestVisitors(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 31, 32, 33, 100, 1000, 20_000, 300_000} {
		var a, b day.Day
		for i := range n {
			c := day.Click{N: 1, Visitor: mix(uint64(i) + 1)}
			c.Values[day.Class] = day.Person
			a.Add(c)
			if i%2 == 0 {
				b.Add(c)
			}
			c.Visitor = mix(uint64(i) + 1<<40)
			c.Values[day.Class] = "crawler"
			a.Add(c)
		}
		a.Merge(parse(t, b.Append(nil)))
		got := float64(parse(t, a.Append(nil)).Visitors())
		var visitors day.Day
		visitors.MergeVisitors(&a)
		if v := visitors.Visitors(); float64(v) != got || visitors.Total() != (day.Count{}) {
			t.Errorf("MergeVisitors of %d = %d, with clicks %v", n, v, visitors.Total())
		}
		if got < float64(n)*0.98 || got > float64(n)*1.02 {
			t.Errorf("Visitors of %d = %v", n, got)
		}
		if n <= 1000 && got != float64(n) {
			t.Errorf("Visitors of %d = %v, want an exact answer", n, got)
		}
	}
}

// mix returns a number without a pattern (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// TestDimensionNames checks that the numbers of dimensions do not change: stored days depend on them.
func TestDimensionNames(t *testing.T) {
	t.Parallel()
	want := "class country referrer device browser os language utm_source utm_medium utm_campaign utm_term utm_content source rule"
	if got := strings.Join(day.DimensionNames(), " "); got != want {
		t.Errorf("DimensionNames = %s, want %s", got, want)
	}
	for i, name := range day.DimensionNames() {
		if d, ok := day.ParseDimension(name); !ok || int(d) != i || d.String() != name {
			t.Errorf("ParseDimension(%q) = %v, %v", name, d, ok)
		}
	}
	if _, ok := day.ParseDimension("city"); ok {
		t.Error("ParseDimension of an unknown name = true")
	}
	if !slices.Contains(day.DimensionNames(), "rule") || day.Dimensions != len(day.DimensionNames()) {
		t.Error("a dimension has no name")
	}
}
