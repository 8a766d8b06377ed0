package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/bcrypt"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

const (
	// maxPasswordLen is the longest password in bytes: what bcrypt reads.
	maxPasswordLen = 72

	// hashingPlaces bounds how many cores strangers can keep busy with passwords.
	hashingPlaces = 2

	// maxHashers bounds the new passwords that wait for these places: each is a create
	// or edit that takes a place of the class Write, of which there may be only 32.
	maxHashers = 24

	// maxPasswordFormLen is the longest password form in bytes.
	maxPasswordFormLen = 4 << 10
)

// checkPassword returns what is wrong with a new password, or nil.
func checkPassword(password string) error {
	if !mayBePassword(password) {
		return &store.FieldError{Field: "password", Reason: fmt.Sprintf("must be 1 to %d bytes, none of them NUL", maxPasswordLen)}
	}
	return nil
}

// mayBePassword reports whether bcrypt tells the password from every other: it
// reads maxPasswordLen bytes, over and over with a NUL in between.
func mayBePassword(password string) bool {
	return password != "" && len(password) <= maxPasswordLen && !strings.Contains(password, "\x00")
}

// hashLimit bounds the work with passwords that one client can cause, over all
// links and calls: the places for it are few, and others wait for them too.
var hashLimit = ratelimit.Limit{Count: 30, Window: 10 * time.Second}

// takeHash counts one password of a client, or returns the limit that is reached.
func (a *API) takeHash(ctx context.Context, who *caller) error {
	var taken ratelimit.Result
	if who.key == nil {
		taken = a.takeClient(ctx, "hash", who.addr, hashLimit, 1)
	} else {
		taken = a.take(ctx, "hash:"+who.key.ID, hashLimit, 1)
	}
	if taken.Allowed == 0 {
		return tooMany("Too many passwords at once.", taken, rateHeaders("hash", hashLimit, taken))
	}
	return nil
}

// hashPassword returns what is kept of a password. It waits for a place among
// those that hash, as long as ctx allows.
func (a *API) hashPassword(ctx context.Context, who *caller, password string) (string, error) {
	if err := a.takeHash(ctx, who); err != nil {
		return "", err
	}
	defer a.hashers.Add(-1)
	if a.hashers.Add(1) > maxHashers {
		return "", fmt.Errorf("%w: too many passwords wait to be hashed", store.ErrShed)
	}
	leave, err := a.enterHashing(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), a.opts.PasswordCost)
	return string(hash), err
}

// isPassword reports whether the guess opens the link.
func isPassword(l *store.Link, guess string) (bool, error) {
	if !mayBePassword(guess) {
		return false, nil
	}
	err := bcrypt.CompareHashAndPassword([]byte(l.PasswordHash), []byte(guess))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

func (a *API) enterHashing(ctx context.Context) (leave func(), err error) {
	select {
	case a.hashing <- struct{}{}:
		return func() { <-a.hashing }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

// askPassword shows the page that asks for a link's password. Whether it is an
// answer to HEAD makes no difference: it names no target.
func (a *API) askPassword(c echo.Context, status int, shown web.Password) error {
	h := c.Response().Header()
	h.Set("Cache-Control", policyNever.browser)
	if a.opts.CDN {
		h.Set("Cdn-Cache-Control", policyNever.cdn)
	}
	a.pages.Password(c.Response(), status, shown)
	return nil
}

// unlock answers the password page's form: POST of /{code}.
func (a *API) unlock(c echo.Context) error {
	r := c.Request()
	if previewed, ok := strings.CutSuffix(r.URL.Path[1:], "+"); ok {
		return a.report(c, previewed)
	}
	if err := a.csrf.Check(r); err != nil {
		return a.answer(c, policyError, newProblem(http.StatusForbidden, "The form was sent from another site."))
	}
	form, err := a.readForm(c, maxPasswordFormLen)
	if err != nil {
		return a.fail(c, err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), visitTimeout)
	defer cancel()
	l, err := a.resolve(ctx, r, r.URL.Path[1:])
	if err != nil {
		return a.visitError(c, r.URL.Path[1:], err)
	}
	state, now, err := a.state(&l)
	if err != nil {
		return a.visitError(c, l.Code, err)
	}
	if state != store.Live {
		return a.notLive(c, &l, state, now)
	}
	if l.PasswordHash == "" {
		return a.send(c, &l, now)
	}
	g, err := a.guess(ctx, r, &l, form.Get("password"))
	g.limits.set(c.Response().Header())
	switch {
	case err != nil:
		return a.fail(c, err)
	case g.wait > 0:
		c.Response().Header().Set("Retry-After", retryAfter(g.wait))
		return a.askPassword(c, http.StatusTooManyRequests, web.Password{
			Code: l.Code, Error: "Too many guesses.", RetryAfter: g.wait,
		})
	case !g.right:
		return a.askPassword(c, http.StatusForbidden, web.Password{Code: l.Code, Error: "That is not the password of this link."})
	}
	return a.send(c, &l, now)
}

// How many times the guesses of one client a link takes from all clients together, and
// from one site: whoever has a network of 48 bits leaves others some.
const (
	linkGuesses = 10
	siteGuesses = 4
)

// guessed is what came of a guess.
type guessed struct {
	right  bool
	wait   time.Duration // until a guess is heard again; 0: this one was
	limits RateHeaders
}

// guess tries a password. Only wrong ones count against the limits of guessing.
// Looking at the limit, trying and counting happen in one of the few places for
// hashing, so that guesses side by side can pass a limit by one less than there
// are places, at most.
func (a *API) guess(ctx context.Context, r *http.Request, l *store.Link, password string) (guessed, error) {
	who := &caller{addr: a.clientAddr(r)}
	if err := a.takeHash(ctx, who); err != nil {
		return guessed{}, err
	}
	leave, err := a.enterHashing(ctx)
	if err != nil {
		return guessed{}, err
	}
	defer leave()
	g := a.guesses(ctx, who.addr, l.Code, 0)
	if g.wait > 0 {
		return g, nil
	}
	if g.right, err = isPassword(l, password); err == nil && !g.right {
		g = guessed{limits: a.guesses(ctx, who.addr, l.Code, 1).limits}
	}
	return g, err
}

// guesses counts n wrong guesses of the client on the link, and tells of the limit that
// is nearest: the client's, unless that of the link is reached before.
func (a *API) guesses(ctx context.Context, client netip.Addr, code string, n int) guessed {
	limit, ofLink := a.opts.Limits.Password, a.opts.Limits.Password.Times(linkGuesses)
	own := a.takeOfSite(ctx, "guess:"+code, client, limit, siteGuesses, n)
	all := a.take(ctx, "guess:"+code, ofLink, n)
	g := guessed{limits: rateHeaders("guess", limit, own)}
	switch {
	case own.Remaining == 0:
		g.wait = own.RetryAfter
	case all.Remaining == 0:
		g.wait, g.limits = all.RetryAfter, rateHeaders("guess-link", ofLink, all)
	}
	return g
}
