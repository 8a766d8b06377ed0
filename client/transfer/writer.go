package transfer

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/terse/terse/client"
)

// Formats are the formats of a Writer.
var Formats = []string{"csv", "ndjson"}

// WriteOptions says how to write links.
type WriteOptions struct {
	Format string // one of Formats

	// Whole writes links of an administrator's export, otherwise of an owner's export.
	Whole bool

	// ExactCells writes CSV cells as they are. Default: in an owner's export, a quote is put in
	// front of cells that spreadsheets run as formulas, and the column "escaped" names these
	// cells, so that an import removes the quotes. Other exports are always exact.
	ExactCells bool
}

// Writer writes links. Call Flush after the last link. Not safe for concurrent use.
type Writer struct {
	csv    *csv.Writer
	json   *json.Encoder
	whole  bool
	escape bool
}

// NewWriter returns a Writer. Call Begin first, except to append to an existing file.
func NewWriter(w io.Writer, opts WriteOptions) (*Writer, error) {
	switch opts.Format {
	case "csv":
		return &Writer{csv: csv.NewWriter(w), whole: opts.Whole, escape: !opts.Whole && !opts.ExactCells}, nil
	case "ndjson":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return &Writer{json: enc, whole: opts.Whole}, nil
	}
	return nil, fmt.Errorf("unknown format %q; the formats are %v", opts.Format, Formats)
}

// Begin writes the CSV header. It writes nothing for ndjson.
func (w *Writer) Begin() error {
	switch {
	case w.csv == nil:
		return nil
	case w.whole:
		return w.csv.Write(archiveColumns)
	case w.escape:
		return w.csv.Write(append(slices.Clone(linkColumns), escapedColumn))
	}
	return w.csv.Write(linkColumns)
}

// Write writes a link of an owner's export.
func (w *Writer) Write(l *client.Link) error {
	switch {
	case w.csv == nil:
		return w.json.Encode(l)
	case w.escape:
		return w.csv.Write(escapeCells(linkColumns, linkCells(l)))
	}
	return w.csv.Write(linkCells(l))
}

// WriteArchived writes a link of an administrator's export.
func (w *Writer) WriteArchived(l *client.ArchivedLink) error {
	if w.csv != nil {
		return w.csv.Write(archiveCells(l))
	}
	return w.json.Encode(l)
}

// Flush writes buffered rows.
func (w *Writer) Flush() error {
	if w.csv == nil {
		return nil
	}
	w.csv.Flush()
	return w.csv.Error()
}
