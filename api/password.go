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
	// maxPasswordLen is the longest password that bcrypt accepts, in bytes.
	maxPasswordLen = 72

	// hashingPlaces is how many passwords are hashed at the same time. It bounds the cores
	// that anonymous clients can keep busy.
	hashingPlaces = 2

	// maxHashers bounds the new passwords that are being hashed or wait for it. Each of
	// them belongs to a create or edit that occupies a place of the class Write.
	maxHashers = 24

	// maxPasswordFormLen is the longest password form in bytes.
	maxPasswordFormLen = 4 << 10
)

// checkPassword rejects a password that bcrypt cannot use.
func checkPassword(password string) error {
	if !mayBePassword(password) {
		return &store.FieldError{Field: "password", Reason: fmt.Sprintf("must have 1 to %d bytes and no NUL", maxPasswordLen)}
	}
	return nil
}

// mayBePassword reports whether bcrypt distinguishes the password from all others. Bcrypt
// reads maxPasswordLen bytes: a shorter password is repeated, with NUL in between.
func mayBePassword(password string) bool {
	return password != "" && len(password) <= maxPasswordLen && !strings.Contains(password, "\x00")
}

// hashLimit bounds the passwords of one client, over all links and calls. All clients share
// the few hashingPlaces.
var hashLimit = ratelimit.Limit{Count: 30, Window: 10 * time.Second}

// takeHash counts one password of a client. It returns a 429 if the limit is reached.
func (a *API) takeHash(ctx context.Context, who *caller) error {
	var taken ratelimit.Result
	if who.key == nil {
		taken = a.takeClient(ctx, "hash", who.addr, hashLimit, 1)
	} else {
		taken = a.take(ctx, "hash:"+who.key.ID, hashLimit, 1)
	}
	if taken.Allowed == 0 {
		return tooMany("You sent too many passwords in a short time.", taken, rateHeaders("hash", hashLimit, taken))
	}
	return nil
}

// hashPassword returns the bcrypt hash of a password. It waits for one of the hashingPlaces
// until ctx ends.
func (a *API) hashPassword(ctx context.Context, who *caller, password string) (string, error) {
	if err := a.takeHash(ctx, who); err != nil {
		return "", err
	}
	defer a.hashers.Add(-1)
	if a.hashers.Add(1) > maxHashers {
		return "", fmt.Errorf("%w: too many passwords are waiting to be hashed", store.ErrShed)
	}
	leave, err := a.enterHashing(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), a.opts.PasswordCost)
	return string(hash), err
}

// isPassword reports whether the guess is the password of the link.
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

// askPassword shows the page that asks for a link's password. HEAD gets the same answer as
// GET, because the page does not contain the target.
func (a *API) askPassword(c echo.Context, status int, shown web.Password) error {
	h := c.Response().Header()
	h.Set("Cache-Control", policyNever.browser)
	if a.opts.CDN {
		h.Set("Cdn-Cache-Control", policyNever.cdn)
	}
	a.pages.Password(c.Response(), status, shown)
	return nil
}

// unlock handles the form of the password page: POST to /{code}.
func (a *API) unlock(c echo.Context) error {
	r := c.Request()
	if previewed, ok := strings.CutSuffix(r.URL.Path[1:], "+"); ok {
		return a.report(c, previewed)
	}
	if err := a.csrf.Check(r); err != nil {
		return a.answer(c, policyError, newProblem(http.StatusForbidden, "The form was sent from another website."))
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
			Code: l.Code, Error: "Too many wrong passwords.", RetryAfter: g.wait,
		})
	case !g.right:
		return a.askPassword(c, http.StatusForbidden, web.Password{Code: l.Code, Error: "That is not the password of this link."})
	}
	return a.send(c, &l, now)
}

// Multiples of the limit of one client: wrong passwords of a link from all clients, and from
// one network. An attacker with a /48 network then leaves guesses for other clients.
const (
	linkGuesses = 10
	networkGuesses = 4
)

// guessed is the result of a guess.
type guessed struct {
	right  bool
	wait   time.Duration // until the next guess is allowed; 0 if this guess was checked
	limits RateHeaders
}

// guess checks a password. Only wrong passwords count against the limit of guesses. One of
// the hashingPlaces is held from the check of the limit to the count. Concurrent guesses can
// therefore exceed the limit by at most hashingPlaces - 1.
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

// guesses counts n wrong passwords of the client for the link. The result reports the
// client's limit, or the limit of the link if only that one is reached.
func (a *API) guesses(ctx context.Context, client netip.Addr, code string, n int) guessed {
	limit, ofLink := a.opts.Limits.Password, a.opts.Limits.Password.Times(linkGuesses)
	own := a.takeOfNetwork(ctx, "guess:"+code, client, limit, networkGuesses, n)
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
