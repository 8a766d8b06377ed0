package api

import (
	"net/url"
	"strings"

	"github.com/terse/terse/store"
)

// target returns where the link sends a visitor who came with rawQuery. The
// bytes and the order of the target's own query are kept.
func target(l *store.Link, rawQuery string) string {
	if l.ForwardQuery == store.ForwardOff || rawQuery == "" {
		return l.URL
	}
	visit := asciiQuery(rawQuery)
	before, fragment, hasFragment := strings.Cut(l.URL, "#")
	path, own, hasQuery := strings.Cut(before, "?")
	if !hasQuery {
		path = before
	}
	if l.ForwardQuery == store.ForwardOverride {
		own = withoutNames(own, visit)
	}
	out := path + "?" + own
	if own != "" {
		out += "&"
	}
	out += visit
	if hasFragment {
		out += "#" + fragment
	}
	if len(out) > store.MaxURLLen {
		return l.URL
	}
	return out
}

// withoutNames drops from query the parameters whose name other has too.
func withoutNames(query, other string) string {
	names := map[string]bool{}
	for p := range strings.SplitSeq(other, "&") {
		names[parameterName(p)] = true
	}
	var kept []string
	for p := range strings.SplitSeq(query, "&") {
		if p != "" && !names[parameterName(p)] {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, "&")
}

// parameterName returns the decoded name of a name=value pair.
func parameterName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	if decoded, err := url.QueryUnescape(name); err == nil {
		return decoded
	}
	return name
}

// asciiQuery percent-encodes the bytes of a visitor's query that may not stand
// in a Location, as a browser would (WHATWG URL, special-query percent-encode set).
func asciiQuery(q string) string {
	const upperHex = "0123456789ABCDEF"
	plain := func(c byte) bool {
		return c > ' ' && c < 0x7f && c != '"' && c != '#' && c != '<' && c != '>' && c != '\''
	}
	clean := true
	for i := range len(q) {
		clean = clean && plain(q[i])
	}
	if clean {
		return q
	}
	var b strings.Builder
	for i := range len(q) {
		if c := q[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}
