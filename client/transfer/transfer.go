// Package transfer imports files of links to a server, and exports links from a server to
// files. It reads and writes the CSV and JSON lines of Terse, and reads exports of YOURLS,
// Shlink, Kutt and Bitly.
//
// An Importer imports a file. Export and ExportFile export links. All can continue after an
// interruption and need little memory. A Reader and a Writer read and write files without a
// server.
//
// The package does not validate links; the server does. A Record reports what a
// source leaves out.
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

// Record is one link of a source.
type Record struct {
	Line int // first line of the record in the source, counted from 1
	Link client.ArchivedLink

	// PasswordLost reports that the link has a password which the source does not
	// export. An import of the link without that password makes the link public.
	PasswordLost bool

	// Disabled reports that the link was taken down at the source.
	Disabled bool
}

// RowError is the error of one row. The reader can continue with the next row.
type RowError struct {
	Line   int
	Field  string // empty when the whole row is invalid
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
	// Next returns the next record, a *RowError for an unreadable one, io.EOF after the
	// last one, or another error when the reader cannot continue.
	Next() (Record, error)
}

// maxRowLen is the longest row in bytes. The longest link fits many times, even with
// every character escaped.
const maxRowLen = 1 << 20

// sources opens the export of each supported product.
var sources = map[string]func(r *bufio.Reader) (Reader, error){
	"terse":  openTerse,
	"yourls": openYOURLS,
	"shlink": openShlink,
	"kutt":   openKutt,
	"bitly":  openBitly,
}

// Sources returns the names that Open accepts, sorted.
func Sources() []string { return slices.Sorted(maps.Keys(sources)) }

// Open returns a Reader of a product's export. It detects which of the product's
// formats r has.
func Open(source string, r io.Reader) (Reader, error) {
	open, ok := sources[source]
	if !ok {
		return nil, fmt.Errorf("unknown source %q; the sources are %s", source, strings.Join(Sources(), ", "))
	}
	buffered := bufio.NewReaderSize(r, 64<<10)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = buffered.Discard(len(mark))
	}
	return open(buffered)
}

// isJSON reports whether the input starts like JSON, not like CSV or SQL.
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

// rowError sets the line of a *RowError. It returns any other error unchanged.
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
