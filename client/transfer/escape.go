package transfer

import (
	"slices"
	"strings"

	"github.com/terse/terse/internal/spreadsheet"
)

// escapedColumn is the last column of a CSV file for people. Its cell names columns of the row,
// separated by spaces. The cells in these columns got quotes in front of what spreadsheets would
// run as formulas. Import removes these quotes and no others.
const escapedColumn = "escaped"

// escapeCells escapes the cells, and appends the cell of escapedColumn.
func escapeCells(columns, cells []string) []string {
	var escaped []string
	for i, cell := range cells {
		if safe := spreadsheet.Escape(cell); safe != cell {
			cells[i] = safe
			escaped = append(escaped, columns[i])
		}
	}
	return append(cells, strings.Join(escaped, " "))
}

// unescape undoes escapeCells for the current row.
func (t *table) unescape() {
	escaped := strings.Fields(t.text(escapedColumn))
	for i, name := range t.header {
		if i < len(t.row) && slices.ContainsFunc(escaped, func(e string) bool { return fieldName(e) == fieldName(name) }) {
			t.row[i] = spreadsheet.Unescape(t.row[i])
		}
	}
}
