package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// notLive answers a visit of a link that exists but does not redirect now.
func (a *API) notLive(c echo.Context, l *store.Link, state store.State, now time.Time) error {
	policy := notLivePolicy(l, state, now)
	if state == store.NotStarted && links.RenamePending(l) {
		return a.fail(c, fmt.Errorf("%w: the rename of the link is not complete", store.ErrUnavailable))
	}
	if state == store.NotStarted { // must look like a link that never existed
		return a.answerUnknown(c, policy)
	}
	surrogateKey, cacheTag := linkTags(l.Code)
	h := c.Response().Header()
	h["Surrogate-Key"], h["Cache-Tag"] = []string{surrogateKey}, []string{cacheTag}
	if d := domainOf(c); d != nil && d.Ended.URL != "" && state != store.Disabled {
		a.metrics.redirects.gone.Inc()
		return a.redirectAway(c, d.Ended, policy)
	}
	switch state {
	case store.Disabled:
		a.metrics.redirects.disabled.Inc()
		return a.answer(c, policy, newProblem(http.StatusUnavailableForLegalReasons, "This link was disabled."))
	case store.Expired:
		a.metrics.redirects.gone.Inc()
		return a.answer(c, policy, newProblem(http.StatusGone, "This link has expired."))
	case store.UsedUp:
		a.metrics.redirects.gone.Inc()
		return a.answer(c, policy, newProblem(http.StatusGone, "This link has reached its click limit."))
	default:
		a.metrics.redirects.gone.Inc()
		return a.answer(c, policy, newProblem(http.StatusGone, "This link was deleted."))
	}
}

// visitError answers a visit of name that failed or found no link.
func (a *API) visitError(c echo.Context, name string, err error) error {
	if limited, ok := errors.AsType[*problem](err); ok {
		a.metrics.redirects.limited.Inc()
		return a.answer(c, policyError, limited)
	}
	if !errors.Is(err, store.ErrNotFound) {
		if !errors.Is(err, context.Canceled) { // a client that disconnects is no failure
			a.metrics.redirects.failed.Inc()
		}
		return a.fail(c, err)
	}
	if isGuess(name) {
		return a.answerUnknown(c, policyUnknown)
	}
	a.metrics.redirects.unknown.Inc()
	return a.answerNotFound(c, policyUnknown, newProblem(http.StatusNotFound, "There is no such link."))
}

// answerUnknown answers a visit of a code that does not exist. A 429 is not cached: the
// limit concerns only one client.
func (a *API) answerUnknown(c echo.Context, policy cachePolicy) error {
	a.metrics.redirects.unknown.Inc()
	p := a.unknownCode(c.Request().Context(), a.clientAddr(c.Request()))
	if p.Status == http.StatusTooManyRequests {
		return a.answer(c, policyError, p)
	}
	return a.answerNotFound(c, policy, p)
}

// answerNotFound answers a visit of a path without a link: a redirect if the domain has an
// address for such paths, else p.
func (a *API) answerNotFound(c echo.Context, policy cachePolicy, p *problem) error {
	if d := domainOf(c); d != nil && d.NotFound.URL != "" {
		return a.redirectAway(c, d.NotFound, policy)
	}
	return a.answer(c, policy, p)
}

// unknownCode counts a code that does not exist against the client's limit and
// returns the answer for it.
func (a *API) unknownCode(ctx context.Context, client netip.Addr) *problem {
	if p := a.countUnknown(ctx, client); p != nil {
		return p
	}
	return newProblem(http.StatusNotFound, "There is no such link.")
}

// fail answers an error of a page or a visit.
func (a *API) fail(c echo.Context, err error) error {
	return a.answer(c, policyError, a.problem(a.identified(c), err))
}

// answer writes a problem: a page for browsers, problem+json for other clients.
func (a *API) answer(c echo.Context, policy cachePolicy, p *problem) error {
	return a.answerWith(a.pagesOf(c), c, policy, p)
}

// answerWith is answer with the pages of another domain.
func (a *API) answerWith(pages *web.Pages, c echo.Context, policy cachePolicy, p *problem) error {
	h := c.Response().Header()
	tagDomain(c)
	h.Set("Cache-Control", policy.browser)
	if a.opts.CDN && policy.cdn != "" {
		h.Set("Cdn-Cache-Control", policy.cdn)
		if policy.kept() {
			h.Del(requestIDHeader)
		}
	}
	h.Add("Vary", "Accept")
	p.setHeaders(h)
	if !wantsHTML(c.Request()) {
		return p.write(c.Response())
	}
	pages.Error(c.Response(), p.Status, web.Problem{
		Status:     p.Status,
		Detail:     p.Detail,
		RetryAfter: p.retryAfter,
	})
	return nil
}

// wantsHTML reports whether the client accepts HTML, as browsers do.
func wantsHTML(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// ceilSeconds returns d in whole seconds, rounded up, at least 1.
func ceilSeconds(d time.Duration) int {
	return max(1, int((d+time.Second-1)/time.Second))
}

func retryAfter(d time.Duration) string { return strconv.Itoa(ceilSeconds(d)) }
