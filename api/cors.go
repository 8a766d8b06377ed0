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

// Methods and headers that pages of other origins may use. The Fetch standard always allows
// some more. Cookies are never allowed: a page sends a key itself.
const (
	corsMethods = "GET, HEAD, POST, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match"
	corsExposed = "ETag, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
	corsMaxAge  = "600" // seconds that a browser may cache a preflight
)

// ParseOrigins checks the origins that may call the API, and returns them unchanged.
// An origin is a scheme, a host and optionally a port, as browsers send it. "*" alone
// allows every origin. The error names every invalid origin.
func ParseOrigins(list []string) ([]string, error) {
	var problems []error
	for _, s := range list {
		if err := checkOrigin(s); err != nil && (s != anyOrigin || len(list) > 1) {
			problems = append(problems, err)
		}
	}
	return list, errors.Join(problems...)
}

// checkOrigin rejects a text that no browser sends as Origin. It also rejects "null",
// because any page can send it.
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

// crossOrigin allows pages of the configured origins to call the API, as the Fetch standard
// defines. It answers preflight requests, and returns true for them.
func (a *API) crossOrigin(w http.ResponseWriter, r *http.Request) (answered bool) {
	allowed := a.opts.CORSOrigins
	if len(allowed) == 0 {
		return false
	}
	h := w.Header()
	every := allowed[0] == anyOrigin
	if !every { // the answer depends on Origin, also when Origin is absent
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
