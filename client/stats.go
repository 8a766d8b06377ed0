package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Paths of statistics.
const (
	statsPath     = "/api/v1/stats"
	statsListPath = statsPath + "/links"
)

// StatsQuery selects what statistics count. A zero field has the server's default.
type StatsQuery struct {
	From     string   // a date in the time zone, or a time by RFC 3339; default 30 days before To
	To       string   // the end, which is not part of the range; default the end of today
	TZ       string   // name of an IANA time zone; default UTC
	Interval string   // 15min, hour, day, week or month; the default depends on the range
	By       []string // breakdowns, such as country and referrer
	Class    string   // all, people or robots; default all
	Limit    int      // values of a breakdown, 1 to 100; default 10
	Compare  bool     // also count the range of the same length before
}

// StatsSet selects links. Their clicks are counted together. Tag and Domain cannot be combined.
type StatsSet struct {
	Owner  string // id of a workspace or of an API key, * for all owners, or anonymous; empty for the caller
	Domain string // only links on the domain of this host; empty for all
	Tag    string // only links with this tag; empty for all
}

// Clicks is a number of clicks.
type Clicks struct {
	People int64 `json:"people"`
	Robots int64 `json:"robots"` // all other clicks
}

// Stats is the statistics of a link, or of several links together. The points of Series add up to
// Total, and so do the values of each breakdown together with Other and Unknown.
type Stats struct {
	From        time.Time        `json:"from"`
	To          time.Time        `json:"to"` // not part of the range
	TZ          string           `json:"tz"`
	Interval    string           `json:"interval"`
	Class       string           `json:"class"`
	Total       StatsTotal       `json:"total"`
	Series      []StatsPoint     `json:"series"`
	Breakdowns  []StatsBreakdown `json:"breakdowns"`
	Visitors    []StatsDay       `json:"visitors"`
	CoarseUntil *time.Time       `json:"coarse_until"` // end of the last UTC day with inexact times; nil: all times are exact
	Lost        *int64           `json:"lost"`         // clicks of all links of the server that were dropped in the range; nil: not known
	Before      *StatsBefore     `json:"before,omitempty"`
}

// StatsTotal is the clicks of a range, and the sum of the visitors of its days.
type StatsTotal struct {
	Clicks
	Visitors int64 `json:"visitors"`
}

// StatsPoint is the clicks of one interval.
type StatsPoint struct {
	Start time.Time `json:"start"` // in the time zone
	Clicks
}

// StatsBreakdown is the clicks by the values of a dimension.
type StatsBreakdown struct {
	By      string       `json:"by"`
	Values  []StatsValue `json:"values"` // largest first
	Other   Clicks       `json:"other"`  // of all other values
	Unknown Clicks       `json:"unknown"`
}

// StatsValue is the clicks of one value.
type StatsValue struct {
	Value string `json:"value"`
	Clicks
}

// StatsDay is the different visitors of a UTC day, an estimate within 2 %.
type StatsDay struct {
	Day      string `json:"day"` // such as 2026-11-30
	Visitors int64  `json:"visitors"`
	Whole    bool   `json:"whole"` // the range has the whole day; else Visitors is an upper bound
}

// StatsBefore is the range of the same length before.
type StatsBefore struct {
	From   time.Time    `json:"from"`
	To     time.Time    `json:"to"`
	Total  StatsTotal   `json:"total"`
	Series []StatsPoint `json:"series"`
}

// LinkStats is the statistics of one link of a list, or an error.
type LinkStats struct {
	Status int      `json:"status"`
	Code   string   `json:"code"` // as sent
	Stats  *Stats   `json:"stats"`
	Error  *Problem `json:"error"`
}

// LinkStats returns the statistics of a link.
func (c *Client) LinkStats(ctx context.Context, code string, q StatsQuery) (Stats, error) {
	var s Stats
	err := c.call(ctx, c.linkStats(code, q.values()), &s)
	return s, err
}

// LinkStatsCSV returns the statistics of a link as CSV.
func (c *Client) LinkStatsCSV(ctx context.Context, code string, q StatsQuery) ([]byte, error) {
	query := q.values()
	query.Set("format", "csv")
	var answer []byte
	err := c.call(ctx, c.linkStats(code, query), &answer)
	return answer, err
}

func (c *Client) linkStats(code string, query url.Values) request {
	return request{method: http.MethodGet, domain: c.onHost, path: linkPath(code) + "/stats", query: query, repeatable: true}
}

// ResetStats sets the totals of a link to zero and deletes its statistics. It needs the scope
// links:write.
func (c *Client) ResetStats(ctx context.Context, code string) error {
	return c.call(ctx, request{method: http.MethodDelete, domain: c.onHost, path: linkPath(code) + "/stats", repeatable: true}, nil)
}

// Stats returns the statistics of a set of links together. Links of other owners need an admin key.
func (c *Client) Stats(ctx context.Context, of StatsSet, q StatsQuery) (Stats, error) {
	query := q.values()
	set(query, "owner", of.Owner)
	set(query, "domain", of.Domain)
	set(query, "tag", of.Tag)
	var s Stats
	err := c.call(ctx, request{method: http.MethodGet, path: statsPath, query: query, repeatable: true}, &s)
	return s, err
}

// ListStats returns the statistics of each of up to 100 links, in the order of codes.
func (c *Client) ListStats(ctx context.Context, codes []string, q StatsQuery) ([]LinkStats, error) {
	query := q.values()
	query.Set("codes", strings.Join(codes, ","))
	var answer struct {
		Results []LinkStats `json:"results"`
	}
	err := c.call(ctx, request{method: http.MethodGet, domain: c.onHost, path: statsListPath, query: query, repeatable: true}, &answer)
	return answer.Results, err
}

// values returns q as query parameters.
func (q *StatsQuery) values() url.Values {
	v := url.Values{}
	set(v, "from", q.From)
	set(v, "to", q.To)
	set(v, "tz", q.TZ)
	set(v, "interval", q.Interval)
	set(v, "by", strings.Join(q.By, ","))
	set(v, "class", q.Class)
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Compare {
		v.Set("compare", "true")
	}
	return v
}

// set sets a query parameter unless it is empty.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
