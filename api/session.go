package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/access"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// Names of the cookie with the token of a session. Browsers accept the prefix __Host- only over
// https. It keeps other hosts of the same domain from setting the cookie
// (draft-ietf-httpbis-rfc6265bis section 4.1.3.2).
const (
	cookieName     = "__Host-terse"
	httpCookieName = "terse_session"
)

// signInLimit bounds the sessions of one API key.
var signInLimit = ratelimit.Limit{Count: 60, Window: time.Hour}

// session is a signed-in visitor.
type session struct {
	*caller
	origin store.Key  // the API key or the member that signed in; zero after a one-time link
	form   url.Values // of a POST
}

// viewer returns what pages show about the visitor.
func (s *session) viewer() web.Viewer {
	may := func(scope store.Scope) bool { return s.Require(scope) == nil }
	return web.Viewer{
		Name: s.Key.Name, Workspace: s.Owner(), Writes: may(store.ScopeLinksWrite), Counts: may(store.ScopeStatsRead), Domains: may(store.ScopeDomainsRead), Hosts: may(store.ScopeDomainsWrite),
		Manages: may(store.ScopeWorkspaceWrite), Admin: may(store.ScopeAdmin),
	}
}

// cookie returns the cookie of sessions. It is secure unless the base URL is http.
func (a *API) cookie(token string, life time.Duration) *http.Cookie {
	c := &http.Cookie{ //nolint:gosec // secure except over http
		Name: httpCookieName, Value: token, Path: "/", MaxAge: int(life / time.Second), Secure: a.scheme == "https",
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if c.Secure {
		c.Name = cookieName
	}
	return c
}

// sessionOf returns the session of a request. The error is store.ErrNotFound without a live session.
func (a *API) sessionOf(c echo.Context) (*session, error) {
	r := c.Request()
	cookie, err := r.Cookie(a.cookie("", 0).Name)
	if err != nil {
		return nil, store.ErrNotFound
	}
	hash, ok := store.HashToken(cookie.Value)
	if !ok {
		return nil, store.ErrNotFound
	}
	class, _ := classOf(r.Method, c.Path())
	addr := a.clientAddr(r)
	k, err := a.keyOfHash(r.Context(), addr, class, hash)
	if err == nil && k.Session == nil {
		err = store.ErrNotFound
	}
	var origin store.Key
	if err == nil && k.Session.Key != store.AuthorAdmin {
		origin, err = a.keyOfHash(r.Context(), addr, class, k.Session.Hash)
		if err == nil && (origin.ID != k.Session.Key || !origin.SignsIn() || !a.namedByProxy(r, origin.Member)) {
			err = store.ErrNotFound
		}
	}
	if err != nil {
		return nil, err
	}
	return &session{caller: a.newCaller(addr, &k), origin: origin}, nil
}

// begin begins a new session, and opens the page that the visitor wanted.
func (a *API) begin(c echo.Context, token, returnTo string) error {
	a.change(c, token)
	return c.Redirect(http.StatusSeeOther, safePath(returnTo))
}

// change sets the cookie of a new session, and ends the one before. It only logs that it cannot end that one: the new
// session may be from a link that works once.
func (a *API) change(c echo.Context, token string) {
	http.SetCookie(c.Response(), a.cookie(token, store.SessionLife))
	ctx := c.Request().Context()
	before, err := a.sessionOf(c)
	if err == nil {
		err = a.opts.Access.SignOut(ctx, before.Key)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		a.opts.Logger.WarnContext(ctx, "session before the sign-in not ended", "err", err)
	}
}

// maxReturnTo is the longest address of a page to open after the sign-in, in bytes. The cookie of a sign-in at an identity
// provider contains it, and browsers ignore cookies over 4096 bytes.
const maxReturnTo = 2000

// safePath returns address if it is a page of the console of at most maxReturnTo bytes, else the list of links.
func safePath(address string) string {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxReturnTo || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(address, web.ConsolePath) ||
		strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }) ||
		strings.TrimSuffix(u.Path, "/") != path.Clean(u.Path) || strings.HasPrefix(u.Path, shareStart) {
		return linksScreen
	}
	return address
}

// showSignIn shows the form to sign in, the identity providers, and the person whom a trusted proxy names.
func (a *API) showSignIn(c echo.Context, status int, v web.SignIn) {
	a.offerProxy(c.Request(), &v)
	v.Passkeys = a.passkeys != nil
	for _, p := range a.opts.Providers {
		path := ProviderPath(p.Name())
		if v.ReturnTo != "" {
			path += "?" + url.Values{"return_to": {v.ReturnTo}}.Encode()
		}
		v.Providers = append(v.Providers, web.Provider{Name: p.Name(), Path: path})
	}
	a.pages.SignIn(c.Response(), status, v)
}

// signInPage shows the form to sign in. With return_to, it signs in a person whom a trusted proxy names at once. The
// page after a sign-out has no return_to, so it shows the form.
func (a *API) signInPage(c echo.Context) error {
	returnTo := c.QueryParam("return_to")
	_, err := a.sessionOf(c)
	switch {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, safePath(returnTo))
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	user, err := a.proxyUser(c.Request())
	switch {
	case err != nil:
		return a.refusePerson(c, fromProxies, err)
	case user != "" && returnTo != "" && c.Request().Method == http.MethodGet:
		return a.signInByProxy(c, user, returnTo)
	}
	a.showSignIn(c, http.StatusOK, web.SignIn{ReturnTo: returnTo})
	return nil
}

// signIn signs in with an API key, or with the sign-in key of a member.
func (a *API) signIn(c echo.Context) error {
	if err := a.sameOrigin(c); err != nil {
		return err
	}
	form, err := a.readForm(c, maxPasswordFormLen)
	if err != nil {
		return err
	}
	return a.admit(func(c echo.Context) error {
		shown := web.SignIn{ReturnTo: form.Get("return_to")}
		token, err := a.signInWith(c, strings.TrimSpace(form.Get("key")))
		if refused, is := errors.AsType[*problem](err); is && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusTooManyRequests) {
			refused.setHeaders(c.Response().Header())
			shown.Error, shown.RetryAfter = refused.Detail, refused.retryAfter
			a.showSignIn(c, refused.Status, shown)
			return nil
		}
		if err != nil {
			return err
		}
		return a.begin(c, token, shown.ReturnTo)
	})(c)
}

// signInWith returns the token of a new session of an API key or a member.
func (a *API) signInWith(c echo.Context, key string) (string, error) {
	hash, ok := store.HashToken(key)
	if !ok {
		return "", newProblem(http.StatusUnauthorized, "This is not a complete key. A key begins with tk_.")
	}
	refused := newProblem(http.StatusUnauthorized, "This key is unknown, revoked or expired.")
	ctx, r := c.Request().Context(), c.Request()
	class, _ := classOf(r.Method, c.Path())
	k, err := a.keyOfHash(ctx, a.clientAddr(r), class, hash)
	if errors.Is(err, store.ErrNotFound) { // a member whose role has changed signs in with the revoked key of the first role
		if k, err = a.keyByHash(ctx, a.clientAddr(r), class, hash); err == nil && k.Member == nil {
			err = store.ErrNotFound
		}
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && !k.SignsIn() {
		return "", refused
	}
	if err != nil {
		return "", err
	}
	if taken := a.take(ctx, "sign-in:"+k.ID, signInLimit, 1); taken.Allowed == 0 {
		return "", tooMany("This key has signed in too often.", taken, rateHeaders("sign-in", signInLimit, taken))
	}
	token, err := a.opts.Access.SignIn(ctx, k)
	if errors.Is(err, store.ErrNotFound) {
		err = refused
	}
	return token, err
}

// oneTimePage shows the button of a one-time link or of an invitation. Only the POST uses the link, because
// programs that preview links read it too.
func (a *API) oneTimePage(c echo.Context) error {
	if hash, is := store.HashToken(c.Param("token")); is {
		k, err := a.invitationOf(c, hash)
		if err != nil {
			return a.refuseLink(c, err)
		}
		a.pages.Invitation(c.Response(), http.StatusOK, web.Invitation{Name: k.Name, Workspace: k.Workspace, Role: string(k.Member.Role), Passkeys: a.passkeys != nil, PasskeyPath: OneTimePath(url.PathEscape(c.Param("token"))) + "/passkey"})
		return nil
	}
	if err := a.opts.Access.CheckLink(c.Param("token")); err != nil {
		return a.refuseLink(c, err)
	}
	a.pages.OneTimeLink(c.Response(), http.StatusOK)
	return nil
}

// invitationOf returns the invitation with a digest of its token, or access.ErrLink.
func (a *API) invitationOf(c echo.Context, hash [sha256.Size]byte) (store.Key, error) {
	r := c.Request()
	class, _ := classOf(r.Method, c.Path())
	k, err := a.keyOfHash(r.Context(), a.clientAddr(r), class, hash)
	if errors.Is(err, store.ErrNotFound) || err == nil && (k.Member == nil || !k.Member.Invites()) {
		err = access.ErrLink
	}
	return k, err
}

// accept makes the visitor with an invitation a member, and shows the sign-in key of the member.
func (a *API) accept(c echo.Context, hash [sha256.Size]byte) error {
	k, err := a.invitationOf(c, hash)
	if err != nil {
		return a.refuseLink(c, err)
	}
	key, session, err := a.opts.Access.Accept(c.Request().Context(), c.Param("token"))
	switch {
	case err == nil:
		a.change(c, session)
	case key == "":
		return a.refuseLink(c, err)
	default: // the visitor has joined, and signs in with the key
		a.opts.Logger.WarnContext(c.Request().Context(), "no session for a new member", "err", err)
	}
	a.pages.Welcome(c.Response(), http.StatusOK, web.Welcome{Name: k.Name, Workspace: k.Workspace, Key: key})
	return nil
}

// redeem signs in by a one-time link or an invitation.
func (a *API) redeem(c echo.Context) error {
	if err := a.sameOrigin(c); err != nil {
		return err
	}
	return a.admit(func(c echo.Context) error {
		if hash, is := store.HashToken(c.Param("token")); is {
			return a.accept(c, hash)
		}
		token, err := a.opts.Access.Redeem(c.Request().Context(), c.Param("token"))
		if err != nil {
			return a.refuseLink(c, err)
		}
		return a.begin(c, token, "")
	})(c)
}

// refuseLink answers a one-time link or an invitation that does not sign in. It returns other errors than
// access.ErrLink.
func (a *API) refuseLink(c echo.Context, err error) error {
	if !errors.Is(err, access.ErrLink) {
		return err
	}
	a.showSignIn(c, http.StatusGone, web.SignIn{
		Error: "This link was used, or is no longer valid. Ask the sender of an invitation for another one. An administrator makes a link with terse sign-in on the server.",
	})
	return nil
}

// signOut ends the session. It does not send Clear-Site-Data: "cookies", which would delete cookies of
// other hosts of the domain.
func (a *API) signOut(c echo.Context, s *session) error {
	http.SetCookie(c.Response(), a.cookie("", -time.Second))
	c.Response().Header().Set("Clear-Site-Data", `"cache"`)
	if err := a.opts.Access.SignOut(c.Request().Context(), s.Key); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, signInRoute)
}

// sameOrigin returns a 403 for a form of another website.
func (a *API) sameOrigin(c echo.Context) error {
	if err := a.consoleForms.Check(c.Request()); err != nil {
		return newProblem(http.StatusForbidden, "The form was sent from another website.")
	}
	return nil
}

// inSession calls h with the session of the request, and shows its errors. A POST must come from a page
// of this server; its form is read before h. Without a session, a GET leads to the form to sign in.
func (a *API) inSession(h func(c echo.Context, s *session) error) echo.HandlerFunc {
	return a.console(func(c echo.Context) error {
		r := c.Request()
		posted := r.Method == http.MethodPost
		if posted {
			if err := a.sameOrigin(c); err != nil {
				return err
			}
		}
		s, err := a.sessionOf(c)
		switch {
		case errors.Is(err, store.ErrNotFound) && posted:
			leaveBody(c)
			a.showSignIn(c, http.StatusUnauthorized, web.SignIn{Error: "Your session has ended, so nothing was changed."})
			return nil
		case errors.Is(err, store.ErrNotFound):
			return c.Redirect(http.StatusSeeOther, signInRoute+"?"+url.Values{"return_to": {r.URL.RequestURI()}}.Encode())
		case err != nil:
			return err
		}
		if posted && r.ContentLength != 0 {
			if uploads(c.Path()) {
				var free func()
				s.form, free, err = a.readUpload(c)
				defer free()
			} else {
				s.form, err = a.readForm(c, maxConsoleFormLen)
			}
			if err == nil {
				err = once(s.form)
			}
			if err != nil {
				return a.screenError(c, s, err)
			}
		}
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), callerKey{}, s.caller)))
		if err := wholeQuery(a.admit(func(c echo.Context) error { return h(c, s) }))(c); err != nil {
			return a.screenError(c, s, err)
		}
		return nil
	})
}

// once returns a 422 for a field that a form has twice. The second value would be ignored.
func once(f url.Values) error {
	var twice []error
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if len(f[name]) > 1 && name != "link" && name != "scopes" { // lists
			twice = append(twice, &store.FieldError{Field: name, Reason: "must not appear twice"})
		}
	}
	return store.JoinInvalid(twice...)
}

// console is the middleware of all pages of the console.
func (a *API) console(h echo.HandlerFunc) echo.HandlerFunc {
	return a.page(func(c echo.Context) error {
		a.setPolicy(c.Response().Header(), policyShared)
		if err := h(c); err != nil {
			return a.answer(c, policyShared, a.problem(a.identified(c), err))
		}
		return nil
	})
}

// screenError shows an error to a signed-in visitor.
func (a *API) screenError(c echo.Context, s *session, err error) error {
	p := a.problem(a.identified(c), err)
	shown := web.Problem{Detail: p.Detail, RetryAfter: p.retryAfter}
	if lacks, is := errors.AsType[*links.ScopeError](err); is {
		shown.Detail = "You need the scope " + string(lacks.Scope) + ". Your role or API key does not have it."
	}
	for _, e := range p.Errors {
		shown.Detail += " " + strings.TrimPrefix(strings.TrimPrefix(e.Location, "body."), "query.") + " " + e.Message + "."
	}
	p.setHeaders(c.Response().Header())
	a.pages.ConsoleError(c.Response(), p.Status, s.viewer(), shown)
	return nil
}
