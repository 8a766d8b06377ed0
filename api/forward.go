package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/terse/terse/store"
)

// forwarded returns the Location for a visit with the query rawQuery. to is a target of l, and rest the
// path to add, see restOf. The target's own query keeps its bytes and order. If the result would be longer
// than store.MaxURLLen, the query of the visit is dropped. If it is too long without the query, the error
// is a *problem.
func forwarded(l *store.Link, to, rest, rawQuery string) (string, error) {
	to = store.JoinPath(to, rest)
	if len(to) > store.MaxURLLen && rest != "" {
		return "", errLongTarget()
	}
	return withQuery(l, to, rawQuery), nil
}

func errLongTarget() error {
	return newProblem(http.StatusRequestURITooLong, "The target with this path is too long.")
}

// withQuery adds the query of a visit to a target of l.
func withQuery(l *store.Link, to, rawQuery string) string {
	if l.ForwardQuery == store.ForwardOff || rawQuery == "" {
		return to
	}
	visit := store.EncodeQuery(rawQuery)
	before, fragment, hasFragment := strings.Cut(to, "#")
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
		return to
	}
	return out
}

// withoutNames removes the parameters from query that other has too, by decoded name.
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
