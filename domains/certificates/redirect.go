package certificates

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/terse/terse/store"
)

// Challenges answers the challenges of the authority and the checks of other nodes, and passes
// other requests to next.
func (m *Manager) Challenges(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !m.opts.Hosts.Allowed(requestHost(r)):
			next.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, reachPath):
			m.reach.serve(w, r)
		case m.issuer.HandleHTTPChallenge(w, canonicalRequest(r)):
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// canonicalRequest returns r with its canonical host, so that all spellings of a host share one read
// of its challenge.
func canonicalRequest(r *http.Request) *http.Request {
	same := *r
	same.Host = requestHost(r)
	return &same
}

// RedirectOptions configure a Redirect.
type RedirectOptions struct {
	Base  *url.URL     // required: the https URL of the server
	Hosts Hosts        // required: these hosts are redirected to https
	App   http.Handler // required: answers other hosts, and below /.well-known/terse/

	// Default reports whether App serves the host of Base under this host, which is canonical.
	// Such a host is redirected to Base. Required.
	Default func(host string) bool
}

// Redirect returns the handler of HTTP beside HTTPS. It redirects requests for hosts with a
// certificate to HTTPS with status 308, which keeps the method. The redirects are not cached,
// because domains come and go.
func Redirect(opts RedirectOptions) http.Handler {
	port := ""
	if p := opts.Base.Port(); p != "" && p != "443" {
		port = ":" + p
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := requestHost(r)
		allowed := opts.Hosts.Allowed(host)
		if strings.HasPrefix(r.URL.Path, "/.well-known/terse/") || !allowed && !opts.Default(host) {
			opts.App.ServeHTTP(w, r)
			return
		}
		if !allowed {
			host = opts.Base.Hostname()
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		w.Header()["Location"] = []string{"https://" + host + port + target(r)}
		w.Header()["Cache-Control"] = []string{"no-store"}
		w.Header()["Content-Length"] = []string{"0"}
		w.WriteHeader(http.StatusPermanentRedirect)
	})
}

// target returns the path and query of a request as they were sent. It begins with a slash, also
// for a request line with a whole URL or with no path.
func target(r *http.Request) string {
	for _, text := range []string{r.RequestURI, r.URL.RequestURI()} {
		if strings.HasPrefix(text, "/") {
			return text
		}
	}
	return "/"
}

// requestHost returns the canonical host of a request, or "".
func requestHost(r *http.Request) string {
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	host, err := store.CanonicalHost(strings.Trim(name, "[]"))
	if err != nil {
		return ""
	}
	return host
}
