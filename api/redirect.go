package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
	"github.com/terse/terse/useragent"
	"github.com/terse/terse/web"
)

// visitTimeout is the timeout for a visit to a link with a click limit, for a password, and for a
// report. Other visits have only the timeouts of the store.
const visitTimeout = 3 * time.Second

// emptyBody is the Content-Length of an answer without a body.
var emptyBody = []string{"0"}

// redirect handles GET and HEAD of /{code}. It is the hot path of the service.
func (a *API) redirect(c echo.Context) error {
	r := c.Request()
	name := r.URL.Path[1:]
	if previewed, ok := cutPlus(name); ok {
		return a.preview(c, previewed)
	}
	l, err := a.resolveVisit(r.Context(), c)
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
		return a.askPassword(c, http.StatusOK, web.Password{Code: l.BareCode()})
	}
	if l.MaxClicks > 0 || l.Confirm {
		return a.visitGuarded(c, &l, now)
	}
	return a.send(c, &l, now)
}

// visitGuarded answers a visit of a live link that has a click limit or asks for a confirmation.
// A robot gets the preview, and uses no click. A visitor who has to confirm gets a page with a
// form, which unlock handles. If a robot is in fact a person, the preview has this form too.
func (a *API) visitGuarded(c echo.Context, l *store.Link, now time.Time) error {
	r := c.Request()
	robot := a.agents.Request(r).IsRobot()
	if !robot && !l.Confirm {
		return a.send(c, l, now)
	}
	if l.MaxClicks > 0 {
		checked, err := a.use(r, l.Code, false, now)
		switch {
		case errors.Is(err, store.ErrNotLive):
			return a.notLive(c, &checked, checked.State(now), now)
		case err != nil:
			return a.visitError(c, l.BareCode(), err)
		}
		l = &checked
	}
	a.setPolicy(c.Response().Header(), policyNever)
	if robot {
		return a.showPreview(c, http.StatusOK, l, web.Report{})
	}
	set, err := a.chooser.rulesOf(l)
	if err != nil {
		return a.visitError(c, l.BareCode(), err)
	}
	query, _ := visit.CutQR(r.URL.RawQuery)
	a.pagesOf(c).Confirm(c.Response(), http.StatusOK, web.Confirm{
		Code: l.BareCode(), URL: a.targetFor(r, l, set, query, now).url, Limited: l.MaxClicks > 0,
	})
	return nil
}

// setPolicy sets the cache headers of a page.
func (a *API) setPolicy(h http.Header, policy cachePolicy) {
	h.Set("Cache-Control", policy.browser)
	if a.opts.CDN {
		h.Set("Cdn-Cache-Control", policy.cdn)
	}
}

// resolve returns the link for a visitor's path. Mail and chat programs often add the
// punctuation or the space after a URL to the link. If there is no link for the whole path,
// resolve tries the path without them, see trimEnd. It asks the store only for valid codes.
func (a *API) resolve(ctx context.Context, c echo.Context, name string) (store.Link, error) {
	err := store.ErrNotFound
	if store.ValidCode(name) {
		key := keyOn(domainOf(c), name)
		l, known, found := a.opts.Visits.Peek(key)
		if !known {
			l, found = a.ask(ctx, a.clientAddr(c.Request()), key)
		}
		if !errors.Is(found, store.ErrNotFound) {
			return l, found
		}
		err = found
	}
	if trimmed := trimEnd(name); trimmed != name && store.ValidCode(trimmed) {
		return a.resolve(ctx, c, trimmed)
	}
	return store.Link{}, err
}

// resolveVisit is resolve for a visit. Its path may continue after the code. Such a path has a link only if
// the link forwards paths, and if the path does not lead above the path of the target.
func (a *API) resolveVisit(ctx context.Context, c echo.Context) (store.Link, error) {
	name := c.Request().URL.Path[1:]
	if strings.IndexByte(name, '/') < 0 { // nearly every visit
		return a.resolve(ctx, c, name)
	}
	code, rest := store.CutPath(c.Request().URL)
	l, err := a.resolve(ctx, c, name)
	if rest == "" {
		return l, err
	}
	if errors.Is(err, store.ErrNotFound) && store.ValidCode(code) && trimEnd(name) != code {
		if l, err = a.resolve(ctx, c, code); err == nil && !l.ForwardPath && l.DeletedAt.IsZero() {
			err = store.ErrNotFound
		}
	}
	if err == nil && l.ForwardPath && store.Climbs(rest) {
		err = store.ErrNotFound
	}
	if err == nil && l.ForwardPath && l.MaxClicks > 0 {
		err = a.checkLength(&l, rest)
	}
	return l, err
}

// checkLength returns an error if a target of l could be too long with the rest of a visit's path. A visit that
// cannot be redirected must not use a click, and the click is used before the rules pick the target.
func (a *API) checkLength(l *store.Link, rest string) error {
	set, err := a.chooser.rulesOf(l)
	if err != nil {
		return err
	}
	targets := []string{l.URL}
	if set != nil {
		targets = append(targets, set.Targets()...)
	}
	for _, to := range targets {
		if len(store.JoinPath(to, rest)) > store.MaxURLLen {
			return errLongTarget()
		}
	}
	return nil
}

// restOf returns the path of a visit after the code if the link forwards it, else an empty text.
func restOf(r *http.Request, l *store.Link) string {
	if !l.ForwardPath {
		return ""
	}
	_, rest := store.CutPath(r.URL)
	return rest
}

// ask loads the link of a code that Peek does not know. If few places for redirects are free, it
// rejects codes that are not in memory for clients that reached their limit of unknown codes.
// The error is then a *problem with status 429.
func (a *API) ask(ctx context.Context, client netip.Addr, code string) (store.Link, error) {
	if p := a.unknownLimitReached(client); p != nil && a.opts.Guard.Scarce(overload.Redirect) && !a.opts.Visits.Holds(code) {
		return store.Link{}, p
	}
	return a.opts.Visits.Load(ctx, code)
}

// trimEnd removes punctuation, slashes, white space and invisible characters from the end.
func trimEnd(name string) string {
	return strings.TrimRightFunc(name, func(r rune) bool {
		return r == '/' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(store.TrailingPunctuation, r)
	})
}

// cutPlus returns the path of a preview without its final "+". ok is false for other paths, such as
// "code/c++", which has a path after the code.
func cutPlus(name string) (previewed string, ok bool) {
	if strings.IndexByte(name, '+') < 0 { // nearly every visit
		return name, false
	}
	previewed, ok = strings.CutSuffix(trimEnd(name), "+")
	return previewed, ok && strings.IndexByte(trimEnd(previewed), '/') < 0
}

// isGuess reports whether resolveVisit asks the store for name. Only such names count as unknown
// codes.
func isGuess(name string) bool {
	code, _, _ := strings.Cut(name, "/")
	return store.ValidCode(code) || store.ValidCode(trimEnd(name))
}

// send redirects to the target of a live link. If the link has a click limit, send first
// counts the click in the store.
func (a *API) send(c echo.Context, l *store.Link, now time.Time) error {
	r := c.Request()
	prefetched := useragent.Prefetched(r.Header)
	if l.MaxClicks > 0 {
		if prefetched && r.Method != http.MethodHead {
			return a.refusePrefetch(c)
		}
		now = a.now() // the stored link may have dates that the cached l lacks
		used, err := a.use(r, l.Code, r.Method != http.MethodHead, now)
		switch {
		case errors.Is(err, store.ErrNotLive):
			return a.notLive(c, &used, used.State(now), now)
		case err != nil:
			return a.visitError(c, l.BareCode(), err)
		}
		l = &used
	}
	status := l.Status
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther // the browser must not send the password to the target
	}
	set, err := a.chooser.rulesOf(l)
	if err != nil {
		return a.visitError(c, l.BareCode(), err)
	}
	location, bounded := "", false
	if l.MaxClicks == 0 || r.Method != http.MethodHead {
		query, scanned := visit.CutQR(r.URL.RawQuery)
		to := a.targetFor(r, l, set, query, now)
		if location, err = forwarded(l, to.url, restOf(r, l), query); err != nil {
			return a.visitError(c, l.BareCode(), err)
		}
		bounded = to.bounded
		a.record(r, l, to, query, prefetched, scanned, now)
	}
	policy := livePolicy(l, set, status, now, bounded)
	if varies := set.Varies() & variable; varies != 0 && a.opts.CDNVaries && policy != policyNever {
		c.Response().Header()["Vary"] = varyBy[varies]
	}
	a.writeRedirect(c.Response(), l, policy, status, location)
	return nil
}

// chosen is the target of a visit.
type chosen struct {
	url     string
	rule    string // rules.Choice.Name; empty for a link without rules
	bounded bool   // see API.bounded
}

// targetFor returns the target of a visit. set are the rules of l, nil without rules.
func (a *API) targetFor(r *http.Request, l *store.Link, set *rules.Set, query string, now time.Time) chosen {
	if set == nil {
		return chosen{url: l.URL}
	}
	return a.choose(r, l, set, query, now)
}

// chosenBy returns the target of a choice among the rules of l.
func chosenBy(l *store.Link, choice rules.Choice) chosen {
	if choice.Rule < 0 {
		return chosen{url: l.URL, rule: choice.Name}
	}
	return chosen{url: choice.To, rule: choice.Name}
}

// refusePrefetch answers 425 (RFC 8470), so that a prefetch uses no click of a link with a
// click limit. The browser sends the request again when the user opens the link.
func (a *API) refusePrefetch(c echo.Context) error {
	return a.answer(c, policyNever, newProblem(http.StatusTooEarly, "This link has a click limit, so it cannot be prefetched."))
}

// use counts one click of a link with a click limit, in the store. If counts is false, it
// only checks that the link is live.
func (a *API) use(r *http.Request, code string, counts bool, now time.Time) (store.Link, error) {
	ctx, cancel := context.WithTimeout(r.Context(), visitTimeout)
	defer cancel()
	if counts {
		return a.opts.Visits.Consume(ctx, code, now)
	}
	l, err := a.opts.Visits.Get(ctx, code)
	if err == nil && l.State(now) != store.Live {
		err = store.ErrNotLive
	}
	return l, err
}

// writeRedirect writes the answer. With an empty location it sends no Location header: a HEAD
// request for a link with a click limit is not counted, so it must not reveal the target. RFC
// 9110 section 9.3.2 allows HEAD to omit this header. All header values are in one array, which
// saves the allocation of a slice for each header.
func (a *API) writeRedirect(w *echo.Response, l *store.Link, policy cachePolicy, status int, location string) {
	v := [5]string{location, policy.browser, policy.cdn}
	v[3], v[4] = linkTags(l.Code)
	h := w.Header()
	if location != "" {
		h["Location"] = v[0:1:1]
	}
	h["Cache-Control"] = v[1:2:2]
	if a.opts.CDN {
		h["Cdn-Cache-Control"] = v[2:3:3]
		if policy.kept() {
			delete(h, requestIDHeader)
		}
	}
	h["Surrogate-Key"] = v[3:4:4]
	h["Cache-Tag"] = v[4:5:5]
	h["Content-Length"] = emptyBody
	w.WriteHeader(status)
	a.metrics.redirects.live.Inc()
}

// linkTags returns the tags that CDNs use to purge the answers for a link, as the headers
// Surrogate-Key and Cache-Tag write them. A link on another domain than the default one has the
// tag of its domain, too.
func linkTags(key string) (surrogateKey, cacheTag string) {
	link := "link-" + key
	id, _ := store.SplitKey(key)
	if id == "" {
		return link, link
	}
	return link + " domain-" + id, link + ",domain-" + id
}
