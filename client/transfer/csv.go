package transfer

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// table reads CSV rows by column name.
type table struct {
	csv     *csv.Reader
	columns map[string]int
	row     []string
}

// openTable reads the column names. It ignores case and reads a space as an
// underscore, so "Short Link" is short_link. Each of required is one column name, or
// alternatives separated by "|".
func openTable(r *bufio.Reader, required ...string) (*table, error) {
	t := &table{csv: csv.NewReader(r), columns: map[string]int{}}
	t.csv.FieldsPerRecord = -1
	t.csv.ReuseRecord = true
	header, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: its first line must name the columns")
	}
	if err != nil {
		return nil, fmt.Errorf("the first line must name the columns: %w", err)
	}
	for i, name := range header {
		name = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), " ", "_")
		if _, twice := t.columns[name]; twice && name != "" {
			return nil, fmt.Errorf("the column %s appears twice", name)
		}
		t.columns[name] = i
	}
	for _, alternatives := range required {
		if !slices.ContainsFunc(strings.Split(alternatives, "|"), func(name string) bool { return t.has(name) }) {
			return nil, fmt.Errorf("the first line must name the column %s", strings.ReplaceAll(alternatives, "|", " or "))
		}
	}
	return t, nil
}

func (t *table) has(name string) bool {
	_, ok := t.columns[name]
	return ok
}

// next reads a row and returns its line number.
func (t *table) next() (line int, err error) {
	t.row, err = t.csv.Read()
	if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
		return 0, &RowError{Line: wrong.StartLine, Reason: wrong.Err.Error()}
	}
	if err != nil {
		return 0, err
	}
	line, _ = t.csv.FieldPos(0)
	if len(t.row) > len(t.columns) {
		return line, &RowError{Line: line, Reason: fmt.Sprintf("has %d fields for %d columns", len(t.row), len(t.columns))}
	}
	return line, nil
}

// cell returns the first non-empty value of the named columns, or "".
func (t *table) cell(names ...string) string {
	for _, name := range names {
		if i, ok := t.columns[name]; ok && i < len(t.row) && t.row[i] != "" {
			return strings.Clone(t.row[i])
		}
	}
	return ""
}

// tableReader converts each row to a record.
type tableReader struct {
	*table
	record func(t *table) (Record, error)
}

// Next implements Reader.
func (r tableReader) Next() (Record, error) {
	line, err := r.next()
	if err != nil {
		return Record{}, err
	}
	record, err := r.record(r.table)
	record.Line = line
	return record, rowError(line, err)
}
