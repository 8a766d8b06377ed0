// Package stats answers questions about clicks: how many there were in a range of time in any time
// zone, by intervals, by the values of dimensions, and compared with the range before. It reads
// packed days of clicks and knows nothing of HTTP.
//
// Numbers always add up: the points of a series, and the values of each breakdown, sum up to the
// total.
package stats

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/store"
)

// Days reads stored days. A store.ClickDays is one.
type Days interface {
	ListClickDays(ctx context.Context, kind store.ClickKind, keys []string, from, to int32) ([]store.ClickDay, error)
}

// Result is the answer to a Query for one key.
type Result struct {
	Total      day.Count
	Series     []Point
	Breakdowns []Breakdown // one for each dimension of Query.By, in that order

	// Visitors are the visitors of each UTC day with visitors, by rising day.
	Visitors []Visitors

	// CoarseUntil is the end of the last UTC day with clicks that could not be placed exactly:
	// old clicks are stored by hours or days, and the range or an interval cuts these. Zero if
	// everything is exact.
	CoarseUntil time.Time

	// Before is the range before, without breakdowns; nil unless Query.Compare.
	Before *Result

	From, To time.Time
}

// Point is the clicks of one interval.
type Point struct {
	Start time.Time // in the zone
	day.Count
}

// Breakdown is the clicks by the values of a dimension.
type Breakdown struct {
	Dimension day.Dimension
	Values    []Value   // at most Query.Limit, largest first
	Other     day.Count // of all other values
	Unknown   day.Count // of clicks without a value
}

// Value is the clicks of one value.
type Value struct {
	Name string
	day.Count
}

// Visitors is the different visitors of one UTC day. The same person on another day is another
// visitor: days cannot be joined, so that no one can be followed from day to day.
type Visitors struct {
	Day time.Time // start of the UTC day
	// N is an estimate within 2 %. If the range has only a part of the day's clicks, N is at most
	// the visitors of the whole day and at most the clicks of people in that part.
	N     int64
	Whole bool // the range has all clicks of the day
}

// SumVisitors returns the sum of the visitors of all days.
func (r *Result) SumVisitors() int64 {
	var sum int64
	for _, v := range r.Visitors {
		sum += v.N
	}
	return sum
}

// Read answers q for each key, in the order of keys, which are of one kind. Rows are read in parts,
// so a long range takes little memory. now bounds the range that is read: no click is later.
func Read(ctx context.Context, days Days, kind store.ClickKind, keys []string, q *Query, now time.Time) ([]Result, error) {
	results, err := read(ctx, days, kind, keys, q, now)
	if err != nil || !q.Compare {
		return results, err
	}
	b := q.before()
	before, err := read(ctx, days, kind, keys, &b, now)
	if err != nil {
		return nil, err
	}
	for i := range results {
		results[i].Before = &before[i]
	}
	return results, nil
}

// Values of a dimension and key in memory. The smallest of more values become Other, so that a flood
// of values over many days takes little memory.
const (
	maxHeld = 10_000 // for all keys together
	minHeld = 2 * MaxLimit
)

// partDays is how many days of all keys together one read has, at most and about.
const partDays = 1500

func read(ctx context.Context, days Days, kind store.ClickKind, keys []string, q *Query, now time.Time) ([]Result, error) {
	sums := make(map[string]*sum, len(keys))
	for _, key := range keys {
		sums[key] = newSum(q, max(minHeld, maxHeld/len(keys)))
	}
	different := slices.Sorted(maps.Keys(sums))
	part := int32(min(366, max(31, partDays/max(1, len(different)))))
	from, to := q.utcDays(now)
	for ; from < to; from += part {
		rows, err := days.ListClickDays(ctx, kind, different, from, min(to, from+part))
		if err != nil {
			return nil, err
		}
		// The rows of one day, from several shards, follow each other.
		slices.SortFunc(rows, func(a, b store.ClickDay) int {
			return cmp.Or(cmp.Compare(a.Day, b.Day), strings.Compare(a.Key, b.Key))
		})
		for _, r := range rows {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			d, err := day.ParseRow(r)
			if err != nil {
				return nil, err
			}
			if s := sums[r.Key]; s != nil {
				s.add(r.Day, d)
			}
		}
	}
	results := make([]Result, len(keys))
	for i, key := range keys {
		results[i] = sums[key].result()
	}
	return results, nil
}

// utcDays returns the range of UTC days that q touches and that can have clicks.
func (q *Query) utcDays(now time.Time) (from, to int32) {
	last := min(store.DayOf(now)+2, store.MaxClickDay+1) // clocks of other nodes may be ahead
	if q.To.Unix() <= 0 {
		return 0, 0
	}
	to = min(last, store.DayOf(q.To.Add(24*time.Hour-1)))
	if q.From.Unix() > 0 {
		from = min(last, store.DayOf(q.From))
	}
	return from, to
}
