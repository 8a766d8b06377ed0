package visit

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxUTM is the longest UTM value in bytes.
const maxUTM = 64

// UTM is the utm_ parameters of a link, which describe the campaign that it belongs to.
type UTM struct{ Source, Medium, Campaign, Term, Content string }

// add reads the parameters of a query that u does not have yet. The first value of a parameter
// that is not empty counts.
func (u *UTM) add(query string) {
	if !HasUTM(query) {
		return
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if to := u.field(name); to != nil && *to == "" {
			*to = printable(value)
		}
	}
}

// HasUTM reports whether a query may have a UTM parameter. It is fast.
func HasUTM(query string) bool {
	return query != "" && (strings.Contains(query, "utm_") || strings.IndexByte(query, '%') >= 0)
}

// field returns the field for the parameter with an encoded name, or nil.
func (u *UTM) field(name string) *string {
	if strings.Contains(name, "%") {
		decoded, err := url.QueryUnescape(name)
		if err != nil {
			return nil
		}
		name = decoded
	}
	switch name {
	case "utm_source":
		return &u.Source
	case "utm_medium":
		return &u.Medium
	case "utm_campaign":
		return &u.Campaign
	case "utm_term":
		return &u.Term
	case "utm_content":
		return &u.Content
	}
	return nil
}

// printable returns the decoded value of a parameter, or Invalid if it is longer than maxUTM or
// has characters that cannot be printed. Values in parentheses are Invalid too:
// statistics use such texts for clicks without a value of their own, such as (other).
func printable(value string) string {
	if len(value) > 3*maxUTM { // each byte may be encoded with three
		return Invalid
	}
	if strings.ContainsAny(value, "%+") {
		decoded, err := url.QueryUnescape(value)
		if err != nil {
			return Invalid
		}
		value = decoded
	}
	switch {
	case strings.TrimSpace(value) == "":
		return ""
	case len(value) > maxUTM, !utf8.ValidString(value), value[0] == '(' && value[len(value)-1] == ')':
		return Invalid
	}
	for _, r := range value {
		if !unicode.IsPrint(r) {
			return Invalid
		}
	}
	return value
}

// qrPair is the parameter of a short URL that a QR code contains.
const qrPair = "qr=1"

// QRQuery is the query of a short URL in a QR code with separate counts of scans.
const QRQuery = qrPair

// CutQR removes the parameter qr=1 from the query of a short URL, and reports whether the query had
// it. All other bytes of the query stay.
func CutQR(query string) (rest string, found bool) {
	if !strings.Contains(query, qrPair) { // nearly every visit
		return query, false
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		if pair == qrPair {
			found = true
		} else {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&"), found
}
