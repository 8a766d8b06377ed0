package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"regexp"
)

// ErrNoLinks reports that a file has no links that its source can have. The error says what
// the file has.
var ErrNoLinks = errors.New("the file has no links")

// noLinks returns an error that wraps ErrNoLinks.
func noLinks(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNoLinks, fmt.Sprintf(format, args...))
}

// form is a kind of file.
type form int

const (
	formCSV form = iota
	formJSON
	formSQL
)

// sqlStart matches the start of a database dump: a comment, or the first statement.
var sqlStart = regexp.MustCompile(`(?i)^(--|/\*|#|\\(un)?restrict\s|insert\s+(into|ignore|or|low_priority|delayed|high_priority)\s|replace\s+into\s|` +
	`(create|drop|alter|lock|truncate)\s+(table|tables|database|schema|temporary|unlogged)\s|set\s+[@a-z_]+\b[^,;\t]*[= ]|use\s+\S+\s*;|` +
	`begin\s*;|(begin|start)\s+transaction\b|pragma\s+\S|copy\s+\S+\s*\(|select\s+\S)`)

// sniff returns the form of the input. It returns an error for an empty input and for a form
// that is never read.
func sniff(r *bufio.Reader) (form, error) {
	head, _ := r.Peek(512)
	start := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case len(head) == 0:
		return 0, noLinks("it is empty")
	case len(start) == 0 && len(head) < 512:
		return 0, noLinks("it has only empty lines")
	case bytes.IndexByte(head, 0) >= 0:
		return 0, noLinks("it contains NUL bytes. Name its encoding with --encoding, for example utf-16le")
	case bytes.HasPrefix(start, []byte("<")):
		return 0, noLinks("it is XML or HTML. Export the links as CSV, JSON or SQL")
	case bytes.HasPrefix(start, []byte("PK\x03\x04")), bytes.HasPrefix(start, []byte("\x1f\x8b")):
		return 0, noLinks("it is compressed. Unpack it first")
	case len(start) > 0 && (start[0] == '{' || start[0] == '['):
		return formJSON, nil
	case sqlStart.Match(start):
		return formSQL, nil
	}
	return formCSV, nil
}
