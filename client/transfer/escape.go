package transfer

import (
	"regexp"
	"slices"
	"strings"
)

// escapedColumn is the last column of a CSV file for people. Its cell names columns of the row,
// separated by spaces. The cells in these columns got quotes in front of what spreadsheets would
// run as formulas. Import removes these quotes and no others.
const escapedColumn = "escaped"

// A formula at the begin of a cell, and behind a character that some spreadsheets take as the end
// of a cell in every CSV file. Some spreadsheets read the full-width signs as the others. Quotes
// in front of the sign belong to the cell; escapeCells adds one more.
var (
	formula       = regexp.MustCompile(`^('*)([=+\-@\t\r\n＝＋－＠])`)
	laterFormula  = regexp.MustCompile(`([;\t][ "]*)('*)([=+\-@＝＋－＠])`)
	quotedFormula = regexp.MustCompile(`^'('*)([=+\-@\t\r\n＝＋－＠])`)
	quotedLater   = regexp.MustCompile(`([;\t][ "]*)'('*)([=+\-@＝＋－＠])`)
)

// escape returns a cell with one quote more in front of each formula.
func escape(cell string) string {
	return formula.ReplaceAllString(laterFormula.ReplaceAllString(cell, `${1}'${2}${3}`), `'${1}${2}`)
}

// unescape undoes escape.
func unescape(cell string) string {
	return quotedLater.ReplaceAllString(quotedFormula.ReplaceAllString(cell, `${1}${2}`), `${1}${2}${3}`)
}

// escapeCells escapes the cells, and appends the cell of escapedColumn.
func escapeCells(columns, cells []string) []string {
	var escaped []string
	for i, cell := range cells {
		if safe := escape(cell); safe != cell {
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
			t.row[i] = unescape(t.row[i])
		}
	}
}
