package transfer

import (
	"bufio"
	"strings"

	"github.com/terse/terse/client"
)

// bitlink is a link in the JSON of Bitly's API.
type bitlink struct {
	Link      string   `json:"link"`
	ID        string   `json:"id"`
	LongURL   string   `json:"long_url"`
	Title     string   `json:"title"`
	Tags      []string `json:"tags"`
	CreatedAt string   `json:"created_at"`
	Custom    []string `json:"custom_bitlinks"`
}

// openBitly reads responses of GET /v4/groups/{guid}/bitlinks, page after page, and
// CSV exports. The names of the CSV columns have changed over time; all are accepted.
func openBitly(r *bufio.Reader) (Reader, error) {
	if isJSON(r) {
		return openDocuments(r, readBitlink, "links"), nil
	}
	t, err := openTable(r, "destination_url|long_url|destination", "link|bitlink|short_link|short_url")
	if err != nil {
		return nil, err
	}
	return tableReader{t, readBitlyRow}, nil
}

// readBitlink prefers the custom code of a link, if there is one.
func readBitlink(in bitlink) (record Record, err error) {
	l := &record.Link
	short := in.Link
	if short == "" {
		short = in.ID
	}
	if len(in.Custom) > 0 {
		short = in.Custom[0]
	}
	l.Code, l.URL, l.Title, l.Tags = codeOf(short), in.LongURL, in.Title, in.Tags
	return record, readTimes([]timeText{{"created_at", in.CreatedAt, &l.CreatedAt}})
}

func readBitlyRow(t *table) (Record, error) {
	in := bitlink{
		Link: t.cell("link", "bitlink", "short_link", "short_url"), LongURL: t.cell("destination_url", "long_url", "destination"),
		Title: t.cell("title"), CreatedAt: t.cell("created_at", "created", "created_date", "date_created"),
	}
	if custom := t.cell("custom_link", "custom_bitlink", "custom_bitlinks"); custom != "" {
		in.Custom = []string{strings.TrimSpace(strings.Split(custom, ",")[0])}
	}
	for tag := range strings.SplitSeq(t.cell("tags"), ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			in.Tags = append(in.Tags, tag)
		}
	}
	record, err := readBitlink(in)
	if err != nil {
		return record, err
	}
	clicks, err := readNumber("clicks", t.cell("clicks", "total_clicks", "engagements"))
	record.Link.Clicks = client.Count(clicks)
	return record, err
}
