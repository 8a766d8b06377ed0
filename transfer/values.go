package transfer

import (
	"encoding/csv"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// layouts are the forms in which products write times. One without a zone is UTC.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05-0700", "2006-01-02 15:04:05", "2006-01-02T15:04:05",
	"2006-01-02 15:04", time.DateOnly,
}

// readTime reads a time, or nil from an empty text.
func readTime(field, text string) (*time.Time, error) {
	if text = strings.TrimSpace(text); text == "" {
		return nil, nil
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			t = t.UTC()
			return &t, nil
		}
	}
	return nil, wrong(field, "must be a time such as 2027-06-01T00:00:00Z")
}

// readNumber reads a whole number, or 0 from an empty text.
func readNumber(field, text string) (int64, error) {
	if text = strings.TrimSpace(text); text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, wrong(field, "must be a whole number")
	}
	return n, nil
}

// readBool reads true or false; an empty text is false.
func readBool(field, text string) (bool, error) {
	if text = strings.TrimSpace(text); text == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, wrong(field, "must be true or false")
	}
	return b, nil
}

// writeTags returns tags as one cell: a line of CSV within it.
func writeTags(tags []string) string {
	if len(tags) == 0 {
		return ""
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(tags) // into memory
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// readTags reads what writeTags wrote.
func readTags(field, text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	tags, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return nil, wrong(field, "must be separated by commas, with quotes as in CSV")
	}
	return tags, nil
}

// writeTime returns a time as a cell.
func writeTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// codeOf returns the code in a short URL, which products write with or without its
// scheme.
func codeOf(short string) string {
	if !strings.Contains(short, "://") {
		short = "https://" + short
	}
	u, err := url.Parse(short)
	if err != nil {
		return ""
	}
	return strings.Trim(u.Path, "/")
}
