// Package spreadsheet makes text safe for cells of CSV files that people open in a spreadsheet.
package spreadsheet

import "regexp"

// A formula at the begin of a cell, and behind a character that some spreadsheets take as the end
// of a cell in every CSV file. Some spreadsheets read the full-width signs as the others. Quotes
// in front of the sign belong to the cell; Escape adds one more.
var (
	formula       = regexp.MustCompile(`^('*)([=+\-@\t\r\n＝＋－＠])`)
	laterFormula  = regexp.MustCompile(`([;\t][ "]*)('*)([=+\-@＝＋－＠])`)
	quotedFormula = regexp.MustCompile(`^'('*)([=+\-@\t\r\n＝＋－＠])`)
	quotedLater   = regexp.MustCompile(`([;\t][ "]*)'('*)([=+\-@＝＋－＠])`)
)

// Escape returns a cell with one quote more in front of each part that a spreadsheet would run as a
// formula. Other cells stay as they are.
func Escape(cell string) string {
	return formula.ReplaceAllString(laterFormula.ReplaceAllString(cell, `${1}'${2}${3}`), `'${1}${2}`)
}

// Unescape undoes Escape.
func Unescape(cell string) string {
	return quotedLater.ReplaceAllString(quotedFormula.ReplaceAllString(cell, `${1}${2}`), `${1}${2}${3}`)
}
