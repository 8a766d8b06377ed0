package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/access"
	"github.com/terse/terse/access/passkey"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// Routes of passkeys. A route that ends with options answers with the options for the browser, as JSON, and sets the cookie
// of the attempt.
const (
	passkeySignInRoute  = signInRoute + "/passkey"
	passkeysRoute       = sessionsScreen + "/passkeys"
	oneTimePasskeyRoute = oneTimeRoute + "/passkey"
	passkeyOptions      = "/options"
)

// passkeyLimit bounds the sign-ins with passkeys by one client. Each may cost queries of the shards.
var passkeyLimit = ratelimit.Limit{Count: 600, Window: time.Hour}

// newPasskeys returns the Checker of passkeys, or nil if browsers cannot have passkeys for the address of the console.
func newPasskeys(opts *Options) (*passkey.Checker, error) {
	console, err := url.Parse(opts.consoleURL())
	if err != nil || !passkey.Possible(console) {
		return nil, err
	}
	name := opts.SiteName
	if name == "" {
		name = "Terse"
	}
	return passkey.New(passkey.Options{Origin: opts.consoleURL(), Name: name})
}

// newPasskeyLimit bounds the passkeys that a member adds. The database keeps removed ones.
var newPasskeyLimit = ratelimit.Limit{Count: access.MaxPasskeys, Window: 24 * time.Hour}

// routePasskeys adds the routes of passkeys to the console.
func (a *API) routePasskeys(e *echo.Echo) {
	if a.passkeys == nil {
		return
	}
	e.POST(passkeySignInRoute, a.console(a.signInByPasskey))
	e.POST(passkeySignInRoute+passkeyOptions, a.console(a.passkeySignInOptions))
	e.POST(passkeysRoute, a.inSession(a.addPasskey))
	e.POST(passkeysRoute+passkeyOptions, a.inSession(a.passkeyOptions))
	e.POST(passkeysRoute+"/remove/:id", a.inSession(a.removePasskey))
	e.POST(oneTimePasskeyRoute, a.console(a.acceptWithPasskey))
	e.POST(oneTimePasskeyRoute+passkeyOptions, a.console(a.invitationOptions))
}

// writeOptions answers with options for the browser, and sets the cookie of the attempt.
func (a *API) writeOptions(c echo.Context, cookie string, options []byte, err error) error {
	if err != nil {
		return err
	}
	http.SetCookie(c.Response(), a.attemptCookie(cookie, access.AttemptLife))
	setNoStore(c.Response().Header())
	return c.Blob(http.StatusOK, "application/json", options)
}

// passkeySignInOptions answers with the options to sign in with any passkey.
func (a *API) passkeySignInOptions(c echo.Context) error {
	if err := a.sameOrigin(c); err != nil {
		return err
	}
	attempt, cookie := a.opts.Access.PasskeyAttempt("")
	options, err := a.passkeys.UseOptions(attempt.Challenge())
	return a.writeOptions(c, cookie, options, err)
}

// signInByPasskey signs in with a passkey.
func (a *API) signInByPasskey(c echo.Context) error {
	if err := a.sameOrigin(c); err != nil {
		return err
	}
	form, err := a.readForm(c, maxConsoleFormLen)
	if err != nil {
		return err
	}
	return a.admit(func(c echo.Context) error {
		r := c.Request()
		if taken := a.takeClient(r.Context(), "passkey", a.clientAddr(r), passkeyLimit, 1); taken.RetryAfter > 0 {
			return tooMany("You have signed in too often.", taken, rateHeaders("passkey", passkeyLimit, taken))
		}
		attempt, err := a.opts.Access.ResumePasskey(a.takeAttempt(c))
		if err != nil {
			return a.refusePasskey(c, err)
		}
		token, err := a.tokenOfPasskey(c, attempt, []byte(form.Get("passkey")))
		if err != nil {
			return a.refusePasskey(c, err)
		}
		return a.begin(c, token, form.Get("return_to"))
	})(c)
}

// tokenOfPasskey returns the token of a new session of the member whose passkey has signed the answer.
func (a *API) tokenOfPasskey(c echo.Context, attempt access.Attempt, text []byte) (string, error) {
	answer, err := passkey.Parse(text)
	if err != nil {
		return "", err
	}
	ctx, r := c.Request().Context(), c.Request()
	class, _ := classOf(r.Method, c.Path())
	k, err := a.keyOfHash(ctx, a.clientAddr(r), class, store.PasskeyHash(answer.ID))
	if errors.Is(err, store.ErrNotFound) || err == nil && k.Passkey == nil {
		err = access.ErrPasskey
	}
	if err != nil {
		return "", err
	}
	if err := a.passkeys.Check(answer, attempt.Challenge(), k.Passkey.Subject, k.Passkey.Credential); err != nil {
		return "", err
	}
	if taken := a.take(ctx, "sign-in:"+k.ID, signInLimit, 1); taken.Allowed == 0 {
		return "", tooMany("This passkey has signed in too often.", taken, rateHeaders("sign-in", signInLimit, taken))
	}
	return a.opts.Access.SignInByPasskey(ctx, attempt, k)
}

// refusePasskey answers a failed sign-in with a passkey with the form to sign in. It returns errors with another cause.
func (a *API) refusePasskey(c echo.Context, err error) error {
	reason := passkeyReason(err)
	if reason == "" {
		return err
	}
	a.opts.Logger.WarnContext(c.Request().Context(), "sign-in with a passkey refused", "err", err)
	a.showSignIn(c, http.StatusForbidden, web.SignIn{Error: reason})
	return nil
}

// passkeyReason returns the reason of a refused passkey for people, or an empty text for other errors.
func passkeyReason(err error) string {
	switch {
	case errors.Is(err, access.ErrPasskey):
		return "This passkey is unknown, was removed, or could not be checked."
	case errors.Is(err, access.ErrAttempt):
		return "This attempt did not begin in this browser, took longer than ten minutes, or was already used. Begin again."
	case errors.Is(err, access.ErrNoPasskeys):
		return "Only a member who was invited can have passkeys."
	case errors.Is(err, access.ErrTooManyPasskeys):
		return fmt.Sprintf("You have %d passkeys, which is the limit. Remove one first.", access.MaxPasskeys)
	}
	return ""
}

// passkeyProblem returns the problem for an error about the passkeys of a signed-in member, and other errors unchanged.
func passkeyProblem(err error) error {
	if reason := passkeyReason(err); reason != "" {
		return newProblem(http.StatusForbidden, reason)
	}
	if errors.Is(err, store.ErrNotFound) {
		return newProblem(http.StatusNotFound, "There is no such passkey. It was probably removed.")
	}
	return err
}

// passkeyOptions answers with the options to make a passkey of the visitor.
func (a *API) passkeyOptions(c echo.Context, s *session) error {
	own, err := a.opts.Access.Passkeys(c.Request().Context(), s.origin)
	if err != nil {
		return passkeyProblem(err)
	}
	credentials := make([][]byte, len(own))
	for i := range own {
		credentials[i] = own[i].Passkey.Credential
	}
	subject := s.origin.Member.Subject
	attempt, cookie := a.opts.Access.NewPasskeyAttempt(subject)
	options, err := a.passkeys.MakeOptions(attempt.Challenge(), subject, s.Key.Name, credentials)
	return a.writeOptions(c, cookie, options, err)
}

// addPasskey adds a passkey that the browser has made to the visitor's.
func (a *API) addPasskey(c echo.Context, s *session) error {
	attempt, subject, err := a.opts.Access.ResumeNewPasskey(a.takeAttempt(c))
	if err == nil {
		err = access.MayHavePasskeys(&s.origin)
	}
	if err == nil && subject != s.origin.Member.Subject {
		err = access.ErrAttempt
	}
	if err != nil {
		return passkeyProblem(err)
	}
	if taken := a.take(c.Request().Context(), "passkey:"+s.origin.ID, newPasskeyLimit, 1); taken.Allowed == 0 {
		return tooMany("You have added too many passkeys.", taken, rateHeaders("passkey", newPasskeyLimit, taken))
	}
	made, err := a.passkeys.Made(attempt.Challenge(), subject, []byte(s.form.Get("passkey")))
	if err != nil {
		return passkeyProblem(err)
	}
	made.Name = s.form.Get("name")
	if err := a.opts.Access.AddPasskey(c.Request().Context(), s.origin, attempt, made); err != nil {
		return passkeyProblem(err)
	}
	return c.Redirect(http.StatusSeeOther, sessionsScreen)
}

// removePasskey removes a passkey of the visitor.
func (a *API) removePasskey(c echo.Context, s *session) error {
	if err := a.opts.Access.RemovePasskey(c.Request().Context(), s.origin, c.Param("id")); err != nil {
		return passkeyProblem(err)
	}
	return c.Redirect(http.StatusSeeOther, sessionsScreen)
}

// invitationOptions answers with the options to make a passkey of the person who has an invitation.
func (a *API) invitationOptions(c echo.Context) error {
	if err := a.sameOrigin(c); err != nil {
		return err
	}
	hash, is := store.HashToken(c.Param("token"))
	if !is {
		return newProblem(http.StatusNotFound, "There is no such invitation.")
	}
	k, err := a.invitationOf(c, hash)
	if err != nil {
		return a.refuseLink(c, err)
	}
	subject := store.NewKeyID()
	attempt, cookie := a.opts.Access.NewPasskeyAttempt(subject)
	options, err := a.passkeys.MakeOptions(attempt.Challenge(), subject, k.Name, nil)
	return a.writeOptions(c, cookie, options, err)
}

// acceptWithPasskey makes the visitor with an invitation a member who signs in with a passkey.
func (a *API) acceptWithPasskey(c echo.Context) error {
	if err := a.sameOrigin(c); err != nil {
		return err
	}
	form, err := a.readForm(c, maxConsoleFormLen)
	if err != nil {
		return err
	}
	return a.admit(func(c echo.Context) error {
		attempt, subject, err := a.opts.Access.ResumeNewPasskey(a.takeAttempt(c))
		if err != nil {
			return a.refusePasskey(c, err)
		}
		made, err := a.passkeys.Made(attempt.Challenge(), subject, []byte(form.Get("passkey")))
		if err != nil {
			return a.refusePasskey(c, err)
		}
		token, err := a.opts.Access.AcceptWithPasskey(c.Request().Context(), c.Param("token"), attempt, subject, made)
		switch {
		case errors.Is(err, access.ErrLink):
			return a.refuseLink(c, err)
		case err != nil:
			return a.refusePasskey(c, err)
		}
		return a.begin(c, token, "")
	})(c)
}

// passkeyRows returns the passkeys of the visitor for the page of sessions. may is false if the visitor cannot have any.
func (a *API) passkeyRows(c echo.Context, s *session) (rows []web.PasskeyRow, may bool, err error) {
	if a.passkeys == nil || access.MayHavePasskeys(&s.origin) != nil {
		return nil, false, nil
	}
	own, err := a.opts.Access.Passkeys(c.Request().Context(), s.origin)
	for _, k := range own {
		rows = append(rows, web.PasskeyRow{ID: k.ID, Name: k.Name, CreatedAt: k.CreatedAt, LastUsedAt: k.LastUsedAt})
	}
	return rows, true, err
}
