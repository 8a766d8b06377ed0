package transfer

import (
	"bufio"
	"strings"
	"time"

	"github.com/terse/terse/client"
)

// shlinkURL is a short URL in the JSON of Shlink's API.
type shlinkURL struct {
	ShortCode   string   `json:"shortCode"`
	LongURL     string   `json:"longUrl"`
	Title       string   `json:"title"`
	Tags        []string `json:"tags"`
	DateCreated string   `json:"dateCreated"`
	Visits      int64    `json:"visitsCount"` // up to version 3
	Summary     struct {
		Total int64 `json:"total"`
	} `json:"visitsSummary"`
	Meta struct {
		ValidSince string `json:"validSince"`
		ValidUntil string `json:"validUntil"`
		MaxVisits  int64  `json:"maxVisits"`
	} `json:"meta"`
	ForwardQuery *bool `json:"forwardQuery"`
}

// openShlink reads responses of GET /rest/v3/short-urls, page after page, and CSV
// exports of the web client.
func openShlink(r *bufio.Reader) (Reader, error) {
	if isJSON(r) {
		return openDocuments(r, readShlink, "shortUrls", "data"), nil
	}
	t, err := openTable(r, "longurl")
	if err != nil {
		return nil, err
	}
	return tableReader{t, readShlinkRow}, nil
}

func readShlink(in shlinkURL) (record Record, err error) {
	l := &record.Link
	l.Code, l.URL, l.Title, l.Tags = in.ShortCode, in.LongURL, in.Title, in.Tags
	l.Clicks, l.MaxClicks = client.Count(max(in.Visits, in.Summary.Total)), client.Count(in.Meta.MaxVisits)
	if in.ForwardQuery != nil && *in.ForwardQuery {
		l.ForwardQuery = "append"
	}
	if l.MaxClicks > 0 {
		l.UsedClicks = min(l.Clicks, l.MaxClicks)
	}
	err = readTimes([]timeText{
		{"dateCreated", in.DateCreated, &l.CreatedAt},
		{"validSince", in.Meta.ValidSince, &l.StartsAt},
		{"validUntil", in.Meta.ValidUntil, &l.ExpiresAt},
	})
	return record, err
}

// readShlinkRow reads a row with the columns createdAt, domain, shortCode, shortUrl,
// longUrl, title, tags and visits.
func readShlinkRow(t *table) (record Record, err error) {
	l := &record.Link
	l.Code, l.URL, l.Title = t.cell("shortcode"), t.cell("longurl"), t.cell("title")
	if l.Code == "" {
		l.Code = codeOf(t.cell("shorturl"))
	}
	if tags := t.cell("tags"); tags != "" {
		l.Tags = strings.Split(tags, "|")
	}
	visits, err := readNumber("visits", t.cell("visits"))
	if err != nil {
		return record, err
	}
	l.Clicks = client.Count(visits)
	return record, readTimes([]timeText{{"createdAt", t.cell("createdat"), &l.CreatedAt}})
}

// timeText is a time in a source's text format, and the field to store it in.
type timeText struct {
	field, text string
	to          **time.Time
}

func readTimes(times []timeText) (err error) {
	for _, t := range times {
		if *t.to, err = readTime(t.field, t.text); err != nil {
			return err
		}
	}
	return nil
}
