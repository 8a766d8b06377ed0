package stats

import (
	"time"
	_ "time/tzdata" // for machines without a database of time zones
)

// Interval is the length of the buckets of a series.
type Interval string

// The intervals. Those longer than an hour follow the calendar of the zone: a day has 23 or 25 hours
// when the clocks change, and a week begins on Monday.
const (
	Quarter Interval = "15min"
	Hour    Interval = "hour"
	Day     Interval = "day"
	Week    Interval = "week"
	Month   Interval = "month"
)

const quarter = 15 * time.Minute

// next returns the start of the bucket after the bucket of t, in the zone of t.
func (i Interval) next(t time.Time) time.Time {
	y, m, d := t.Date()
	switch i {
	case Quarter:
		return t.Truncate(quarter).Add(quarter)
	case Hour:
		next := t.Add(time.Hour - sinceHour(t))
		if _, change := t.ZoneBounds(); !change.IsZero() && change.Before(next) && change.Equal(change.Truncate(quarter)) {
			return change // the zone changes its offset within the hour
		}
		return next
	case Week:
		d -= (int(t.Weekday()) + 6) % 7
	case Month:
		d = 1
	}
	// The loop needs several steps if the clocks went back past midnight, and t is in the repeated
	// evening.
	for n := 1; ; n++ {
		var next time.Time
		switch i {
		case Week:
			next = midnight(y, m, d+7*n, t.Location())
		case Month:
			next = midnight(y, m+time.Month(n), d, t.Location())
		default:
			next = midnight(y, m, d+n, t.Location())
		}
		if next.After(t) {
			return next
		}
	}
}

// sinceHour returns the time since the last full hour on the clock.
func sinceHour(t time.Time) time.Duration {
	return time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
}

// midnight returns the first moment of a date in a zone. It is not always 0:00 on the clock: in some
// zones the clocks change from 0:00 to 1:00. Values outside of their range are normalized, as in
// time.Date.
func midnight(year int, month time.Month, date int, zone *time.Location) time.Time {
	utc := time.Date(year, month, date, 0, 0, 0, 0, time.UTC)
	for t := utc.Add(-26 * time.Hour).In(zone); ; { // no zone is further from UTC
		start, end := t.ZoneBounds()
		_, offset := t.Zone()
		m := utc.Add(-time.Duration(offset) * time.Second).In(zone)
		if m.Before(start) { // the clocks skip midnight
			m = start
		}
		if end.IsZero() || m.Before(end) {
			return m
		}
		t = end
	}
}

// starts returns the starts of the buckets of [from, to). The first one is from itself. It stops
// after limit+1.
func (i Interval) starts(from, to time.Time, limit int) []time.Time {
	var all []time.Time
	for t := from; t.Before(to) && len(all) <= limit; t = i.next(t) {
		all = append(all, t)
	}
	return all
}
