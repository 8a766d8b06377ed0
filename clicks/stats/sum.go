package stats

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/store"
)

// sum adds up the days of one key. Times are numbers of quarter-hours since 1970.
type sum struct {
	q        *Query
	from, to int64
	starts   []int64 // of the buckets, and the end of the last one
	points   []Point
	total    day.Count
	values   []map[string]*day.Count // by value, for each dimension of q.By; "" is unknown

	held int // number of values of a dimension that prune keeps

	visitors []utcDay
	coarse   int32 // the last day with clicks at an inexact time, plus 1
}

// utcDay is one UTC day of all shards.
type utcDay struct {
	day    int32
	set    day.Day // has only visitors
	people int64   // clicks of people in the range
	whole  bool    // the range has all clicks
}

// quarterOf returns the first quarter-hour that begins at t or later. Since 1980, the hours of all
// zones begin at quarter-hours.
func quarterOf(t time.Time) int64 {
	const length = int64(quarter / time.Second)
	n := t.Unix() / length
	if t.Unix()%length > 0 {
		n++
	}
	return n
}

func newSum(q *Query, held int) *sum {
	s := &sum{q: q, held: held, from: quarterOf(q.From), to: quarterOf(q.To)}
	for _, t := range q.Interval.starts(q.From, q.To, math.MaxInt) {
		s.starts = append(s.starts, quarterOf(t))
		s.points = append(s.points, Point{Start: t})
	}
	s.starts = append(s.starts, s.to)
	s.values = make([]map[string]*day.Count, len(q.By))
	for i := range s.values {
		s.values[i] = map[string]*day.Count{}
	}
	return s
}

// add adds a row. The rows of one day follow each other.
func (s *sum) add(number int32, d *day.Day) {
	first := int64(number) * day.Quarters
	byTime, byValue := d.Resolution()
	all := d.Series()
	s.addSeries(number, all, byTime)
	in, people := s.split(all, first, byValue)
	s.addVisitors(number, d, people, !slices.ContainsFunc(in[:], func(p parts) bool { return p&outside != 0 }))
	if len(s.q.By) == 0 {
		return
	}
	if slices.Contains(in[:], inside|outside) {
		s.coarse = max(s.coarse, number+1)
	}
	for i, dim := range s.q.By {
		for name, series := range d.Values(dim) {
			var c day.Count
			for _, p := range series {
				if in[p.Quarter] == inside {
					c.Add(p.Count)
				}
			}
			s.addValue(i, name, c)
		}
		for _, p := range all {
			if in[byValue.Start(p.Quarter)] == inside|outside && s.has(first, p) {
				s.addValue(i, "", p.Count)
			}
		}
	}
}

// parts are the parts of one point of a day: inside and outside of the range.
type parts uint8

const (
	inside  parts = 1 << iota // some quarter-hours are in the range
	outside                   // some quarter-hours are not
)

// split returns where the clicks of a day are, by the first quarter of each time of values. Those
// that are partly inside have unknown values. people is the clicks of people inside.
func (s *sum) split(all day.Series, first int64, byValue day.Resolution) (in [day.Quarters]parts, people int64) {
	for _, p := range all {
		if s.has(first, p) {
			in[byValue.Start(p.Quarter)] |= inside
			people += p.People
		} else {
			in[byValue.Start(p.Quarter)] |= outside
		}
	}
	return in, people
}

// has reports whether the range has a point. A point of more than a quarter-hour counts
// where it begins.
func (s *sum) has(first int64, p day.Point) bool {
	at := first + int64(p.Quarter)
	return s.from <= at && at < s.to
}

// addSeries adds the clicks of a day to the total and the points.
func (s *sum) addSeries(number int32, all day.Series, r day.Resolution) {
	first := int64(number) * day.Quarters
	bucket := sort.Search(len(s.starts), func(i int) bool { return s.starts[i] > max(first, s.from) }) - 1
	for _, p := range all {
		at := first + int64(p.Quarter)
		end := at + int64(r.Quarters())
		if at < s.from && end > s.from {
			s.coarse = max(s.coarse, number+1)
		}
		if !s.has(first, p) {
			continue
		}
		for s.starts[bucket+1] <= at {
			bucket++
		}
		if s.starts[bucket+1] < end {
			s.coarse = max(s.coarse, number+1)
		}
		c := s.filter(p.Count)
		s.points[bucket].Add(c)
		s.total.Add(c)
	}
}

// filter returns the clicks of the class that the query selects.
func (s *sum) filter(c day.Count) day.Count {
	switch s.q.Class {
	case People:
		c.Robots = 0
	case Robots:
		c.People = 0
	}
	return c
}

func (s *sum) addValue(i int, name string, c day.Count) {
	if c = s.filter(c); c == (day.Count{}) {
		return
	}
	v := s.values[i][name]
	if v == nil {
		if len(s.values[i]) >= 2*s.held {
			s.prune(i)
		}
		v = new(day.Count)
		s.values[i][name] = v
	}
	v.Add(c)
}

// prune moves the clicks of the smaller values to Other.
func (s *sum) prune(i int) {
	b := breakdown(s.q.By[i], s.values[i], s.held)
	s.values[i] = map[string]*day.Count{"": &b.Unknown, day.Other: &b.Other}
	for _, v := range b.Values {
		s.values[i][v.Name] = &v.Count
	}
}

// addVisitors adds the visitors of a row with that many clicks of people in the range.
func (s *sum) addVisitors(number int32, d *day.Day, people int64, whole bool) {
	if s.q.Class == Robots {
		return
	}
	if n := len(s.visitors); n == 0 || s.visitors[n-1].day != number {
		s.visitors = append(s.visitors, utcDay{day: number, whole: true})
	}
	of := &s.visitors[len(s.visitors)-1]
	of.set.MergeVisitors(d)
	of.people += people
	of.whole = of.whole && whole
}

func (s *sum) result() Result {
	r := Result{From: s.q.From, To: s.q.To, Total: s.total, Series: s.points}
	for i, dim := range s.q.By {
		r.Breakdowns = append(r.Breakdowns, breakdown(dim, s.values[i], s.q.Limit))
	}
	for i := range s.visitors {
		v := &s.visitors[i]
		if n := min(v.set.Visitors(), v.people); n > 0 {
			r.Visitors = append(r.Visitors, Visitors{Day: store.DayStart(v.day), N: n, Whole: v.whole})
		}
	}
	if s.coarse > 0 {
		r.CoarseUntil = store.DayStart(s.coarse)
	}
	return r
}

func breakdown(dim day.Dimension, counts map[string]*day.Count, limit int) Breakdown {
	b := Breakdown{Dimension: dim}
	for name, c := range counts {
		switch name {
		case "":
			b.Unknown = *c
		case day.Other:
			b.Other = *c
		default:
			b.Values = append(b.Values, Value{name, *c})
		}
	}
	slices.SortFunc(b.Values, func(x, y Value) int {
		return cmp.Or(cmp.Compare(y.All(), x.All()), strings.Compare(x.Name, y.Name))
	})
	if len(b.Values) > limit {
		for _, v := range b.Values[limit:] {
			b.Other.Add(v.Count)
		}
		b.Values = b.Values[:limit]
	}
	return b
}
