package testenv

import "net/http"

// Browser is the User-Agent of a browser. Visits with it are clicks of people.
const Browser = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"

// AsBrowser returns a RoundTripper that sends requests without a User-Agent with that of a
// browser.
func AsBrowser(to http.RoundTripper) http.RoundTripper { return asBrowser{to} }

type asBrowser struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b asBrowser) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, named := r.Header["User-Agent"]; !named {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", Browser)
	}
	return b.RoundTripper.RoundTrip(r)
}

// CloseIdleConnections closes the idle connections of the RoundTripper, as http.Client expects.
func (b asBrowser) CloseIdleConnections() {
	if c, ok := b.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
