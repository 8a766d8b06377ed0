package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/terse/terse/client"
)

// warn adds a warning.
func (r *Record) warn(field, format string, args ...any) {
	r.Warnings = append(r.Warnings, Warning{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// setTime sets a time, or adds a warning if the text is no time.
func (r *Record) setTime(field, text string, to **time.Time) {
	at, ok := readTime(text)
	if !ok {
		r.warn(field, "%q is not a clear time and was dropped", text)
		return
	}
	*to = at
}

// number returns a number of clicks, or adds a warning and returns 0 if the text is no number.
func (r *Record) number(field, text string) int64 {
	n, ok := readNumber(text)
	if !ok {
		r.warn(field, "%q is not a whole number and was dropped", text)
	}
	return n
}

// setTags sets the tags.
func (r *Record) setTags(f fields, names ...string) {
	tags, problem := f.list(names...)
	if problem != "" {
		r.warn("tags", "were dropped: %s", problem)
		return
	}
	r.Link.Tags = tags
}

// readRules reads the rules of a link, which are JSON.
func readRules(text string) ([]client.Rule, error) {
	if text == "" {
		return nil, nil
	}
	rules, err := client.ParseRules([]byte(text))
	if wrongs, ok := errors.AsType[*client.Problem](err); ok {
		return nil, wrong(wrongs.Errors[0].Field(), wrongs.Errors[0].Message)
	}
	return rules, err
}

// writeRules returns rules as JSON, and an empty text without rules.
func writeRules(rules []client.Rule) string {
	if len(rules) == 0 {
		return ""
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(rules) // never fails for this type
	return strings.TrimSuffix(b.String(), "\n")
}

// layouts are the time formats of the products and of spreadsheets. A time without a zone is
// UTC. Numeric dates with slashes are in slashed.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z0700", "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 Z0700",
	"2006-01-02 15:04:05 UTC", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly,
	"2006/01/02 15:04:05", "2006/01/02 15:04", "2006/01/02",
	"2.1.2006 15:04:05", "2.1.2006, 15:04:05", "2.1.2006 15:04", "2.1.2006, 15:04", "2.1.2006",
	"Jan 2, 2006, 3:04:05 PM", "Jan 2, 2006, 3:04 PM", "Jan 2, 2006 3:04 PM", "Jan 2, 2006 15:04:05", "Jan 2, 2006 15:04", "Jan 2, 2006",
	"January 2, 2006, 3:04 PM", "January 2, 2006 3:04 PM", "January 2, 2006", "2 Jan 2006 15:04:05", "2 Jan 2006 15:04", "2 Jan 2006", "2 January 2006",
	time.RFC1123Z, "Mon, 02 Jan 2006 15:04:05 GMT", "Mon Jan 02 2006 15:04:05 GMT-0700",
}

// slashed matches a date with slashes, and a time of day.
var slashed = regexp.MustCompile(`^(\d{1,2})/(\d{1,2})/(\d{4}),?(?: (.+))?$`)

// clocks are the formats of a time of day.
var clocks = []string{"15:04:05", "15:04", "3:04:05 PM", "3:04 PM", "3:04PM", "3:04:05 pm", "3:04 pm"}

// readTime reads a time. Empty text gives nil. It returns false for a text that is no time, and
// for a date such as 03/04/2027: either number can be the month.
func readTime(text string) (*time.Time, bool) {
	if text = strings.TrimSpace(text); isNull(text) {
		return nil, true
	}
	text, _, _ = strings.Cut(text, " (") // JavaScript adds the name of the zone
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			t = t.UTC()
			return &t, true
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return unixTime(text, n)
	}
	return slashedTime(text)
}

// unixTime reads a time in seconds or milliseconds since 1970.
func unixTime(text string, n int64) (*time.Time, bool) {
	var t time.Time
	switch len(text) {
	case 9, 10:
		t = time.Unix(n, 0).UTC()
	case 12, 13:
		t = time.UnixMilli(n).UTC()
	default:
		return nil, false
	}
	return &t, true
}

// slashedTime reads a date with slashes if only one order of day and month is possible.
func slashedTime(text string) (*time.Time, bool) {
	parts := slashed.FindStringSubmatch(text)
	if parts == nil {
		return nil, false
	}
	day, _ := strconv.Atoi(parts[1])
	month, _ := strconv.Atoi(parts[2])
	switch {
	case day > 12:
	case month > 12, month == day:
		day, month = month, day
	default:
		return nil, false
	}
	date := fmt.Sprintf("%s-%02d-%02d", parts[3], month, day)
	if parts[4] == "" {
		t, err := time.Parse(time.DateOnly, date)
		return &t, err == nil
	}
	for _, clock := range clocks {
		if t, err := time.Parse(time.DateOnly+" "+clock, date+" "+parts[4]); err == nil {
			return &t, true
		}
	}
	return nil, false
}

// isNull reports whether a text stands for no value.
func isNull(text string) bool { return text == "" || text == `\N` || strings.EqualFold(text, "null") }

// grouped matches a number with separators between groups of three digits.
var grouped = regexp.MustCompile(`^-?[0-9]{1,3}([,.'’ \x{a0}\x{202f}][0-9]{3})+$`)

// unclear matches a number that is a group of thousands in some countries and has a fraction of
// zero in others.
var unclear = regexp.MustCompile(`^-?[0-9]{1,3}[.,]000$`)

// readNumber reads a whole number. Empty text gives 0. It accepts groups of three digits as in
// 1,234 and a fraction of zero as in 12.0. It rejects 12.000, which is unclear.
func readNumber(text string) (int64, bool) {
	text = strings.TrimSpace(text)
	if isNull(text) {
		return 0, true
	}
	if unclear.MatchString(text) {
		return 0, false
	}
	if grouped.MatchString(text) {
		text = strings.Map(func(c rune) rune {
			if c == '-' || c >= '0' && c <= '9' {
				return c
			}
			return -1
		}, text)
	}
	if whole, fraction, ok := strings.Cut(text, "."); ok && strings.Trim(fraction, "0") == "" {
		text = whole
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, false
	}
	return n, true
}

// isTrue reports whether a text is a flag that is set. A text that is no flag is set as well.
func isTrue(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "", `\n`, "null", "false", "f", "no", "n", "off", "0":
		return false
	}
	return true
}

// writeTags returns the tags as one cell, separated by commas. A tag that readTags would change
// is in quotes.
func writeTags(tags []string) string {
	cells := make([]string, len(tags))
	for i, tag := range tags {
		if strings.ContainsAny(tag, `,;|"`) || strings.TrimSpace(tag) != tag || tag == "" {
			tag = `"` + strings.ReplaceAll(tag, `"`, `""`) + `"`
		}
		cells[i] = tag
	}
	return strings.Join(cells, ",")
}

// readTags reads tags that are separated by commas, semicolons or bars. It accepts the format of
// writeTags and a JSON array. problem is why the text cannot be read.
func readTags(text string) (tags []string, problem string) {
	if isNull(strings.TrimSpace(text)) {
		return nil, ""
	}
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		if json.Unmarshal([]byte(text), &tags) == nil {
			return tags, ""
		}
	}
	for rest := text; ; {
		var tag string
		if rest = strings.TrimLeft(rest, " "); strings.HasPrefix(rest, `"`) {
			end := closingQuote(rest)
			if end < 0 {
				return nil, "a quote is not closed"
			}
			tag, rest = strings.ReplaceAll(rest[1:end], `""`, `"`), strings.TrimLeft(rest[end+1:], " ")
			if rest != "" && !strings.ContainsAny(rest[:1], ",;|") {
				return nil, "there is text after a closing quote"
			}
			tags = append(tags, tag)
		} else {
			end := strings.IndexAny(rest, ",;|")
			if end < 0 {
				end = len(rest)
			}
			if tag, rest = strings.TrimSpace(rest[:end]), rest[end:]; tag != "" {
				tags = append(tags, tag)
			}
		}
		if rest == "" {
			return tags, ""
		}
		rest = rest[1:]
	}
}

// closingQuote returns the index of the quote that closes the quote at the start, or -1.
func closingQuote(text string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '"':
		case i+1 < len(text) && text[i+1] == '"':
			i++
		default:
			return i
		}
	}
	return -1
}

// writeTime returns a time in RFC 3339, or "" for nil.
func writeTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
