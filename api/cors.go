package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// anyOrigin stands for every origin in Options.CORSOrigins.
const anyOrigin = "*"

// What pages of other origins may send and read, beyond what the Fetch standard allows
// them anyway. Credentials of the browser are never among it: a key is sent by the page.
const (
	corsMethods = "GET, HEAD, POST, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match"
	corsExposed = "ETag, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
	corsMaxAge  = "600" // seconds; browsers cap it at two hours and less
)

// ParseOrigins reads the origins whose pages may call the API: each a scheme and a
// host, with a port unless it is the scheme's own, as browsers send them, or "*" alone
// for all. The error holds everything wrong with them.
func ParseOrigins(list []string) ([]string, error) {
	var problems []error
	for _, s := range list {
		if err := checkOrigin(s); err != nil && (s != anyOrigin || len(list) > 1) {
			problems = append(problems, err)
		}
	}
	return list, errors.Join(problems...)
}

// checkOrigin refuses what no browser sends as an Origin, and "null", which any page
// can make its own.
func checkOrigin(s string) error {
	if s == anyOrigin {
		return fmt.Errorf("%q must stand alone", s)
	}
	u, err := ParseBaseURL(s)
	if err != nil {
		return fmt.Errorf("%q must be an origin such as https://app.example, or * alone", s)
	}
	if sent := originOf(u); sent != s {
		return fmt.Errorf("%q must be written as browsers send it: %s", s, sent)
	}
	return nil
}

// originOf returns the origin of a URL as browsers send it (RFC 6454 section 6.2).
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if isSchemePort(u) {
		host = strings.TrimSuffix(host, ":"+u.Port())
	}
	return u.Scheme + "://" + host
}

// crossOrigin lets pages of the allowed origins call the API, by the Fetch standard. It
// reports whether the request was a preflight and is answered.
func (a *API) crossOrigin(w http.ResponseWriter, r *http.Request) (answered bool) {
	allowed := a.opts.CORSOrigins
	if len(allowed) == 0 {
		return false
	}
	h := w.Header()
	every := allowed[0] == anyOrigin
	if !every { // answers differ, also to those who send none
		h.Add("Vary", "Origin")
	}
	origin := r.Header.Get("Origin")
	if origin == "" || !every && !slices.Contains(allowed, origin) {
		return false
	}
	if every {
		origin = anyOrigin
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", corsExposed)
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsHeaders)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	w.WriteHeader(http.StatusNoContent)
	a.metrics.unrouted.count(http.StatusNoContent)
	return true
}
