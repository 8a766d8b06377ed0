// Package stats counts the stored clicks in a range of time in any time zone: in total, by
// intervals, by the values of dimensions, and for the range before. It reads packed days of clicks
// and does not depend on HTTP.
//
// Numbers always add up: the sum of the points of a series is the total, and so is the sum of the
// values of each breakdown with Other and Unknown.
package stats

import (
	"cmp"
	"context"
	"errors"
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

	// CoarseUntil is the end of the last UTC day with clicks that count at an inexact time: old
	// clicks are stored by hours or days, and the range or an interval begins or ends within one.
	// The zero time means that all clicks are exact.
	CoarseUntil time.Time

	// Lost is how many clicks of all links in the range were dropped before they were counted, as far as the
	// processes could store it. A killed process does not count what it loses. nil means that it is not known,
	// because a shard does not answer.
	Lost *int64

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
	Other     day.Count // clicks of all other values
	Unknown   day.Count // clicks without a value
}

// Value is the clicks of one value.
type Value struct {
	Name string
	day.Count
}

// Visitors is the number of different visitors on one UTC day. The same person on another day is
// another visitor: hashes of different days have different salts, so that nobody can be followed
// from day to day.
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
// so a long range takes little memory. Days long after now have no clicks, so Read
// skips them.
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

// Most values of a dimension in memory. Beyond these, the smallest values become Other, so that many
// values over many days need little memory.
const (
	maxHeld = 10_000 // for all keys together
	minHeld = 2 * MaxLimit
)

// partDays is about the most days that one read returns for all keys together.
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
	lost, err := readLost(ctx, days, q, now)
	if err != nil && !errors.Is(err, store.ErrUnavailable) {
		return nil, err
	}
	results := make([]Result, len(keys))
	for i, key := range keys {
		results[i] = sums[key].result()
		results[i].Lost = lost
	}
	return results, nil
}

// readLost returns the number of lost clicks in the range, of all shards.
func readLost(ctx context.Context, days Days, q *Query, now time.Time) (*int64, error) {
	from, to := q.utcDays(now)
	rows, err := days.ListClickDays(ctx, store.ClickLost, []string{""}, from, to)
	if err != nil {
		return nil, err
	}
	lost := int64(0)
	first, end := quarterOf(q.From), quarterOf(q.To)
	for _, r := range rows {
		d, err := day.ParseRow(r)
		if err != nil {
			return nil, err
		}
		for _, p := range d.Series() {
			if at := int64(r.Day)*day.Quarters + int64(p.Quarter); first <= at && at < end {
				lost += p.All()
			}
		}
	}
	return &lost, nil
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
