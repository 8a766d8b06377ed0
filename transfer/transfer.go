// Package transfer reads and writes files of links, row by row and in little
// memory: those of Terse as CSV and as lines of JSON, and what YOURLS, Shlink, Kutt
// and Bitly export.
//
// It judges no link: servers do. It says what a source does not tell.
package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/terse/terse/client"
)

// Record is a link as a source has it.
type Record struct {
	Line int // where it begins in the source, from 1
	Link client.ArchivedLink

	// PasswordLost says that the source asks for a password that it does not tell:
	// whoever takes the link over opens it to everybody.
	PasswordLost bool

	// Disabled says that the source had taken the link down.
	Disabled bool
}

// RowError says what is wrong with one row. The rows behind it can be read.
type RowError struct {
	Line   int
	Field  string // empty when the row as a whole is wrong
	Reason string
}

func (e *RowError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("line %d: %s: %s", e.Line, e.Field, e.Reason)
}

// Reader reads records.
type Reader interface {
	// Next returns the next record, a *RowError for one that cannot be read, io.EOF
	// behind the last one, or another error when nothing more can be read.
	Next() (Record, error)
}

// maxRowLen is the longest row in bytes: the longest link, all of its characters
// escaped, and much more.
const maxRowLen = 1 << 20

// sources read the file of each product that we know.
var sources = map[string]func(r *bufio.Reader) (Reader, error){
	"terse":  openTerse,
	"yourls": openYOURLS,
	"shlink": openShlink,
	"kutt":   openKutt,
	"bitly":  openBitly,
}

// Sources returns the names of the products that Open knows.
func Sources() []string { return slices.Sorted(maps.Keys(sources)) }

// Open returns a Reader of what the product exported. It finds out by itself in
// which of the product's formats that is.
func Open(source string, r io.Reader) (Reader, error) {
	open, ok := sources[source]
	if !ok {
		return nil, fmt.Errorf("there is no source %q; there are %s", source, strings.Join(Sources(), ", "))
	}
	buffered := bufio.NewReaderSize(r, 64<<10)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = buffered.Discard(len(mark))
	}
	return open(buffered)
}

// isJSON reports whether what follows is JSON, and not CSV or SQL.
func isJSON(r *bufio.Reader) bool {
	for n := 1; n <= r.Size(); n++ {
		head, err := r.Peek(n)
		if err != nil {
			return false
		}
		if c := head[n-1]; !bytes.ContainsRune([]byte(" \t\r\n"), rune(c)) {
			return c == '{' || c == '['
		}
	}
	return false
}

// rowError returns the *RowError in err with its line, or err as it is.
func rowError(line int, err error) error {
	if wrong, ok := errors.AsType[*RowError](err); ok {
		wrong.Line = line
		return wrong
	}
	return err
}

// wrong returns a *RowError without a line.
func wrong(field, reason string) error {
	return &RowError{Field: field, Reason: reason}
}
