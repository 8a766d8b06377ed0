package api

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// maxPasswordFormLen is the longest password form in bytes.
const maxPasswordFormLen = 4 << 10

// hashLimit bounds the passwords of one client, over all links and calls. All clients share
// the few places where passwords are hashed.
var hashLimit = ratelimit.Limit{Count: 30, Window: 10 * time.Second}

// takeHash counts one password of a client. It returns a 429 if the limit is reached.
func (a *API) takeHash(ctx context.Context, who *caller) error {
	var taken ratelimit.Result
	if who.Key == nil {
		taken = a.takeClient(ctx, "hash", who.addr, hashLimit, 1)
	} else {
		taken = a.take(ctx, "hash:"+who.Key.Author(), hashLimit, 1)
	}
	if taken.Allowed == 0 {
		return tooMany("You sent too many passwords in a short time.", taken, rateHeaders("hash", hashLimit, taken))
	}
	return nil
}

// TakePassword implements links.Quota.
func (c *caller) TakePassword(ctx context.Context) error { return c.api.takeHash(ctx, c) }

// askPassword shows the page that asks for a link's password. HEAD gets the same answer as
// GET, because the page does not contain the target.
func (a *API) askPassword(c echo.Context, status int, shown web.Password) error {
	a.setPolicy(c.Response().Header(), policyNever)
	a.pagesOf(c).Password(c.Response(), status, shown)
	return nil
}

// unlock handles POST to /{code}: the forms of the password page, of the page that asks to
// confirm, and of the preview of a link with a click limit.
func (a *API) unlock(c echo.Context) error {
	r := c.Request()
	if previewed, ok := cutPlus(r.URL.Path[1:]); ok {
		return a.report(c, previewed)
	}
	if err := a.visitorForms.Check(r); err != nil {
		return a.answer(c, policyError, newProblem(http.StatusForbidden, "The form was sent from another website."))
	}
	var form url.Values
	if r.ContentLength != 0 {
		var err error
		if form, err = a.readForm(c, maxPasswordFormLen); err != nil {
			return a.fail(c, err)
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), visitTimeout)
	defer cancel()
	l, err := a.resolveVisit(ctx, c)
	if err != nil {
		return a.visitError(c, r.URL.Path[1:], err)
	}
	state, now, err := a.state(&l)
	if err != nil {
		return a.visitError(c, l.BareCode(), err)
	}
	if state != store.Live {
		return a.notLive(c, &l, state, now)
	}
	if l.PasswordHash == "" {
		return a.send(c, &l, now)
	}
	g, err := a.guess(ctx, r, l.Code, l.PasswordHash, form.Get("password"))
	g.limits.set(c.Response().Header())
	switch {
	case err != nil:
		return a.fail(c, err)
	case g.wait > 0:
		c.Response().Header().Set("Retry-After", retryAfter(g.wait))
		return a.askPassword(c, http.StatusTooManyRequests, web.Password{
			Code: l.BareCode(), Error: "Too many wrong passwords.", RetryAfter: g.wait,
		})
	case !g.right:
		return a.askPassword(c, http.StatusForbidden, web.Password{Code: l.BareCode(), Error: "That is not the password of this link."})
	}
	return a.send(c, &l, now)
}

// Multiples of the limit of one client: wrong passwords of a link from all clients, and from
// one network. When all clients reach the first, passwords of the link are checked one at a time.
// They are not rejected: a visitor with the right password must get through. An attacker with a
// /48 network reaches the second.
const (
	linkGuesses    = 10
	networkGuesses = 4
)

// guessed is the result of a guess.
type guessed struct {
	right  bool
	wait   time.Duration // until the next guess is allowed; 0 if this guess was checked
	limits RateHeaders
}

// guess checks a password of a link or a shared page with its bcrypt hash. Guesses with the same name
// are counted together. Only wrong passwords count against the limit of guesses. One of
// the few hashing places is held from the check of the limit to the count. Concurrent guesses
// can therefore exceed the limit by at most the number of places minus 1.
func (a *API) guess(ctx context.Context, r *http.Request, name, hash, password string) (guessed, error) {
	who := a.newCaller(a.clientAddr(r), nil)
	if err := a.takeHash(ctx, who); err != nil {
		return guessed{}, err
	}
	enter := a.opts.Links.EnterHashing
	if a.take(ctx, "guess:"+name, a.opts.Limits.Password.Times(linkGuesses), 0).Remaining == 0 {
		enter = a.opts.Links.EnterHashingSlowly
	}
	leave, err := enter(ctx)
	if err != nil {
		return guessed{}, err
	}
	defer leave()
	g := a.guesses(ctx, who.addr, name, 0)
	if g.wait > 0 {
		return g, nil
	}
	if g.right, err = links.IsPassword(hash, password); err == nil && !g.right {
		g = guessed{limits: a.guesses(ctx, who.addr, name, 1).limits}
	}
	return g, err
}

// guesses counts n wrong passwords of the client under a name. The result reports the client's
// limit.
func (a *API) guesses(ctx context.Context, client netip.Addr, name string, n int) guessed {
	limit := a.opts.Limits.Password
	own := a.takeOfNetwork(ctx, "guess:"+name, client, limit, networkGuesses, n)
	if n > 0 {
		a.take(ctx, "guess:"+name, limit.Times(linkGuesses), n)
	}
	g := guessed{limits: rateHeaders("guess", limit, own)}
	if own.Remaining == 0 {
		g.wait = own.RetryAfter
	}
	return g
}
