package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Stats is the view model of a page of statistics. Its form sends the range to the page's own
// address by GET, in the parameters from, to, tz, interval, class, compare and limit.
type Stats struct {
	Subject Subject
	Set     *StatsGroup // the visitor's choice of links; nil: the page has none
	Path    string      // path of the page
	Live    string      // address of the totals as JSON, which the script reads again; empty: the totals do not change
	Today   string      // date in the zone, such as 2026-11-30

	// The visitor's input, shown again. Empty fields mean the default.
	Range StatsRange

	// Errors has one message for each invalid field. With an error, the page shows no numbers.
	Errors map[string]string

	From, To time.Time // half-open range, in its zone
	Interval string    // length of the points: 15min, hour, day, week or month
	Compare  bool      // whether Before is the range before

	Total, Before Totals
	Series        []Point
	Breakdowns    []Breakdown

	CoarseUntil time.Time // end of the days on which clicks count at inexact times; zero: all times are exact
	Lost        int64     // clicks of all links of the server that were dropped in the range, as far as known
}

// Kinds of Subject.
const (
	SubjectLink   = "link"
	SubjectOwner  = "owner"
	SubjectTag    = "tag"
	SubjectDomain = "domain"
	SubjectAll    = "all"
)

// Subject is the links of the clicks. The name of a domain may be unknown.
type Subject struct {
	Kind string
	Name string // the short URL, the tag, the host or the workspace; empty for the other kinds
}

// Heading returns the heading of a page about the links.
func (s Subject) Heading() string {
	switch s.Kind {
	case SubjectLink, SubjectTag:
		return s.Name
	case SubjectDomain:
		return "Links on " + cmp.Or(s.Name, "a domain")
	case SubjectOwner:
		if s.Name != "" {
			return "All links of " + s.Name
		}
		return "All links"
	}
	return "All links of this server"
}

// Eyebrow returns the line above the heading.
func (s Subject) Eyebrow() string {
	if s.Kind == SubjectTag {
		return "Clicks on links with the tag"
	}
	return "Clicks"
}

// StatsGroup is the input of the form that selects links: those with a tag, or those on a domain. The form
// then also sends tag, domain and, for administrators, owner.
type StatsGroup struct {
	Tag, Domain, Owner string
	Admin              bool // whether the form has a field for the workspace
}

// StatsRange is the input of the form.
type StatsRange struct{ From, To, Zone, Interval, Class, Limit, Compare string }

// query returns the input as the query of an address, without empty fields.
func (r StatsRange) query(set *StatsGroup) string {
	sent := map[string]string{
		"from": r.From, "to": r.To, "tz": r.Zone, "interval": r.Interval, "class": r.Class, "limit": r.Limit, "compare": r.Compare,
	}
	if set != nil {
		sent["tag"], sent["domain"], sent["owner"] = set.Tag, set.Domain, set.Owner
	}
	values := url.Values{}
	for name, value := range sent {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values.Encode()
}

// Clicks is a number of clicks.
type Clicks struct{ People, Robots int64 }

// All returns all clicks.
func (c Clicks) All() int64 { return c.People + c.Robots }

// Totals is the clicks of a range, and its visitors, see Stats.
type Totals struct {
	Clicks
	Visitors int64 // sum of the visitors of each UTC day
}

// Point is the clicks of one interval.
type Point struct {
	Start time.Time // in the zone of the range
	Clicks
}

// Breakdown is the clicks by the values of a dimension.
type Breakdown struct {
	Dimension string // name in the API
	Values    []Value
	Other     Clicks // of all other values
	Unknown   Clicks // of clicks without a value
}

// Value is the clicks of one value.
type Value struct {
	Name string
	Clicks
}

// Stats writes a page of statistics.
func (p *Pages) Stats(w http.ResponseWriter, status int, v Stats) {
	p.stats.write(w, status, view{Site: p.opts, Name: "Clicks: " + v.Subject.Heading(), Page: statsView{v}})
}

// statsView is Stats with the values that its template derives.
type statsView struct{ Stats }

// People reports whether the page shows clicks of people.
func (v statsView) People() bool { return v.Range.Class != "robots" }

// Robots reports whether the page shows clicks of robots.
func (v statsView) Robots() bool { return v.Range.Class != "people" }

// Zone returns the name of the time zone.
func (v statsView) Zone() string { return v.From.Location().String() }

// choice is one choice of a field or one link.
type choice struct{ Value, Text string }

// Intervals returns the choices of the interval.
func (statsView) Intervals() []choice {
	return []choice{{"", "Automatic"}, {"15min", "Quarter-hours"}, {"hour", "Hours"}, {"day", "Days"}, {"week", "Weeks"}, {"month", "Months"}}
}

// Classes returns the choices of the class of clicks.
func (statsView) Classes() []choice {
	return []choice{{"", "People and robots"}, {"people", "People"}, {"robots", "Robots"}}
}

// Presets returns links to ranges until the end of today. It returns no
// links while the date of today is unknown.
func (v statsView) Presets() []choice {
	today, err := time.Parse(time.DateOnly, v.Today)
	if err != nil {
		return nil
	}
	var links []choice
	for _, preset := range []struct {
		text         string
		months, days int
	}{{"Today", 0, 0}, {"7 days", 0, -6}, {"30 days", 0, -29}, {"90 days", 0, -89}, {"12 months", -12, 1}} {
		r := v.Range
		r.From, r.To, r.Interval = today.AddDate(0, preset.months, preset.days).Format(time.DateOnly), "", ""
		links = append(links, choice{v.address(r), preset.text})
	}
	return links
}

func (v statsView) address(r StatsRange) string { return v.Path + "?" + r.query(v.Set) }

// AllValues returns the address of the same page with up to 100 values of each breakdown. It is empty
// if the page shows all values, or if its address already has a limit.
func (v statsView) AllValues() string {
	if v.Range.Limit != "" || !slices.ContainsFunc(v.Breakdowns, func(b Breakdown) bool { return b.Other.All() > 0 }) {
		return ""
	}
	r := v.Range
	r.Limit = "100"
	return v.address(r)
}

// DateInput returns the type of the input for a value of from or to: "date", or "text" for a value
// that is not a date, such as a time.
func (statsView) DateInput(value string) string {
	if _, err := time.Parse(time.DateOnly, value); err != nil && value != "" {
		return "text"
	}
	return "date"
}

// Others returns the messages for parameters without a field in the form.
func (v statsView) Others() (messages []string) {
	for _, name := range []string{"limit", "compare", ""} {
		if message := v.Errors[name]; message != "" {
			messages = append(messages, "The parameter "+name+" "+message+".")
		}
	}
	return messages
}

// Period returns the range as text.
func (v statsView) Period() string {
	const date, exact = "2 January 2006", "2 January 2006, 15:04"
	if !isMidnight(v.From) || !isMidnight(v.To) {
		return v.From.Format(exact) + " to " + v.To.Format(exact)
	}
	first, last := v.From.Format(date), v.To.Add(-time.Nanosecond).Format(date)
	if first == last {
		return first
	}
	return first + " to " + last
}

func isMidnight(t time.Time) bool {
	hour, minute, second := t.Clock()
	return hour == 0 && minute == 0 && second == 0
}

// Unit returns the heading of the column of times.
func (v statsView) Unit() string {
	switch v.Interval {
	case "15min":
		return "Quarter-hour from"
	case "hour":
		return "Hour from"
	case "week":
		return "Week from"
	case "month":
		return "Month"
	}
	return "Day"
}

// Time returns the start of a point as text.
func (v statsView) Time(t time.Time) string {
	switch v.Interval {
	case "15min", "hour":
		return t.Format("2 Jan 2006, 15:04 MST") // the name of the zone differs for the two hours when clocks go back
	case "month":
		return t.Format("January 2006")
	case "week":
		return t.Format("2 Jan 2006")
	}
	return t.Format("Mon 2 Jan 2006")
}

// table is a Breakdown as the page shows it.
type table struct {
	Dimension, Title string
	Rows             []row
}

// row is one row of a table. Exactly one of Name and Rest is set.
type row struct {
	Name string
	Rest string // words for values without a name
	Clicks

	PeopleWidth, RobotsStart, RobotsWidth float64 // of the bar, in percent
}

// titles are the headings of the breakdowns that the page shows, by dimension.
var titles = map[string]string{
	"country": "Countries", "referrer": "Referrers", "device": "Devices", "browser": "Browsers and apps", "os": "Operating systems",
	"language": "Languages", "source": "Links and QR codes", "class": "People and kinds of robots", "rule": "Rules",
	"utm_source": "UTM source", "utm_medium": "UTM medium", "utm_campaign": "UTM campaign", "utm_term": "UTM term", "utm_content": "UTM content",
}

// valueWords are words for values, by dimension. Other values are shown as they are.
var valueWords = map[string]map[string]string{
	"class": {
		"person": "People", "preview": "Previews", "crawler": "Crawlers", "tool": "Tools", "scanner": "Scanners", "prefetch": "Prefetches",
		"head": "HEAD requests",
	},
	"source": {"link": "Links", "qr": "QR codes"},
}

// unknownWords are the words for clicks without a value, by dimension.
var unknownWords = map[string]string{"referrer": "Direct or unknown", "rule": "No rule"}

// Tables returns the breakdowns that have a value.
func (v statsView) Tables() []table {
	var tables []table
	for _, b := range v.Breakdowns {
		if len(b.Values) == 0 && b.Other.All() == 0 {
			continue
		}
		t := table{Dimension: b.Dimension, Title: titles[b.Dimension]}
		largest := max(b.Other.All(), b.Unknown.All())
		for _, value := range b.Values {
			largest = max(largest, value.All())
			name := cmp.Or(valueWords[b.Dimension][value.Name], visible(value.Name))
			t.Rows = append(t.Rows, row{Name: name, Clicks: value.Clicks})
		}
		if b.Other.All() > 0 {
			t.Rows = append(t.Rows, row{Rest: "All others", Clicks: b.Other})
		}
		if b.Unknown.All() > 0 {
			t.Rows = append(t.Rows, row{Rest: cmp.Or(unknownWords[b.Dimension], "Unknown"), Clicks: b.Unknown})
		}
		for i := range t.Rows {
			r := &t.Rows[i]
			r.PeopleWidth = percent(r.People, largest)
			r.RobotsStart, r.RobotsWidth = r.PeopleWidth, percent(r.Robots, largest)
		}
		tables = append(tables, t)
	}
	return tables
}

// percent returns n as a percentage of whole, with one decimal.
func percent(n, whole int64) float64 {
	return float64(n*1000/max(1, whole)) / 10
}

// visible returns a value with names in place of characters that change the order of the text around
// them. If no character of the value is visible, it has names for all of them.
func visible(value string) string {
	hidden := !strings.ContainsFunc(value, func(r rune) bool { return !unicode.In(r, unicode.Z, unicode.C) })
	if !hidden && !strings.ContainsFunc(value, isBidi) {
		return value
	}
	var b strings.Builder
	for _, r := range value {
		if hidden || isBidi(r) {
			fmt.Fprintf(&b, "(%U)", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isBidi(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }

// formatCount formats a number with commas between thousands. The script reads such numbers.
func formatCount(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// formatChange compares a number with the number before.
func formatChange(now, before int64) string {
	switch {
	case now == before:
		return "as many as before"
	case before == 0:
		return "0 before"
	}
	change := float64(now-before) / float64(before) * 100
	size, word := change, "more"
	if change < 0 {
		size, word = -change, "fewer"
	}
	decimals := 0
	if size < 10 {
		decimals = 1
	}
	return strconv.FormatFloat(size, 'f', decimals, 64) + " % " + word + " than " + formatCount(before) + " before"
}
