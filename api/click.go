package api

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/terse/terse/clicks"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/store"
)

// record records an answer that reveals the target of l. query is the query of the request without
// the parameter for QR codes.
func (a *API) record(r *http.Request, l *store.Link, to chosen, query string, prefetched, scanned bool, now time.Time) {
	if a.isLogged(r) {
		return
	}
	h := r.Header
	c := clicks.Click{
		Key: l.Code, At: now, Private: l.NoVisitors || asksForPrivacy(h),
		Request: visit.Request{
			Head: r.Method == http.MethodHead, Prefetch: prefetched, QR: scanned,
			UserAgent: first(h, "User-Agent"), Language: first(h, "Accept-Language"),
			Query: query, TargetQuery: queryOf(to.url), Rule: to.rule, Address: a.clientAddr(r),
		},
	}
	if r.Method != http.MethodPost { // the referrer of a POST is a page of this server
		c.Referrer = first(h, "Referer")
	}
	c.Country = a.countryHeader(r)
	a.opts.Clicks.Record(c)
}

// first returns the first value of a header. The name must be in canonical form.
func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// asksForPrivacy reports whether a client asks not to be tracked, by Global Privacy Control
// (https://w3c.github.io/gpc/) or by its older form DNT.
func asksForPrivacy(h http.Header) bool {
	return first(h, "Sec-Gpc") == "1" || first(h, "Dnt") == "1"
}

// queryOf returns the query of a valid target, without the question mark.
func queryOf(target string) string {
	_, query, found := strings.Cut(target, "?")
	if !found {
		return ""
	}
	query, _, _ = strings.Cut(query, "#")
	return query
}

// ParseHeaderName returns the name of a header in canonical form, or an empty text for an empty
// one.
func ParseHeaderName(name string) (string, error) {
	if name != "" && !httpguts.ValidHeaderFieldName(name) {
		return "", fmt.Errorf("%q must be the name of a header, such as CF-IPCountry", name)
	}
	return http.CanonicalHeaderKey(name), nil
}
