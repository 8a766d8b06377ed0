package rules

import "strings"

const (
	// maxTag is the longest language tag in bytes (RFC 5646, section 4.4.1). Longer tags of visitors
	// are ignored.
	maxTag = 35

	// maxLanguages is how many languages of Accept-Language are read. Browsers send at most about
	// ten.
	maxLanguages = 64
)

// language is a language tag in lower case. It is no string, because a visit must not allocate.
type language struct {
	tag   [maxTag]byte
	n     int
	known bool // the header has a valid language
}

// isIn reports whether the tag is one of a list, or a more exact form of one.
func (l *language) isIn(list []string) bool {
	for _, want := range list {
		if len(want) <= l.n && string(l.tag[:len(want)]) == want && (len(want) == l.n || l.tag[len(want)] == '-') {
			return true
		}
	}
	return false
}

// set sets the tag, and reports whether it is valid.
func (l *language) set(tag string) bool {
	if !isTag(tag) {
		return false
	}
	l.n = copy(l.tag[:], tag)
	for i := range l.n {
		if c := l.tag[i]; c >= 'A' && c <= 'Z' {
			l.tag[i] = c | 0x20
		}
	}
	return true
}

// primary returns the first part of the tag: de of de-ch. It is empty for an empty tag.
func (l *language) primary() [3]byte {
	var p [3]byte
	for i := 0; i < min(l.n, len(p)) && l.tag[i] != '-'; i++ {
		p[i] = l.tag[i]
	}
	return p
}

// isNamed reports whether a set has the tag or the beginning of the tag: de for de-ch.
func (l *language) isNamed(named map[string]struct{}) bool {
	for n := l.n; n > 0; n-- {
		if n == l.n || l.tag[n] == '-' {
			if _, is := named[string(l.tag[:n])]; is {
				return true
			}
		}
	}
	return false
}

// bestLanguage returns the language of an Accept-Language (RFC 9110, section 12.5.4) with the highest
// weight that a set names. The first of several with the same weight counts. Without such a language
// its tag is empty.
func bestLanguage(header string, named map[string]struct{}) (best language) {
	var (
		one    language
		weight = 0
		known  bool
	)
	for range maxLanguages {
		entry, rest, more := strings.Cut(header, ",")
		tag, parameters, weighted := strings.Cut(entry, ";")
		q := maxWeight
		if weighted {
			q = parseWeight(parameters)
		}
		if one.set(strings.Trim(tag, " \t")) {
			known = true
			if q > weight && one.isNamed(named) {
				best, weight = one, q
			}
		}
		if !more {
			break
		}
		header = rest
	}
	best.known = known
	return best
}

// maxWeight is the weight of a language without a weight, in thousandths.
const maxWeight = 1000

// parseWeight reads the weight of a language such as "q=0.8" in thousandths. An invalid weight is 0.
func parseWeight(s string) int {
	s = strings.Trim(s, " \t")
	if len(s) < 3 || s[0]|0x20 != 'q' || s[1] != '=' {
		return 0
	}
	whole, digits, _ := strings.Cut(s[2:], ".")
	if len(digits) > 3 || whole != "0" && whole != "1" {
		return 0
	}
	weight, unit := int(whole[0]-'0')*maxWeight, maxWeight/10
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0
		}
		weight += int(digits[i]-'0') * unit
		unit /= 10
	}
	if weight > maxWeight {
		return 0
	}
	return weight
}

// isTag reports whether s is a language tag: 2 or 3 letters, and parts of 1 to 8 letters and digits
// after hyphens.
func isTag(s string) bool {
	if len(s) > maxTag {
		return false
	}
	primary, rest, more := strings.Cut(s, "-")
	if len(primary) < 2 || len(primary) > 3 || !isAll(primary, isLetter) {
		return false
	}
	for more {
		var part string
		part, rest, more = strings.Cut(rest, "-")
		if part == "" || len(part) > 8 || !isAll(part, isLetterOrDigit) {
			return false
		}
	}
	return true
}

func isAll(s string, is func(c byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isLetterOrDigit(c byte) bool { return isLetter(c) || isDigit(c) }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
