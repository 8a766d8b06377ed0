package rules

import (
	"strings"
	"time"
)

// minutesOfDay is the number of minutes of a day.
const minutesOfDay = 24 * 60

// weekdayNames are the values of the member weekday, by time.Weekday.
var weekdayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// weekdays is a set of time.Weekday.
type weekdays uint8

func (d weekdays) has(day time.Weekday) bool { return d&(1<<day) != 0 }

// parseWeekday returns the day with a name, ignoring case.
func parseWeekday(name string) (day time.Weekday, ok bool) {
	for i, n := range weekdayNames {
		if strings.EqualFold(n, name) {
			return time.Weekday(i), true
		}
	}
	return 0, false
}

// hours is a range of minutes of the day, without its end. If the end is before the start, the range
// continues after midnight.
type hours struct{ start, end int }

func (h hours) has(minute int) bool {
	if h.start < h.end {
		return minute >= h.start && minute < h.end
	}
	return minute >= h.start || minute < h.end
}

// parseHours reads a range such as 09:00-17:30. The end may be 24:00.
func parseHours(s string) (h hours, ok bool) {
	start, end, ok := strings.Cut(s, "-")
	if !ok {
		return hours{}, false
	}
	h.start, ok = parseMinute(start)
	if !ok || h.start == minutesOfDay {
		return hours{}, false
	}
	h.end, ok = parseMinute(end)
	return h, ok && h.start != h.end && h.end != 0
}

// parseMinute reads a time of the day such as 09:30.
func parseMinute(s string) (minute int, ok bool) {
	if len(s) != len("09:30") || s[2] != ':' || !isDigit(s[0]) || !isDigit(s[1]) || !isDigit(s[3]) || !isDigit(s[4]) {
		return 0, false
	}
	hour := int(s[0]-'0')*10 + int(s[1]-'0')
	minute = int(s[3]-'0')*10 + int(s[4]-'0')
	if minute > 59 || hour > 24 || hour == 24 && minute > 0 {
		return 0, false
	}
	return hour*60 + minute, true
}

// localTime is the clock of a time zone.
type localTime struct {
	zone   *time.Location
	day    time.Weekday
	minute int // of the day
}

func localAt(t time.Time, zone *time.Location) localTime {
	t = t.In(zone)
	hour, minute, _ := t.Clock()
	return localTime{zone, t.Weekday(), hour*60 + minute}
}
