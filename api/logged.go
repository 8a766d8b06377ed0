package api

import "net/http"

// isLogged reports whether the logs of a CDN or proxy count a visit, so that this server must not
// count it. They have each GET and HEAD that came through a trusted proxy or, with CDNHeader, through
// the CDN. A POST, such as the form for a password, is never in a cache, and this server counts it.
func (a *API) isLogged(r *http.Request) bool {
	if !a.opts.ClicksFromLogs || r.Method == http.MethodPost || !a.opts.Clients.FromProxy(r) {
		return false
	}
	return a.opts.CDNHeader == "" || r.Header[a.opts.CDNHeader] != nil
}
