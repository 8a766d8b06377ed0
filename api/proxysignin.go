package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/access"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// ProxySignIn signs in the people whom trusted proxies name in headers. The zero ProxySignIn is off.
type ProxySignIn struct {
	User   string         // header with the name of the person, in canonical form; empty: off
	Groups string         // header with the groups of the person, separated by commas or vertical bars; default none
	Grants []access.Grant // roles of the groups
}

// Limits of the headers, in bytes.
const (
	maxProxyUser   = 255 // as the subject of OpenID Connect Core 1.0, section 2
	maxProxyGroups = 8 << 10
)

// errProxyHeader rejects headers of a trusted proxy that do not name one person.
var errProxyHeader = errors.New("the headers of the proxy name no person")

// fromProxies is how pages name the trusted proxies.
const fromProxies = "the proxy"

// proxyUser returns the person whom a trusted proxy names, or an empty text. The error is errProxyHeader. A header
// from another peer is ignored.
func (a *API) proxyUser(r *http.Request) (string, error) {
	name := a.opts.ProxySignIn.User
	if name == "" || r.Header[name] == nil || !a.opts.Clients.FromProxy(r) {
		return "", nil
	}
	user, err := proxyHeader(r, name, maxProxyUser)
	if err == nil && strings.TrimSpace(user) == "" {
		err = fmt.Errorf("%w: %s is empty", errProxyHeader, name)
	}
	return user, err
}

// proxyGroups returns the groups of the person whom a trusted proxy names.
func (a *API) proxyGroups(r *http.Request) ([]string, error) {
	name := a.opts.ProxySignIn.Groups
	if name == "" || r.Header[name] == nil {
		return nil, nil
	}
	text, err := proxyHeader(r, name, maxProxyGroups)
	if err != nil {
		return nil, err
	}
	var groups []string
	for group := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '|' }) {
		groups = append(groups, strings.TrimSpace(group))
	}
	return groups, nil
}

// proxyHeader returns the value of a header that a trusted proxy has set. A second header of the same name may be
// from the visitor.
func proxyHeader(r *http.Request, name string, most int) (string, error) {
	values := r.Header[name]
	switch {
	case len(values) != 1:
		return "", fmt.Errorf("%w: the request has %d headers %s", errProxyHeader, len(values), name)
	case len(values[0]) > most:
		return "", fmt.Errorf("%w: %s has more than %d bytes", errProxyHeader, name, most)
	}
	if err := store.CheckText(name, values[0], most); err != nil {
		return "", fmt.Errorf("%w: %w", errProxyHeader, err)
	}
	return values[0], nil
}

// countUntrusted counts and logs a header with a person from a peer that is no trusted proxy.
func (a *API) countUntrusted(r *http.Request) {
	name := a.opts.ProxySignIn.User
	if name == "" || r.Header[name] == nil || a.opts.Clients.FromProxy(r) {
		return
	}
	a.metrics.untrustedSignIns.Inc()
	if a.untrusted.due(a.opts.Clock.Now()) {
		a.opts.Logger.WarnContext(r.Context(), "sign-in header ignored: the peer is not a trusted proxy", "header", name, "peer", r.RemoteAddr)
	}
}

// signInByProxy signs in the person whom a trusted proxy names.
func (a *API) signInByProxy(c echo.Context, user, returnTo string) error {
	return a.admit(func(c echo.Context) error {
		r := c.Request()
		groups, err := a.proxyGroups(r)
		if err != nil {
			return a.refusePerson(c, fromProxies, err)
		}
		if taken := a.take(r.Context(), "sign-in:proxy:"+user, signInLimit, 1); taken.Allowed == 0 {
			return tooMany("You have signed in too often.", taken, rateHeaders("sign-in", signInLimit, taken))
		}
		token, err := a.opts.Access.SignInByProxy(r.Context(), access.Person{
			Subject: user, Name: access.NameOf(user), Roles: access.RolesOf(a.opts.ProxySignIn.Grants, groups),
		})
		if err != nil {
			return a.refusePerson(c, fromProxies, err)
		}
		return a.begin(c, token, returnTo)
	})(c)
}

// offerProxy adds the person whom a trusted proxy names to the page to sign in.
func (a *API) offerProxy(r *http.Request, v *web.SignIn) {
	a.countUntrusted(r)
	user, err := a.proxyUser(r)
	if err != nil || user == "" {
		return
	}
	returnTo := v.ReturnTo
	if returnTo == "" {
		returnTo = linksScreen
	}
	v.Person, v.PersonPath = user, signInRoute+"?"+url.Values{"return_to": {returnTo}}.Encode()
}

// namedByProxy reports whether a session of m may be used. The session of a person whom a trusted proxy has named is
// valid only while the proxy names the same person: the person may have signed out there.
func (a *API) namedByProxy(r *http.Request, m *store.Member) bool {
	if m == nil || m.Issuer != access.ProxyIssuer {
		return true
	}
	user, err := a.proxyUser(r)
	return err == nil && user == m.Subject
}
