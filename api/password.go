package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/bcrypt"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

const (
	// maxPasswordLen is the longest password in bytes: what bcrypt reads.
	maxPasswordLen = 72

	// passwordCost is the work factor of bcrypt: some 50 ms of one core.
	passwordCost = bcrypt.DefaultCost

	// hashingPlaces bounds how many cores strangers can keep busy with passwords.
	hashingPlaces = 2

	// maxFormLen is the longest password form in bytes.
	maxFormLen = 4 << 10
)

// checkPassword returns what is wrong with a new password, or nil.
func checkPassword(password string) error {
	if len(password) > maxPasswordLen {
		return &store.FieldError{Field: "password", Reason: fmt.Sprintf("must be at most %d bytes", maxPasswordLen)}
	}
	return nil
}

// hashPassword returns what is kept of a password. It waits for a place among
// those that hash, as long as ctx allows.
func (a *API) hashPassword(ctx context.Context, password string) (string, error) {
	leave, err := a.enterHashing(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), passwordCost)
	return string(hash), err
}

// isPassword reports whether the guess opens the link.
func (a *API) isPassword(ctx context.Context, l *store.Link, guess string) (bool, error) {
	leave, err := a.enterHashing(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	err = bcrypt.CompareHashAndPassword([]byte(l.PasswordHash), []byte(guess))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) || errors.Is(err, bcrypt.ErrPasswordTooLong) {
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
	if err := a.csrf.Check(r); err != nil {
		return a.answer(c, policyError, newProblem(http.StatusForbidden, "The form was sent from another site."))
	}
	r.Body = http.MaxBytesReader(c.Response().Writer, r.Body, maxFormLen)
	if err := r.ParseForm(); err != nil {
		return a.answer(c, policyError, bodyProblem(err))
	}
	ctx, cancel := context.WithTimeout(r.Context(), visitTimeout)
	defer cancel()
	l, err := a.resolve(ctx, r.URL.Path[1:])
	if err != nil {
		return a.visitError(c, r.URL.Path[1:], err)
	}
	now := a.now()
	if state := l.State(now); state != store.Live {
		return a.notLive(c, &l, state, now)
	}
	if l.PasswordHash == "" {
		return a.send(c, &l, now)
	}
	if refused := a.takeGuess(ctx, r, l.Code); refused != nil {
		c.Response().Header().Set("Retry-After", retryAfter(refused.RetryAfter))
		return a.askPassword(c, http.StatusTooManyRequests, web.Password{
			Code: l.Code, Error: "Too many guesses.", RetryAfter: refused.RetryAfter,
		})
	}
	right, err := a.isPassword(ctx, &l, r.PostForm.Get("password"))
	switch {
	case err != nil:
		return a.answer(c, policyError, a.problem(err))
	case !right:
		return a.askPassword(c, http.StatusForbidden, web.Password{Code: l.Code, Error: "That is not the password of this link."})
	}
	return a.send(c, &l, now)
}

// linkGuesses is how many times the guesses of one client a link takes from all
// clients together.
const linkGuesses = 10

// takeGuess counts a guess against the client on this link and against the
// link, and returns the limit that is reached, if any.
func (a *API) takeGuess(ctx context.Context, r *http.Request, code string) *ratelimit.Result {
	limit := a.opts.Limits.Password
	if limit.Off() {
		return nil
	}
	whole := ratelimit.Limit{Count: limit.Count * linkGuesses, Window: limit.Window}
	client := ratelimitKey("guess:"+code, a.opts.Clients.ClientAddr(r))
	for _, count := range []struct {
		key   string
		limit ratelimit.Limit
	}{{client, limit}, {"guess:" + code, whole}} {
		taken, err := a.opts.Limiter.Take(ctx, count.key, count.limit, 1)
		if err == nil && taken.Allowed == 0 {
			return &taken
		}
	}
	return nil
}
