package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/access"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// Provider is an identity provider. Both methods return access.ErrProvider if the provider does not answer.
type Provider interface {
	// Name returns the name in paths and on pages, see store.ValidCode.
	Name() string

	// URL returns the address at the provider where a person signs in.
	URL(ctx context.Context, a access.Attempt) (string, error)

	// Person returns the person whom the provider identified by a code. issuer is the parameter iss of
	// the answer, which may be empty. It also returns access.ErrAnswer and access.ErrTooManyGroups.
	Person(ctx context.Context, a access.Attempt, code, issuer string) (access.Person, error)
}

// providerRoute leads to an identity provider. The provider sends the person to the path below it.
const providerRoute = web.ConsolePath + "with/:provider"

// ProviderPath returns the path that leads to an identity provider.
func ProviderPath(name string) string {
	return strings.TrimSuffix(providerRoute, ":provider") + url.PathEscape(name)
}

// ProviderBackPath returns the path to which the identity provider sends people.
func ProviderBackPath(name string) string { return ProviderPath(name) + "/back" }

// Names of the cookie of a sign-in at an identity provider, as for sessions.
const (
	attemptCookieName     = "__Host-terse-signin"
	httpAttemptCookieName = "terse_signin"
)

// answerLimit bounds the answers of identity providers that one client brings. Each costs requests to the
// provider.
var answerLimit = ratelimit.Limit{Count: 600, Window: time.Hour}

// attemptCookie returns the cookie of a sign-in at an identity provider.
func (a *API) attemptCookie(value string, life time.Duration) *http.Cookie {
	c := a.cookie(value, life) //nolint:gosec // has all attributes
	if c.Name = httpAttemptCookieName; c.Secure {
		c.Name = attemptCookieName
	}
	return c
}

// providerOf returns the provider in the path of a request, or a 404.
func (a *API) providerOf(c echo.Context) (Provider, error) {
	i := slices.IndexFunc(a.opts.Providers, func(p Provider) bool { return p.Name() == c.Param("provider") })
	if i < 0 {
		return nil, newProblem(http.StatusNotFound, "There is no such identity provider.")
	}
	return a.opts.Providers[i], nil
}

// toProvider leads to an identity provider.
func (a *API) toProvider(c echo.Context) error {
	p, err := a.providerOf(c)
	if err != nil {
		return err
	}
	attempt, cookie := a.opts.Access.Attempt(p.Name(), safePath(c.QueryParam("return_to")))
	address, err := p.URL(c.Request().Context(), attempt)
	if err != nil {
		return a.refusePerson(c, p.Name(), err)
	}
	http.SetCookie(c.Response(), a.attemptCookie(cookie, access.AttemptLife))
	return c.Redirect(http.StatusSeeOther, address)
}

// fromProvider signs in a person whom an identity provider has sent back.
func (a *API) fromProvider(c echo.Context) error {
	p, err := a.providerOf(c)
	if err != nil {
		return err
	}
	q := c.QueryParams()
	attempt, err := a.opts.Access.Resume(a.takeAttempt(c), p.Name(), q.Get("state"))
	if err != nil {
		return a.refusePerson(c, p.Name(), err)
	}
	return a.admit(func(c echo.Context) error {
		r := c.Request()
		if q.Get("error") != "" || q.Get("code") == "" {
			return a.refusePerson(c, p.Name(), errorOf(q))
		}
		if taken := a.takeClient(r.Context(), "provider", a.clientAddr(r), answerLimit, 1); taken.RetryAfter > 0 {
			return tooMany("You have signed in too often.", taken, rateHeaders("provider", answerLimit, taken))
		}
		person, err := p.Person(r.Context(), attempt, q.Get("code"), q.Get("iss"))
		if err != nil {
			return a.refusePerson(c, p.Name(), err)
		}
		token, err := a.opts.Access.SignInPerson(r.Context(), attempt, person)
		if err != nil {
			return a.refusePerson(c, p.Name(), err)
		}
		return a.begin(c, token, attempt.ReturnTo)
	})(c)
}

// takeAttempt returns the cookie of an attempt, and deletes it in the browser.
func (a *API) takeAttempt(c echo.Context) (value string) {
	if cookie, err := c.Request().Cookie(a.attemptCookie("", 0).Name); err == nil {
		value = cookie.Value
	}
	http.SetCookie(c.Response(), a.attemptCookie("", -time.Second))
	return value
}

// errorOf returns the error of an answer without a code, with the reason of the provider (RFC 6749 section
// 4.1.2.1).
func errorOf(q url.Values) error {
	name, err := q.Get("error"), access.ErrAnswer
	if name == "server_error" || name == "temporarily_unavailable" {
		err = access.ErrProvider
	}
	return fmt.Errorf("%w: error %.100q, error_description %.300q", err, name, q.Get("error_description"))
}

// refusePerson answers a failed sign-in at an identity provider, or by a trusted proxy, with the form to sign in. It
// returns errors that have another cause, such as an outage of the store.
func (a *API) refusePerson(c echo.Context, name string, err error) error {
	status, reason := http.StatusForbidden, ""
	switch {
	case errors.Is(err, access.ErrProvider):
		status, reason = http.StatusServiceUnavailable, name+" does not answer. Try again in a moment, or sign in with a key."
	case errors.Is(err, access.ErrAttempt):
		reason = "This sign-in was not begun in this browser, took longer than ten minutes, or was used before. Begin again."
	case errors.Is(err, access.ErrAnswer):
		reason = name + " did not confirm who you are. Begin again. If it happens again, ask your administrator."
	case errors.Is(err, access.ErrTooManyGroups):
		reason = name + " does not send your groups, because you are in too many. Ask your administrator to use roles of the application instead."
	case errors.Is(err, errProxyHeader):
		reason = "The proxy in front of this server does not say who you are. Ask your administrator."
	case errors.Is(err, access.ErrNoRole):
		reason = "None of your groups at " + name + " gives access. Ask your administrator to add you to a group."
	case errors.Is(err, access.ErrChanged), errors.Is(err, store.ErrNotFound):
		reason = "Your roles have just changed. Begin again."
	default:
		return err
	}
	a.opts.Logger.WarnContext(c.Request().Context(), "sign-in refused", "provider", name, "err", err)
	a.showSignIn(c, status, web.SignIn{Error: reason})
	return nil
}
