package transfer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// dump reads the rows of one table from the INSERT statements of a MySQL dump.
type dump struct {
	r       *bufio.Reader
	line    int
	table   string   // end of the table's name, after the prefix
	columns []string // of the table, for statements without column names
	names   []string // columns of the current statement; nil outside a statement
	record  func(row map[string]string) (Record, error)
}

func openDump(r *bufio.Reader, table string, columns []string, record func(row map[string]string) (Record, error)) *dump {
	return &dump{r: r, line: 1, table: table, columns: columns, record: record}
}

// Next implements Reader.
func (d *dump) Next() (Record, error) {
	for d.names == nil {
		if err := d.statement(); err != nil {
			return Record{}, err
		}
	}
	names := d.names
	line, values, err := d.values()
	if err != nil {
		return Record{}, fmt.Errorf("line %d: invalid SQL: %w", d.line, noEOF(err))
	}
	if len(values) != len(names) {
		return Record{}, &RowError{Line: line, Reason: fmt.Sprintf("has %d values for %d columns", len(values), len(names))}
	}
	row := make(map[string]string, len(values))
	for i, name := range names {
		row[name] = values[i]
	}
	record, err := d.record(row)
	record.Line = line
	return record, rowError(line, err)
}

// statement reads one statement. It stops before the first row of an INSERT into the
// table, and skips any other statement.
func (d *dump) statement() error {
	word, err := d.word()
	if err != nil {
		return err
	}
	switch {
	case word == ";": // after a comment
		return nil
	case !strings.EqualFold(word, "insert"):
		return d.skip()
	}
	var name string
	for {
		if word, err = d.word(); err != nil {
			return noEOF(err)
		}
		switch strings.ToLower(word) {
		case "into", "ignore", "low_priority", "delayed", "high_priority":
			continue
		}
		name = word
		break
	}
	if !strings.HasSuffix(strings.ToLower(name), d.table) {
		return d.skip()
	}
	names := d.columns
	if word, err = d.word(); err == nil && word == "(" {
		names = nil
		for word != ")" && err == nil {
			if word, err = d.word(); word != "," && word != ")" {
				names = append(names, strings.ToLower(word))
			}
		}
		if err == nil {
			word, err = d.word()
		}
	}
	if err != nil {
		return noEOF(err)
	}
	if !strings.EqualFold(word, "values") && !strings.EqualFold(word, "value") {
		return fmt.Errorf("line %d: invalid SQL: %q instead of VALUES", d.line, word)
	}
	d.names = names
	return nil
}

// values reads one row and the separator after it.
func (d *dump) values() (line int, values []string, err error) {
	word, err := d.word()
	if err != nil {
		return 0, nil, err
	}
	if word != "(" {
		return 0, nil, fmt.Errorf("%q instead of a row", word)
	}
	line = d.line
	for word != ")" {
		value, err := d.word()
		if err != nil {
			return line, nil, err
		}
		switch {
		case value == ")" || value == ",":
			return line, nil, errors.New("a value is missing")
		case strings.EqualFold(value, "null"):
			value = ""
		default:
			value = strings.TrimPrefix(value, "'")
		}
		values = append(values, value)
		if word, err = d.word(); err != nil {
			return line, nil, err
		}
		if word != "," && word != ")" {
			return line, nil, fmt.Errorf("%q instead of a comma", word)
		}
	}
	word, err = d.word()
	if err != nil && !errors.Is(err, io.EOF) {
		return line, nil, err
	}
	if word != "," {
		d.names = nil
		if word != ";" && err == nil { // such as ON DUPLICATE KEY UPDATE
			if err := d.skip(); err != nil && !errors.Is(err, io.EOF) {
				return line, nil, err
			}
		}
	}
	return line, values, nil
}

// skip reads to the end of the statement.
func (d *dump) skip() error {
	for {
		word, err := d.word()
		if err != nil || word == ";" {
			return err
		}
	}
}

// word returns the next word: a name without backquotes, a number, a sign, or a
// string. A string gets a quote in front, to distinguish it from a name. Comments are
// skipped.
func (d *dump) word() (string, error) {
	for {
		c, err := d.byte()
		if err != nil {
			return "", err
		}
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case c == '#', c == '-' && d.peek("-"):
			if err := d.until("\n"); err != nil {
				return "", err
			}
		case c == '/' && d.peek("*"):
			if err := d.until("*/"); err != nil {
				return "", err
			}
		case c == '\'' || c == '"':
			text, err := d.text(c)
			return "'" + text, err
		case c == '`':
			return d.text(c)
		case strings.IndexByte("(),;=", c) >= 0:
			return string(c), nil
		default:
			return d.plain(c)
		}
	}
}

// plain reads a word without quotes. c is its first byte.
func (d *dump) plain(c byte) (string, error) {
	word := []byte{c}
	for {
		head, err := d.r.Peek(1)
		if err != nil || strings.IndexByte(" \t\r\n(),;='\"`", head[0]) >= 0 {
			return string(word), nil
		}
		if len(word) > maxRowLen {
			return "", errors.New("a word is too long")
		}
		c, _ := d.byte()
		word = append(word, c)
	}
}

// escapes maps the letter after a backslash to its byte.
var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '0': 0, 'b': '\b', 'Z': 26}

// text reads a string up to its closing quote. Inside the string, a quote is doubled
// or has a backslash in front.
func (d *dump) text(quote byte) (string, error) {
	var text []byte
	for {
		c, err := d.byte()
		if err != nil {
			return "", noEOF(err)
		}
		switch {
		case c == quote && d.peek(string(quote)):
			_, err = d.byte()
		case c == quote:
			return string(text), nil
		case c == '\\' && quote != '`':
			if c, err = d.byte(); err == nil {
				if plain, ok := escapes[c]; ok {
					c = plain
				}
			}
		}
		if err != nil {
			return "", noEOF(err)
		}
		if len(text) > maxRowLen {
			return "", errors.New("a string is too long")
		}
		text = append(text, c)
	}
}

// until reads up to and including end.
func (d *dump) until(end string) error {
	for {
		c, err := d.byte()
		if err != nil {
			return err
		}
		if c == end[0] && (len(end) == 1 || d.peek(end[1:])) {
			for range len(end) - 1 {
				_, _ = d.byte()
			}
			return nil
		}
	}
}

func (d *dump) peek(s string) bool {
	head, err := d.r.Peek(len(s))
	return err == nil && string(head) == s
}

func (d *dump) byte() (byte, error) {
	c, err := d.r.ReadByte()
	if c == '\n' {
		d.line++
	}
	return c, err
}
