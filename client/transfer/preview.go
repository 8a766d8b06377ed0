package transfer

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
)

// Preview is the beginning of a CSV file.
type Preview struct {
	Columns []string   // names of the columns, as the file has them
	Rows    [][]string // cells of the first rows, without empty rows and unreadable rows
}

// ReadPreview reads the names of the columns and at most rows rows of a CSV file in UTF-8. It returns
// ErrNoLinks for a file that is no table.
func ReadPreview(r io.Reader, rows int) (Preview, error) {
	text, err := NewTextReader(r, "")
	if err != nil {
		return Preview{}, err
	}
	buffered := bufio.NewReaderSize(text, 64<<10)
	form, err := sniff(buffered)
	if err != nil {
		return Preview{}, err
	}
	if form != formCSV {
		return Preview{}, noLinks("it is no table. Save it as CSV")
	}
	t, err := openTable(buffered)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Columns: t.header}
	for len(p.Rows) < rows {
		_, err := t.next()
		_, unreadable := errors.AsType[*RowError](err)
		switch {
		case errors.Is(err, io.EOF):
			return p, nil
		case unreadable:
		case err != nil:
			return Preview{}, err
		case slices.ContainsFunc(t.row, func(cell string) bool { return cell != "" }):
			row := make([]string, len(t.row))
			for i, cell := range t.row {
				row[i] = strings.Clone(cell)
			}
			p.Rows = append(p.Rows, row)
		}
	}
	return p, nil
}

// GuessColumns returns the column of each field that the names of the columns suggest. Fields without
// such a column are missing.
func GuessColumns(columns []string) map[string]string {
	guessed := map[string]string{}
	for field, names := range usualNames {
		for _, name := range append([]string{field}, names...) {
			i := slices.IndexFunc(columns, func(column string) bool { return fieldName(column) == fieldName(name) })
			if i >= 0 {
				guessed[field] = columns[i]
				break
			}
		}
	}
	return guessed
}

// usualNames are names of columns in files of other programs, by field. Earlier ones are preferred.
var usualNames = map[string][]string{
	"url":           {"long url", "long link", "target", "target url", "destination", "destination url", "original url", "address", "link"},
	"code":          {"alias", "slug", "short code", "keyword", "back half", "custom alias", "path"},
	"short_url":     {"short link", "short", "bitlink"},
	"domain":        {"host", "short domain"},
	"title":         {"name"},
	"tags":          {"tag", "labels"},
	"starts_at":     {"starts", "start", "valid since"},
	"expires_at":    {"expires", "expiry", "expiration date", "valid until"},
	"max_clicks":    {"click limit", "max visits"},
	"status":        {"redirect type", "http status"},
	"forward_query": nil,
	"forward_path":  nil,
	"confirm":       nil,
	"no_visitors":   nil,
	"rules":         nil,
}
