package web

import (
	"fmt"
	"net/http"
)

// Import is the view model of the form to upload a spreadsheet. It posts file and encoding as
// multipart/form-data.
type Import struct {
	Encoding string // the visitor's input
	MaxRows  int    // most rows of a file
	MaxBytes int64  // most bytes of a file
	Errors   map[string]string
}

// Size returns the most bytes of a file for people.
func (v Import) Size() string { return fmt.Sprintf("%d KiB", v.MaxBytes>>10) }

// Encodings returns the choices of the encoding.
func (Import) Encodings() []choice {
	return []choice{{"utf-8", "UTF-8"}, {"windows-1252", "Windows, Western Europe"}, {"windows-1250", "Windows, Central Europe"}, {"utf-16le", "UTF-16"}}
}

// ImportEncodings returns the values of the encoding: names of the WHATWG Encoding Standard.
func ImportEncodings() (names []string) {
	for _, c := range (Import{}).Encodings() {
		names = append(names, c.Value)
	}
	return names
}

// Import writes the form to upload a spreadsheet.
func (p *Pages) Import(w http.ResponseWriter, status int, who Viewer, v Import) {
	p.console.upload.write(w, status, p.screen(who, "Import", "import", v))
}

// ImportColumns is the view model of the first rows of a spreadsheet and of the form that says which column
// is which field. The form posts data, name, and map_FIELD with the name of a column, as
// multipart/form-data.
type ImportColumns struct {
	Name    string // of the file
	Data    string // the file in UTF-8, in Base64
	Columns []string
	Rows    [][]string // the first rows
	Total   int        // number of all rows
	Fields  []ImportField
	General string // message about the whole form
}

// ImportField is a field of a link that a column can be.
type ImportField struct {
	Name   string // in the API
	Column string // the visitor's input; empty: the field is not imported
	Error  string
}

// importLabels are the names of the fields for people.
var importLabels = map[string]string{
	"url": "Target", "code": "Alias", "short_url": "Short URL", "domain": "Domain", "title": "Title", "tags": "Tags", "starts_at": "Starts",
	"expires_at": "Expires", "max_clicks": "Click limit", "status": "Status", "forward_query": "Query of a visit", "forward_path": "Path of a visit",
	"confirm": "Visitors press Continue", "no_visitors": "Visitors are not counted", "rules": "Rules as JSON",
}

// Label returns the name of the field for people.
func (f ImportField) Label() string { return importLabels[f.Name] }

// Hint returns what the column contains.
func (f ImportField) Hint() string {
	switch f.Name {
	case "url":
		return "Where the link leads. Required"
	case "code":
		return "The ending of the short link. A row without a code gets a random one"
	case "short_url":
		return "Its ending becomes the alias"
	case "tags":
		return "Several tags in a cell are separated by commas or semicolons"
	}
	return ""
}

// Remaining returns how many rows are not shown.
func (v ImportColumns) Remaining() int { return v.Total - len(v.Rows) }

// ImportColumns writes the first rows of a spreadsheet.
func (p *Pages) ImportColumns(w http.ResponseWriter, status int, who Viewer, v ImportColumns) {
	p.console.columns.write(w, status, p.screen(who, "Import of "+v.Name, "import", v))
}

// ImportReport is the view model of the result of an import.
type ImportReport struct {
	Name     string // of the file
	Rows     int    // all rows
	Rejected int    // rows that made no link
	Faults   []ImportFault
	Made     []ImportedRow
	Rest     *ImportRest // nil unless the limit of creates ended the import early
}

// ImportRest is what a report sends to import the remaining rows.
type ImportRest struct {
	From   int    // number of the first remaining row, from 0
	Data   string // as in ImportColumns
	Fields []ImportField
}

// ImportFault is one reason why a row was rejected.
type ImportFault struct {
	Line          int // first line of the row in the file, counted from 1
	Field, Reason string
}

// ImportedRow is a row that became a link.
type ImportedRow struct {
	Line    int
	Link    LinkRow
	Warning string // what the link lacks of the row; may be empty
}

// Summary returns the heading of the report.
func (v ImportReport) Summary() string {
	if v.Rejected == 0 {
		return "Imported " + countLinks(len(v.Made))
	}
	return fmt.Sprintf("Imported %s, rejected %d of %d rows", countLinks(len(v.Made)), v.Rejected, v.Rows)
}

// ImportReport writes the result of an import.
func (p *Pages) ImportReport(w http.ResponseWriter, status int, who Viewer, v ImportReport) {
	p.console.imported.write(w, status, p.screen(who, v.Summary(), "import", v))
}
