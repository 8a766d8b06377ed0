package stats

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/store"
)

// Bounds of a Query.
const (
	MaxYears     = 100            // longest range
	MaxPoints    = 10_000         // most points of a series
	MaxAllPoints = 50_000         // most points of the series of all keys
	MaxLimit     = day.MaxValues  // most values of a breakdown
	DefaultLimit = 10             // values of a breakdown
	defaultDays  = 30             // days of a range without a start
	maxBy        = day.Dimensions // most breakdowns
)

// Class selects the clicks that an answer counts.
type Class string

// The classes.
const (
	All    Class = "all"
	People Class = "people"
	Robots Class = "robots"
)

// Query is a question about clicks. ParseQuery makes valid queries.
type Query struct {
	From, To time.Time // half-open, in the zone, at quarter-hours
	Interval Interval
	By       []day.Dimension
	Class    Class
	Limit    int  // values of a breakdown
	Compare  bool // also count the range before
}

// Params are the parameters of a Query as text. Empty ones have defaults.
type Params struct {
	From     string // date, the start of that day in the zone, or a time by RFC 3339; default 30 days before To
	To       string // the end, which is not part of the range; default the end of today
	Zone     string // name of an IANA time zone; default UTC
	Interval string // default by the length of the range
	By       string // dimensions, separated by commas
	Class    string // default all
	Limit    int    // default DefaultLimit
	Compare  bool
	Keys     int // how many keys the query is for; default 1
}

// ParseQuery returns the query with these parameters. Its error is a store.InvalidError with all
// wrong parameters: from, to, tz, interval, by, class, limit.
func ParseQuery(p Params, now time.Time) (Query, error) {
	q := Query{Compare: p.Compare}
	zone, zoneErr := parseZone(p.Zone)
	by, byErr := parseBy(p.By)
	class, classErr := oneOf("class", p.Class, All, All, People, Robots)
	limit, limitErr := parseLimit(p.Limit)
	err := store.JoinInvalid(zoneErr, byErr, classErr, limitErr)
	q.By, q.Class, q.Limit = by, class, limit
	if zoneErr != nil {
		return Query{}, err
	}
	rangeErr := q.parseRange(p.From, p.To, now.In(zone))
	q.Interval = q.fitting()
	interval, intervalErr := oneOf("interval", p.Interval, q.Interval, Quarter, Hour, Day, Week, Month)
	q.Interval = interval
	if most := min(MaxPoints, MaxAllPoints/max(1, p.Keys)); rangeErr == nil && intervalErr == nil && len(interval.starts(q.From, q.To, most)) > most {
		intervalErr = wrong("interval", fmt.Sprintf("makes more than %d points; choose a longer interval or a shorter range", most))
	}
	if err := store.JoinInvalid(err, rangeErr, intervalErr); err != nil {
		return Query{}, err
	}
	return q, nil
}

func wrong(field, reason string) error { return &store.FieldError{Field: field, Reason: reason} }

func oneOf[T ~string](field, value string, byDefault T, allowed ...T) (T, error) {
	if value == "" {
		return byDefault, nil
	}
	if slices.Contains(allowed, T(value)) {
		return T(value), nil
	}
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	return byDefault, wrong(field, "must be one of "+strings.Join(names, ", "))
}

// maxZoneName is the most bytes of a zone name. All real names are shorter.
const maxZoneName = 64

func parseZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	if len(name) <= maxZoneName && name != "Local" {
		if zone, err := time.LoadLocation(name); err == nil {
			return zone, nil
		}
	}
	return nil, wrong("tz", "must be the name of an IANA time zone, such as Europe/Berlin")
}

func parseBy(list string) ([]day.Dimension, error) {
	if list == "" {
		return nil, nil
	}
	var by []day.Dimension
	for _, name := range strings.SplitN(list, ",", maxBy+1) {
		dim, ok := day.ParseDimension(name)
		if !ok {
			return nil, wrong("by", "must be names of "+strings.Join(day.DimensionNames(), ", ")+", separated by commas")
		}
		if slices.Contains(by, dim) {
			return nil, wrong("by", "must not contain "+name+" twice")
		}
		by = append(by, dim)
	}
	return by, nil
}

func parseLimit(n int) (int, error) {
	switch {
	case n == 0:
		return DefaultLimit, nil
	case n < 0 || n > MaxLimit:
		return 0, wrong("limit", fmt.Sprintf("must be 1 to %d", MaxLimit))
	}
	return n, nil
}

// parseRange sets From and To. now is in the zone.
func (q *Query) parseRange(from, to string, now time.Time) error {
	zone := now.Location()
	end, toErr := parseTime("to", to, zone)
	if to == "" {
		end = Day.next(now)
	}
	start, fromErr := parseTime("from", from, zone)
	if from == "" {
		y, m, d := end.Date()
		start = midnight(y, m, d-defaultDays, zone)
	}
	q.From, q.To = start, end
	if toErr != nil || fromErr != nil {
		return store.JoinInvalid(fromErr, toErr)
	}
	switch {
	case !start.Before(end) && to == "":
		return wrong("from", "must be before the end of today, or needs to")
	case !start.Before(end):
		return wrong("to", "must be after from")
	case start.AddDate(MaxYears, 0, 0).Before(end):
		return wrong("from", fmt.Sprintf("must be at most %d years before the end", MaxYears))
	}
	return nil
}

// Years that a range may touch.
const (
	minYear = 1900
	maxYear = 2200
)

func parseTime(field, text string, zone *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if date, err := time.Parse(time.DateOnly, text); err == nil {
		if date.Year() < minYear || date.Year() >= maxYear {
			return time.Time{}, errYear(field)
		}
		return midnight(date.Year(), date.Month(), date.Day(), zone), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil && strings.Contains(text, " "):
		return time.Time{}, wrong(field, "must be a date or a time by RFC 3339; write + as %2B in an address")
	case err != nil:
		return time.Time{}, wrong(field, "must be a date, such as 2026-11-30, or a time by RFC 3339")
	case t.UTC().Year() < minYear || t.UTC().Year() >= maxYear:
		return time.Time{}, errYear(field)
	case !t.Equal(t.Truncate(quarter)):
		return time.Time{}, wrong(field, "must be at a full quarter of an hour: clicks are counted by quarter-hours")
	}
	return t.In(zone), nil
}

func errYear(field string) error {
	return wrong(field, fmt.Sprintf("must be in the years %d to %d", minYear, maxYear-1))
}

// fitting returns the default interval.
func (q *Query) fitting() Interval {
	const day = 24 * time.Hour
	switch length := q.To.Sub(q.From); {
	case length <= 3*day:
		return Hour
	case length <= 100*day:
		return Day
	case length <= 2*366*day:
		return Week
	}
	return Month
}

// before returns the range before q: as many days in the zone if q is a range of days, else as much
// time.
func (q *Query) before() Query {
	b := Query{To: q.From, Interval: q.Interval, Class: q.Class, Limit: q.Limit}
	if isMidnight(q.From) && isMidnight(q.To) {
		y, m, d := q.From.Date()
		b.From = midnight(y, m, d-q.days(), q.From.Location())
		if b.From.Before(b.To) { // false if the zone skipped the day before
			return b
		}
	}
	b.From = q.From.Add(-q.To.Sub(q.From))
	return b
}

// days returns how many calendar days q has.
func (q *Query) days() int {
	date := func(t time.Time) time.Time {
		y, m, d := t.Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return int(date(q.To).Sub(date(q.From)) / (24 * time.Hour))
}

func isMidnight(t time.Time) bool {
	y, m, d := t.Date()
	return t.Equal(midnight(y, m, d, t.Location()))
}
