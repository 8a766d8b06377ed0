package transfer

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// table reads CSV rows by column name. It implements fields.
type table struct {
	csv     *csv.Reader
	skipped int            // lines before the header
	header  []string       // as the file writes them
	columns map[string]int // by fieldName
	twice   []string       // names in the header that appear twice
	row     []string
}

// openTable reads the column names. The separator is a comma, a semicolon or a tab. A first line
// such as "sep=;" names it.
func openTable(r *bufio.Reader) (*table, error) {
	t := &table{columns: map[string]int{}}
	comma, err := t.separator(r)
	if err != nil {
		return nil, err
	}
	t.csv = csv.NewReader(r)
	t.csv.Comma = comma
	t.csv.FieldsPerRecord = -1
	t.csv.ReuseRecord = true
	header, err := t.csv.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, noLinks("it has no line that names the columns")
	case err != nil:
		return nil, fmt.Errorf("the first line must name the columns: %w", err)
	}
	for i, name := range header {
		t.header = append(t.header, strings.TrimSpace(name))
		key := fieldName(name)
		if _, twice := t.columns[key]; twice {
			if key != "" {
				t.twice = append(t.twice, key)
			}
			continue
		}
		t.columns[key] = i
	}
	return t, nil
}

// separatorLine matches a line of Excel that names the separator.
var separatorLine = regexp.MustCompile(`(?i)^"?sep=([,;\t|])"?\r?\n`)

// separator returns the separator of the columns. It reads a separatorLine.
func (t *table) separator(r *bufio.Reader) (rune, error) {
	head, err := r.Peek(16)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if line := separatorLine.FindSubmatch(head); line != nil {
		_, err := r.Discard(len(line[0]))
		t.skipped = 1
		return rune(line[1][0]), err
	}
	head, _ = r.Peek(r.Size())
	counts := map[byte]int{}
	quoted := false
	for _, c := range bytes.TrimLeft(head, "\r\n") {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n' || c == '\r':
			return mostFrequent(counts), nil
		default:
			counts[c]++
		}
	}
	return mostFrequent(counts), nil
}

// mostFrequent returns the separator that a header has most.
func mostFrequent(counts map[byte]int) rune {
	best := byte(',')
	for _, c := range []byte(";\t") {
		if counts[c] > counts[best] {
			best = c
		}
	}
	return rune(best)
}

// has reports whether one of the columns exists.
func (t *table) has(names ...string) bool {
	for _, name := range names {
		if _, ok := t.columns[fieldName(name)]; ok {
			return true
		}
	}
	return false
}

// found returns the header for messages.
func (t *table) found() string { return quotedList(t.header) }

// quotedList returns names in quotes, at most 40 of them.
func quotedList(names []string) string {
	more := ""
	if len(names) > 40 {
		names, more = names[:40], ", …"
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	return strings.Join(quoted, ", ") + more
}

// next reads a row and returns its line number.
func (t *table) next() (line int, err error) {
	t.row, err = t.csv.Read()
	if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
		return 0, &RowError{Line: wrong.StartLine + t.skipped, Reason: wrong.Err.Error()}
	}
	if err != nil {
		return 0, err
	}
	line, _ = t.csv.FieldPos(0)
	line += t.skipped
	for i := len(t.header); i < len(t.row); i++ {
		if t.row[i] != "" {
			return line, &RowError{Line: line, Reason: fmt.Sprintf("has %d fields for %d columns", len(t.row), len(t.header))}
		}
	}
	return line, nil
}

// text implements fields.
func (t *table) text(names ...string) string {
	for _, name := range names {
		if i, ok := t.columns[fieldName(name)]; ok && i < len(t.row) && t.row[i] != "" {
			return strings.Clone(t.row[i])
		}
	}
	return ""
}

// list implements fields.
func (t *table) list(names ...string) ([]string, string) { return readTags(t.text(names...)) }

// json implements fields.
func (t *table) json(name string) string { return jsonOf(t.text(name)) }

// jsonOf returns the text of a cell as JSON; empty for a null value.
func jsonOf(text string) string {
	if isNull(strings.TrimSpace(text)) {
		return ""
	}
	return text
}

// wrongType implements fields.
func (*table) wrongType(...string) string { return "" }

// tableReader converts each row to a record.
type tableReader struct {
	*table
	record func(f fields) (Record, error)
}

// Next implements Reader.
func (r tableReader) Next() (Record, error) {
	line, err := r.next()
	for err == nil && !slices.ContainsFunc(r.row, func(cell string) bool { return cell != "" }) {
		line, err = r.next() // a spreadsheet may write empty rows
	}
	if err != nil {
		return Record{}, err
	}
	record, err := r.record(r.table)
	record.Line = line
	return record, rowError(line, err)
}

func (r tableReader) describe() string { return "it has the columns " + r.found() + " and no rows" }
