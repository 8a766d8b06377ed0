package rules

import "strings"

// continents are the continents and their countries, by ISO 3166-1 code, with XK for Kosovo. A
// country belongs to the continent that GeoNames (https://www.geonames.org/countries/) names.
var continents = [...]struct{ name, countries string }{
	{"AF", "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW"},
	{"AN", "AQ BV GS HM TF"},
	{"AS", "AE AF AM AZ BD BH BN BT CC CN GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE"},
	{"EU", "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK"},
	{"NA", "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US VC VG VI"},
	{"OC", "AS AU CK CX FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS"},
	{"SA", "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"},
}

// letters is the number of letters of a code, and codes the number of codes of two letters.
const (
	letters = 'Z' - 'A' + 1
	codes   = letters * letters
)

// continentOf is the number of the continent plus 1 of a country by its number, or 0 for a code that
// is no country.
var continentOf = func() (of [codes]int) {
	for i, c := range continents {
		for code := range strings.FieldsSeq(c.countries) {
			n, _ := codeNumber(code)
			of[n] = i + 1
		}
	}
	return of
}()

// codeNumber returns the number of a code of two letters, ignoring case. ok is false for other
// texts.
func codeNumber(code string) (n int, ok bool) {
	if len(code) != 2 {
		return 0, false
	}
	a, b := code[0]&^0x20, code[1]&^0x20
	if a < 'A' || a > 'Z' || b < 'A' || b > 'Z' {
		return 0, false
	}
	return int(a-'A')*letters + int(b-'A'), true
}

// IsCountry reports whether a text is the code of a country, ignoring case.
func IsCountry(code string) bool {
	n, ok := codeNumber(code)
	return ok && continentOf[n] != 0
}

// continentNumber returns the number of a continent plus 1, or 0, ignoring case.
func continentNumber(name string) int {
	for i, c := range continents {
		if strings.EqualFold(name, c.name) {
			return i + 1
		}
	}
	return 0
}

// codeSet is a set of numbers of codes.
type codeSet [(codes + 63) / 64]uint64

func (s *codeSet) add(n int)      { s[n/64] |= 1 << (n % 64) }
func (s *codeSet) has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }
