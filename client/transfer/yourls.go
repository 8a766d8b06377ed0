package transfer

import (
	"bufio"
	"encoding/json"
	"strings"

	"github.com/terse/terse/client"
)

// yourlsURL is a link in the JSON of the YOURLS API, where numbers are strings.
type yourlsURL struct {
	Keyword   string      `json:"keyword"` // only with some plugins
	ShortURL  string      `json:"shorturl"`
	URL       string      `json:"url"`
	Title     string      `json:"title"`
	Timestamp string      `json:"timestamp"`
	Clicks    json.Number `json:"clicks"`
}

// openYOURLS reads a database dump of mysqldump or phpMyAdmin, API responses to
// action=stats, and CSV with the column names of the table.
func openYOURLS(r *bufio.Reader) (Reader, error) {
	switch {
	case isJSON(r):
		return openDocuments(r, readYOURLS, "links"), nil
	case startsWithColumn(r, "keyword"):
		t, err := openTable(r, "keyword", "url")
		if err != nil {
			return nil, err
		}
		return tableReader{t, func(t *table) (Record, error) {
			return readYOURLS(yourlsURL{
				Keyword: t.cell("keyword"), URL: t.cell("url"), Title: t.cell("title"),
				Timestamp: t.cell("timestamp"), Clicks: json.Number(t.cell("clicks")),
			})
		}}, nil
	}
	return openDump(r, "url", []string{"keyword", "url", "title", "timestamp", "ip", "clicks"}, func(row map[string]string) (Record, error) {
		return readYOURLS(yourlsURL{
			Keyword: row["keyword"], URL: row["url"], Title: row["title"],
			Timestamp: row["timestamp"], Clicks: json.Number(row["clicks"]),
		})
	}), nil
}

// startsWithColumn reports whether name is the first column of a CSV header.
func startsWithColumn(r *bufio.Reader, name string) bool {
	head, _ := r.Peek(len(name) + 2)
	return strings.HasPrefix(strings.ToLower(strings.TrimLeft(string(head), `"`)), name)
}

func readYOURLS(in yourlsURL) (record Record, err error) {
	l := &record.Link
	l.Code, l.URL, l.Title = in.Keyword, in.URL, in.Title
	if l.Code == "" {
		l.Code = codeOf(in.ShortURL)
	}
	clicks, err := readNumber("clicks", in.Clicks.String())
	if err != nil {
		return record, err
	}
	l.Clicks = client.Count(clicks)
	return record, readTimes([]timeText{{"timestamp", in.Timestamp, &l.CreatedAt}})
}
