// Package transfer imports files of links to a server, and exports links from a server to
// files. It reads and writes the CSV and JSON lines of Terse, and reads the exports of other
// products, see Sources.
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
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/client"
)

// Record is one link of a source.
type Record struct {
	Line int // first line of the record in the source, counted from 1
	Link client.ArchivedLink

	// Domain is the host of the short URL, or another name of it, which Link does not have.
	// Empty when the source does not say it.
	Domain string

	// Unlimited, Unconfirmed and CountsVisitors report that the source says that the link has no
	// click limit, that its visitors need not confirm, and that its visitors are counted.
	Unlimited, Unconfirmed, CountsVisitors bool

	// PasswordLost reports that the link has a password which the source does not
	// export. An import of the link without that password makes the link public.
	PasswordLost bool

	// Disabled reports that the link was taken down at the source.
	Disabled bool

	// Warnings name what the source has and Link does not.
	Warnings []Warning
}

// NewLink returns the request that creates the link. It has no password, creation date, clicks or takedown.
func (r *Record) NewLink() client.NewLink {
	l := &r.Link
	return client.NewLink{
		URL: l.URL, Domain: l.Domain, Alias: l.Code, Title: l.Title, Tags: l.Tags, StartsAt: l.StartsAt, ExpiresAt: l.ExpiresAt,
		MaxClicks: l.MaxClicks, Confirm: l.Confirm, NoVisitors: l.NoVisitors, Status: l.Status, ForwardQuery: l.ForwardQuery, ForwardPath: l.ForwardPath, Rules: l.Rules,
	}
}

// Warning reports a change of a secondary field: any field except the target and the code.
type Warning struct {
	Field  string
	Reason string
}

func (w Warning) String() string { return w.Field + ": " + w.Reason }

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

// ReadOptions says how to read a file.
type ReadOptions struct {
	Source   string // product that exported the file, one of Sources
	Encoding string // see NewTextReader

	// Columns maps fields of Terse to columns of a CSV file. It needs the source terse. The
	// columns that it does not name are then ignored unless Terse has a field of that name. A field
	// with an empty column is not read.
	Columns map[string]string
}

// sources opens the export of each supported product.
var sources = map[string]func(r *bufio.Reader, columns map[string]string) (Reader, error){
	"terse":     openTerse,
	"yourls":    openProduct(yourls),
	"shlink":    openProduct(shlink),
	"kutt":      openProduct(kutt),
	"bitly":     openProduct(bitly),
	"rebrandly": openProduct(rebrandly),
	"shortio":   openProduct(shortio),
	"dub":       openProduct(dub),
}

// Sources returns the names of ReadOptions.Source, sorted.
func Sources() []string { return slices.Sorted(maps.Keys(sources)) }

// Open returns a Reader of a file. It detects the format of the file: CSV, JSON or SQL. Next and
// Open return ErrNoLinks for a file without links. A Reader rejects text that is not UTF-8. It
// cleans or drops invalid secondary fields and adds a Warning to the Record.
func Open(r io.Reader, opts ReadOptions) (Reader, error) {
	open, ok := sources[opts.Source]
	if !ok {
		return nil, fmt.Errorf("unknown source %q; the sources are %s", opts.Source, strings.Join(Sources(), ", "))
	}
	if len(opts.Columns) > 0 && opts.Source != "terse" {
		return nil, errors.New("transfer: ReadOptions.Columns needs the source terse")
	}
	text, err := NewTextReader(r, opts.Encoding)
	if err != nil {
		return nil, err
	}
	reader, err := open(bufio.NewReaderSize(text, 64<<10), opts.Columns)
	if err != nil {
		return nil, err
	}
	return &cleaner{Reader: reader, now: time.Now()}, nil
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
