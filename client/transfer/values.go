package transfer

import (
	"encoding/csv"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// layouts are the time formats of the products. A time without a zone is UTC.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05-0700", "2006-01-02 15:04:05", "2006-01-02T15:04:05",
	"2006-01-02 15:04", time.DateOnly,
}

// readTime reads a time. Empty text gives nil.
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

// readNumber reads a whole number. Empty text gives 0.
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

// readBool reads true or false. Empty text gives false.
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

// writeTags returns the tags as one cell. The cell contains a line of CSV.
func writeTags(tags []string) string {
	if len(tags) == 0 {
		return ""
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(tags) // cannot fail: writes to memory
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// readTags reads the format of writeTags.
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

// writeTime returns a time in RFC 3339, or "" for nil.
func writeTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// codeOf returns the code of a short URL. The URL may lack its scheme.
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
