package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// visitTimeout bounds what a visit may wait for when the store has to count or
// a password has to be checked.
const visitTimeout = 3 * time.Second

// emptyBody is the Content-Length of an answer without one.
var emptyBody = []string{"0"}

// redirect answers GET and HEAD of /{code}: the path that everything else exists for.
func (a *API) redirect(c echo.Context) error {
	r := c.Request()
	name := r.URL.Path[1:]
	if previewed, ok := strings.CutSuffix(name, "+"); ok {
		return a.preview(c, previewed)
	}
	l, err := a.resolve(r.Context(), r, name)
	if err != nil {
		return a.visitError(c, name, err)
	}
	state, now, err := a.state(&l)
	if err != nil {
		return a.visitError(c, name, err)
	}
	if state != store.Live {
		return a.notLive(c, &l, state, now)
	}
	if l.PasswordHash != "" {
		return a.askPassword(c, http.StatusOK, web.Password{Code: l.Code})
	}
	return a.send(c, &l, now)
}

// resolve finds the link that a visitor's path means. Mail programs and chats
// make punctuation behind a URL part of it, so a path that is no link is tried
// once more without it. Nothing that lacks the syntax of a code reaches the store.
func (a *API) resolve(ctx context.Context, r *http.Request, name string) (store.Link, error) {
	err := store.ErrNotFound
	if store.ValidCode(name) {
		l, known, found := a.opts.Peek(name)
		if !known {
			l, found = a.ask(ctx, a.clientAddr(r), name)
		}
		if !errors.Is(found, store.ErrNotFound) {
			return l, found
		}
		err = found
	}
	if trimmed := trimPunctuation(name); trimmed != name && store.ValidCode(trimmed) {
		return a.resolve(ctx, r, trimmed)
	}
	return store.Link{}, err
}

// ask asks the store for a code that is not in memory. Redirects are never limited; but
// when room for them begins to be scarce, whoever has asked for too many unknown codes has
// nothing looked for until the limit allows one more. The error is then a *problem.
func (a *API) ask(ctx context.Context, client netip.Addr, code string) (store.Link, error) {
	if p := a.spentUnknown(client); p != nil && a.opts.Guard.Scarce(overload.Redirect) && !a.opts.Holds(code) {
		return store.Link{}, p
	}
	return a.opts.Store.Resolve(ctx, code)
}

// trimPunctuation drops what programs that find URLs in text take for a part of them.
func trimPunctuation(name string) string {
	return strings.TrimRight(name, ".,;:!?'\")]}>*_…”’»")
}

// isGuess reports whether resolve asks the store for name.
func isGuess(name string) bool {
	return store.ValidCode(name) || store.ValidCode(trimPunctuation(name))
}

// send redirects to the target of a live link, counting the use of a limited
// one first.
func (a *API) send(c echo.Context, l *store.Link, now time.Time) error {
	r := c.Request()
	counts := r.Method != http.MethodHead && !isPrefetch(r)
	if l.MaxClicks > 0 {
		if !counts && r.Method != http.MethodHead {
			return a.refusePrefetch(c)
		}
		now = a.now() // the store may know of dates that l, from a cache, has not yet
		used, err := a.use(r, l.Code, counts, now)
		switch {
		case errors.Is(err, store.ErrNotLive):
			return a.notLive(c, &used, used.State(now), now)
		case err != nil:
			return a.visitError(c, l.Code, err)
		}
		l = &used
	}
	if counts {
		a.opts.Clicks.Record(store.Click{Code: l.Code, At: now})
	}
	status := l.Status
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther // the password must not travel on to the target
	}
	location := ""
	if counts || l.MaxClicks == 0 {
		location = target(l, r.URL.RawQuery)
	}
	a.writeRedirect(c.Response(), l, status, location, now)
	return nil
}

// refusePrefetch answers 425 (RFC 8470) rather than spend a use of a limited
// link on a page that nobody has asked to see yet. Browsers ask again when
// somebody does.
func (a *API) refusePrefetch(c echo.Context) error {
	return a.answer(c, policyNever, newProblem(http.StatusTooEarly, "This link is counted and cannot be loaded ahead."))
}

// use counts one use of a link with a limit in the store, before the redirect.
// A HEAD request only looks.
func (a *API) use(r *http.Request, code string, counts bool, now time.Time) (store.Link, error) {
	ctx, cancel := context.WithTimeout(r.Context(), visitTimeout)
	defer cancel()
	if counts {
		return a.opts.Store.Consume(ctx, code, now)
	}
	l, err := a.opts.Store.Get(ctx, code)
	if err == nil && l.State(now) != store.Live {
		err = store.ErrNotLive
	}
	return l, err
}

// writeRedirect writes the answer. It has no Location when that is empty: the
// target of a limited link that was not counted would be one more than the limit
// allows, and RFC 9110 section 9.3.2 lets HEAD leave out what only GET finds out.
// One array holds every value, since each header would otherwise allocate a slice
// of its own.
func (a *API) writeRedirect(w *echo.Response, l *store.Link, status int, location string, now time.Time) {
	tag := linkTag(l.Code)
	policy := livePolicy(l, status, now)
	v := [4]string{location, policy.browser, policy.cdn, tag}
	h := w.Header()
	if location != "" {
		h["Location"] = v[0:1:1]
	}
	h["Cache-Control"] = v[1:2:2]
	if a.opts.CDN {
		h["Cdn-Cache-Control"] = v[2:3:3]
	}
	h["Surrogate-Key"] = v[3:4:4]
	h["Cache-Tag"] = v[3:4:4]
	h["Content-Length"] = emptyBody
	w.WriteHeader(status)
	a.metrics.redirects.live.Inc()
}

// linkTag is the tag under which CDNs keep the answers for a link.
func linkTag(code string) string { return "link-" + code }

// isPrefetch reports whether a browser loads the link without having been
// asked to: https://wicg.github.io/nav-speculation/prefetch.html#sec-purpose-header
// and the older names of that header.
func isPrefetch(r *http.Request) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Moz"} { // canonical, as Header.Get would make them
		for _, value := range r.Header[name] {
			if purpose, _, _ := strings.Cut(value, ";"); strings.EqualFold(purpose, "prefetch") {
				return true
			}
		}
	}
	return false
}
