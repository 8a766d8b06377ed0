package api

import (
	"net/url"
	"strings"

	"github.com/terse/terse/store"
)

// target returns where the link sends a visitor who came with rawQuery. The
// bytes and the order of the target's own query are kept. A result that is longer
// than a target may be is given up for the target alone.
func target(l *store.Link, rawQuery string) string {
	if l.ForwardQuery == store.ForwardOff || rawQuery == "" {
		return l.URL
	}
	visit := store.EncodeQuery(rawQuery)
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
