package transfer

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"

	"github.com/terse/terse/client"
)

// Formats are the names of the formats that a Writer knows.
var Formats = []string{"csv", "ndjson"}

// Writer writes links in one of the Formats. Flush it at the end.
type Writer struct {
	csv  *csv.Writer
	json *json.Encoder
}

// NewWriter returns a Writer. It begins in the middle when what is before it was
// written already.
func NewWriter(format string, w io.Writer) (*Writer, error) {
	switch format {
	case "csv":
		return &Writer{csv: csv.NewWriter(w)}, nil
	case "ndjson":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return &Writer{json: enc}, nil
	}
	return nil, fmt.Errorf("there is no format %q; there are %v", format, Formats)
}

// Begin writes what stands before the links: the names of the columns of what
// owners export, or of what administrators take out whole.
func (w *Writer) Begin(whole bool) error {
	switch {
	case w.csv == nil:
		return nil
	case whole:
		return w.csv.Write(archiveColumns)
	}
	return w.csv.Write(linkColumns)
}

// Write writes a link as its owner sees it.
func (w *Writer) Write(l *client.Link) error {
	if w.csv != nil {
		return w.csv.Write(linkCells(l))
	}
	return w.json.Encode(l)
}

// WriteWhole writes a link whole.
func (w *Writer) WriteWhole(l *client.ArchivedLink) error {
	if w.csv != nil {
		return w.csv.Write(archiveCells(l))
	}
	return w.json.Encode(l)
}

// Flush writes what is still held back.
func (w *Writer) Flush() error {
	if w.csv == nil {
		return nil
	}
	w.csv.Flush()
	return w.csv.Error()
}
