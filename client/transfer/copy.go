package transfer

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// copyFrom reads a COPY of Postgres up to its first row.
func (d *dump) copyFrom() error {
	t, err := d.token()
	if err != nil {
		return noEOF(err)
	}
	d.current, err = d.name(t)
	d.names = nil
	from := false
	for err == nil {
		if t, err = d.token(); err != nil {
			return noEOF(err)
		}
		switch {
		case t.kind == '(' && !from:
			d.names, err = d.nameList()
		case t.word() == "from":
			from = true
		case from && t.word() == "stdin":
			d.within = "copy"
		case t.kind == ';':
			return d.until("\n")
		}
	}
	return err
}

// copyRow reads a row of a COPY.
func (d *dump) copyRow() (Record, error) {
	line := d.line
	text, err := d.rawLine()
	switch {
	case err != nil:
		return Record{}, fmt.Errorf("line %d: invalid SQL: %w", d.line, noEOF(err))
	case text == `\.`:
		d.within = ""
		return d.Next()
	}
	values := strings.Split(text, "\t")
	for i, value := range values {
		values[i] = copyValue(value)
	}
	return d.rowOf(line, values, nil)
}

// copyValue reads the text format of COPY.
func copyValue(text string) string {
	if text == `\N` {
		return ""
	}
	if !strings.Contains(text, `\`) {
		return text
	}
	letters := map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) {
			i++
			c = text[i]
			if control, ok := letters[c]; ok {
				c = control
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// rawLine reads a line without its end.
func (d *dump) rawLine() (string, error) {
	var line []byte
	for {
		c, err := d.byte()
		switch {
		case err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)):
			return "", err
		case err != nil || c == '\n':
			return strings.TrimSuffix(string(line), "\r"), nil
		case len(line) > maxRowLen:
			return "", errors.New("a line is too long")
		}
		line = append(line, c)
	}
}
