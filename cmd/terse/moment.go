package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// parseExpiry parses a time in the future. Empty text is the zero time.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return parseMoment("--expires", s, now)
}

// momentLayouts are the accepted forms of a date and of a time. A date is midnight in UTC.
var momentLayouts = []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly}

// parseMoment parses a duration from now, a date, or a time with a zone. It rejects times that
// are not after now. Its error begins with name.
func parseMoment(name, s string, now time.Time) (time.Time, error) {
	at, err := now, error(nil)
	if d, ok := parseSpan(s); ok {
		at = now.Add(d)
	} else {
		for _, layout := range momentLayouts {
			if at, err = time.Parse(layout, s); err == nil {
				break
			}
		}
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %q must be a time from now such as 30d, 2w or 12h, or a date such as 2027-01-31 or 2027-01-31T09:00+01:00", name, s)
	}
	if !at.After(now) {
		return time.Time{}, fmt.Errorf("%s: %q is in the past", name, s)
	}
	return at.UTC().Truncate(time.Microsecond), nil
}

// span is weeks and days before a duration of package time.
var span = regexp.MustCompile(`^(?:([0-9]{1,4})w)?(?:([0-9]{1,5})d)?(.*)$`)

// parseSpan parses a duration that may have weeks and days, such as 2w, 30d or 1d12h.
func parseSpan(s string) (d time.Duration, ok bool) {
	m := span.FindStringSubmatch(s)
	if m == nil || s == "" {
		return 0, false
	}
	const day = 24 * time.Hour
	for i, unit := range []time.Duration{7 * day, day} {
		if m[i+1] != "" {
			n, _ := strconv.Atoi(m[i+1]) // at most five digits
			d += time.Duration(n) * unit
		}
	}
	if m[3] == "" {
		return d, true
	}
	rest, err := time.ParseDuration(m[3])
	return d + rest, err == nil
}
