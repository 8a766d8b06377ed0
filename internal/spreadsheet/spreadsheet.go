// Package spreadsheet makes text safe for cells of CSV files that people open in a spreadsheet.
package spreadsheet

import "regexp"

// Patterns of a formula at the start of a cell, and after a character that some spreadsheets treat as
// the end of a cell. Some spreadsheets also accept full-width signs. Quotes before the sign belong to
// the cell; Escape adds one more.
var (
	formula       = regexp.MustCompile(`^('*)([=+\-@\t\r\n＝＋－＠])`)
	laterFormula  = regexp.MustCompile(`([;\t][ "]*)('*)([=+\-@＝＋－＠])`)
	quotedFormula = regexp.MustCompile(`^'('*)([=+\-@\t\r\n＝＋－＠])`)
	quotedLater   = regexp.MustCompile(`([;\t][ "]*)'('*)([=+\-@＝＋－＠])`)
)

// Escape adds a quote before each part of a cell that a spreadsheet would run as a formula. It returns
// other cells unchanged.
func Escape(cell string) string {
	return formula.ReplaceAllString(laterFormula.ReplaceAllString(cell, `${1}'${2}${3}`), `'${1}${2}`)
}

// Unescape undoes Escape.
func Unescape(cell string) string {
	return quotedLater.ReplaceAllString(quotedFormula.ReplaceAllString(cell, `${1}${2}`), `${1}${2}${3}`)
}
