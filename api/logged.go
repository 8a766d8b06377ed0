package api

import "net/http"

// isLogged reports whether a visit is counted from the logs of a CDN or proxy, so that this server
// must not count it. The logs have each GET and HEAD through a trusted proxy or, with CDNHeader,
// through the CDN. This server counts each POST, such as the form for a password, because no cache
// answers a POST.
func (a *API) isLogged(r *http.Request) bool {
	if !a.opts.ClicksFromLogs || r.Method == http.MethodPost || !a.opts.Clients.FromProxy(r) {
		return false
	}
	return a.opts.CDNHeader == "" || r.Header[a.opts.CDNHeader] != nil
}
