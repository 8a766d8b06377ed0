package transfer

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// escapedColumn is the last column of a CSV file for people. Its cell names columns of the row,
// separated by spaces. The cells in these columns got a quote in front, because spreadsheets would
// run them as formulas. Import removes these quotes and no others.
const escapedColumn = "escaped"

// isFormula reports whether a spreadsheet may run a cell as a formula. Some spreadsheets read the
// full-width signs as the others.
func isFormula(cell string) bool {
	first, _ := utf8.DecodeRuneInString(cell)
	return strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) && cell != ""
}

// escapeCells puts a quote in front of each formula, and appends the cell of escapedColumn.
func escapeCells(columns, cells []string) []string {
	var escaped []string
	for i, cell := range cells {
		if isFormula(cell) {
			cells[i] = "'" + cell
			escaped = append(escaped, columns[i])
		}
	}
	return append(cells, strings.Join(escaped, " "))
}

// unescape removes the quotes of escapeCells from the current row.
func (t *table) unescape() {
	escaped := strings.Fields(t.text(escapedColumn))
	if len(escaped) == 0 {
		return
	}
	for i, name := range t.header {
		if i < len(t.row) && slices.Contains(escaped, name) {
			t.row[i] = strings.TrimPrefix(t.row[i], "'")
		}
	}
}
