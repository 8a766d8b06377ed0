package transfer

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"

	"github.com/terse/terse/client"
)

// Formats are the formats of a Writer.
var Formats = []string{"csv", "ndjson"}

// Writer writes links in one of the Formats. Call Flush after the last link. Not safe
// for concurrent use.
type Writer struct {
	csv  *csv.Writer
	json *json.Encoder
}

// NewWriter returns a Writer. Call Begin first, except to append to an existing file.
func NewWriter(format string, w io.Writer) (*Writer, error) {
	switch format {
	case "csv":
		return &Writer{csv: csv.NewWriter(w)}, nil
	case "ndjson":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return &Writer{json: enc}, nil
	}
	return nil, fmt.Errorf("unknown format %q; the formats are %v", format, Formats)
}

// Begin writes the CSV header: of an administrator's export with whole, otherwise of
// an owner's export. It writes nothing for ndjson.
func (w *Writer) Begin(whole bool) error {
	switch {
	case w.csv == nil:
		return nil
	case whole:
		return w.csv.Write(archiveColumns)
	}
	return w.csv.Write(linkColumns)
}

// Write writes a link of an owner's export.
func (w *Writer) Write(l *client.Link) error {
	if w.csv != nil {
		return w.csv.Write(linkCells(l))
	}
	return w.json.Encode(l)
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
