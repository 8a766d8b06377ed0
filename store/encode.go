package store

import "strings"

// The bytes that browsers percent-encode in the parts of an http URL, in addition to bytes
// outside printable ASCII: the path, special-query and fragment percent-encode sets of
// the WHATWG URL Standard.
var (
	encodedInPath     = newByteSet(" \"#<>?^`{}")
	encodedInRest     = newByteSet(" \"#<>?^`{}\\") // browsers read a backslash as a slash
	encodedInQuery    = newByteSet(" \"#<>'")
	encodedInFragment = newByteSet(" \"<>`")
)

// byteSet is a set of bytes.
type byteSet [256]bool

// newByteSet returns a set of the bytes in printable and all bytes outside printable ASCII.
func newByteSet(printable string) *byteSet {
	var s byteSet
	for i := range s {
		s[i] = i <= ' ' || i > '~' || strings.IndexByte(printable, byte(i)) >= 0
	}
	return &s
}

// encode joins the parts of t, each percent-encoded as browsers do.
func (t *target) encode() string {
	var b strings.Builder
	b.Grow(len(t.scheme) + len(t.host) + len(t.port) + len(t.path) + len(t.query) + len(t.fragment))
	b.WriteString(t.scheme)
	b.WriteString(t.host)
	b.WriteString(t.port)
	writeEncoded(&b, t.path, encodedInPath)
	writeEncoded(&b, t.query, encodedInQuery)
	writeEncoded(&b, t.fragment, encodedInFragment)
	return b.String()
}

// EncodeQuery returns the query of a visit in a form that a target may contain: bytes that
// browsers encode in a query are percent-encoded. Most queries are returned unchanged.
func EncodeQuery(query string) string {
	var b strings.Builder
	writeEncoded(&b, query, encodedInQuery)
	return b.String()
}

// writeEncoded writes s with the bytes of set percent-encoded.
func writeEncoded(b *strings.Builder, s string, set *byteSet) {
	const hex = "0123456789ABCDEF"
	written := 0
	for i := range len(s) {
		c := s[i]
		if !set[c] {
			continue
		}
		b.WriteString(s[written:i])
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
		written = i + 1
	}
	b.WriteString(s[written:])
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isASCIIControl(c rune) bool { return c < ' ' || c == 0x7F }
