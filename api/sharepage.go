package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/stats"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// Routes of shared pages of statistics. "~" is in no code.
const (
	shareStart = "/~/s/"
	shareRoute = shareStart + ":token"
	totalRoute = shareRoute + "/total"
)

// sharePath returns the path of the page with a token.
func sharePath(token string) string { return shareStart + token }

// policyShared is the policy of pages for one visitor: shared statistics and the console.
var policyShared = cachePolicy{"private, no-store", "no-store"}

// routeShares adds the routes of shared pages.
func (a *API) routeShares(e *echo.Echo) {
	page := func(h func(c echo.Context, k *store.Key) error) echo.HandlerFunc { return a.page(a.onShare(h)) }
	e.Match(getHead, shareRoute, page(a.opened(a.sharedPage)))
	e.Match(getHead, totalRoute, page(a.opened(a.sharedTotal)))
	e.POST(shareRoute, page(a.openShare))
}

// onShare calls next with the live key of a shared page. Its headers keep the token in the address
// secret: browsers must not send it in the header Referer, and caches must not store the page.
func (a *API) onShare(next func(c echo.Context, k *store.Key) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		a.setPolicy(h, policyShared)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Robots-Tag", "noindex")
		k, err := a.shareOf(c)
		if err == nil {
			err = next(c, &k)
		}
		if err != nil {
			return a.answer(c, policyShared, a.problem(a.identified(c), err))
		}
		return nil
	}
}

// shareOf returns the key in the path of a shared page. For a token that opens no page, its error is a
// 404. Such tokens count against the client's limit of unknown API keys.
func (a *API) shareOf(c echo.Context) (store.Key, error) {
	none := newProblem(http.StatusNotFound, "There are no shared statistics at this address, or they are no longer shared.")
	r := c.Request()
	hash, ok := store.HashToken(trimEnd(c.Param("token")))
	if !ok {
		return store.Key{}, none
	}
	k, err := a.keyOfHash(r.Context(), a.clientAddr(r), overload.Read, hash)
	if errors.Is(err, store.ErrNotFound) || err == nil && k.Share == nil {
		err = none
	}
	if err != nil {
		return store.Key{}, err
	}
	return k, a.checkShared(c, &k)
}

// checkShared returns a 404 or 410 if the link of a shared page does not exist.
func (a *API) checkShared(c echo.Context, k *store.Key) error {
	if k.Share.Kind != store.ClickLink {
		return nil
	}
	l, err := a.opts.Visits.Load(c.Request().Context(), k.Share.Key)
	if err == nil && !l.DeletedAt.IsZero() {
		err = store.ErrGone
	}
	return err
}

// opened calls next if the visitor has entered the password of the page, else it asks for the
// password.
func (a *API) opened(next func(c echo.Context, k *store.Key) error) func(c echo.Context, k *store.Key) error {
	return func(c echo.Context, k *store.Key) error {
		switch {
		case k.Share.PasswordHash == "" || a.hasEntered(c.Request(), k):
			return next(c, k)
		case c.Path() == totalRoute:
			return newProblem(http.StatusForbidden, "The password of this page is missing.")
		}
		a.pages.Password(c.Response(), http.StatusOK, web.Password{Stats: true})
		return nil
	}
}

// openShare checks a password. Unlike other pages, it accepts forms of other websites: with the
// page's Referrer-Policy some browsers send "Origin: null", and the form changes nothing.
func (a *API) openShare(c echo.Context, k *store.Key) error {
	r := c.Request()
	if k.Share.PasswordHash == "" {
		return c.Redirect(http.StatusSeeOther, r.URL.RequestURI())
	}
	form, err := a.readForm(c, maxPasswordFormLen)
	if err != nil {
		return err
	}
	g, err := a.guess(r.Context(), r, "share:"+k.ID, k.Share.PasswordHash, form.Get("password"))
	g.limits.set(c.Response().Header())
	switch {
	case err != nil:
		return err
	case g.wait > 0:
		c.Response().Header().Set("Retry-After", retryAfter(g.wait))
		a.pages.Password(c.Response(), http.StatusTooManyRequests, web.Password{Stats: true, Error: "Too many wrong passwords.", RetryAfter: g.wait})
		return nil
	case !g.right:
		a.pages.Password(c.Response(), http.StatusForbidden, web.Password{Stats: true, Error: "That is not the password of these statistics."})
		return nil
	}
	a.remember(c, k)
	return c.Redirect(http.StatusSeeOther, r.URL.RequestURI())
}

// The cookie that proves that a visitor has entered the password of a page.
const (
	shareCookie = "terse_share"
	shareFor    = 24 * time.Hour
)

// remember sets the cookie.
func (a *API) remember(c echo.Context, k *store.Key) {
	until := binary.BigEndian.AppendUint64(nil, uint64(a.opts.Clock.Now().Add(shareFor).Unix())) //nolint:gosec // after 1970
	http.SetCookie(c.Response(), &http.Cookie{                                                   //nolint:gosec // secure except over http
		Name: shareCookie, Value: base64.RawURLEncoding.EncodeToString(append(until, entered(k, until)...)), MaxAge: int(shareFor / time.Second),
		Path: c.Request().URL.EscapedPath(), Secure: a.scheme == "https", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// hasEntered checks the cookie.
func (a *API) hasEntered(r *http.Request, k *store.Key) bool {
	return slices.ContainsFunc(r.CookiesNamed(shareCookie), func(c *http.Cookie) bool {
		value, err := base64.RawURLEncoding.DecodeString(c.Value)
		if err != nil || len(value) != 8+sha256.Size {
			return false
		}
		until, proof := value[:8], value[8:]
		now := a.opts.Clock.Now().Unix()
		return hmac.Equal(proof, entered(k, until)) && now < int64(binary.BigEndian.Uint64(until)) //nolint:gosec // the server wrote it
	})
}

// entered returns the proof that a visitor has entered the password of a page. Its key is the bcrypt
// hash, which has 128 random bits and never leaves the server.
func entered(k *store.Key, until []byte) []byte {
	mac := hmac.New(sha256.New, []byte(k.Share.PasswordHash))
	mac.Write(k.Hash[:])
	mac.Write(until)
	return mac.Sum(nil)
}

// sharedPage shows the page.
func (a *API) sharedPage(c echo.Context, k *store.Key) error {
	v, q, err := a.newStats(c, k.Share)
	if err != nil {
		return err
	}
	if v.Errors != nil {
		a.pages.Stats(c.Response(), http.StatusUnprocessableEntity, v)
		return nil
	}
	return a.admit(func(c echo.Context) error {
		if err := a.fillStats(c, k.Share, &v, &q); err != nil {
			return err
		}
		a.pages.Stats(c.Response(), http.StatusOK, v)
		return nil
	})(c)
}

// newStats returns the view model of a page of statistics without numbers, and the query for the
// numbers. If a parameter is invalid, the view model has errors.
func (a *API) newStats(c echo.Context, share *store.Share) (web.Stats, stats.Query, error) {
	v := web.Stats{Subject: a.subjectOf(share), Path: c.Request().URL.EscapedPath()}
	params, q, err := a.sharedQuery(c, sharedBy)
	v.Range = params
	now := a.opts.Clock.Now()
	if zone, unknown := time.LoadLocation(params.Zone); unknown == nil && params.Zone != "Local" {
		v.Today = now.In(zone).Format(time.DateOnly)
	}
	if store.IsInvalid(err) {
		all, _ := errors.AsType[store.InvalidError](store.JoinInvalid(err))
		v.Errors = map[string]string{}
		for _, e := range all {
			v.Errors[e.Field] = e.Reason
		}
		err = nil
	}
	return v, q, err
}

// fillStats reads the numbers of a page of statistics.
func (a *API) fillStats(c echo.Context, share *store.Share, v *web.Stats, q *stats.Query) error {
	now := a.opts.Clock.Now()
	result, err := a.readShared(c, share, q, now)
	if err != nil {
		return err
	}
	fill(v, q, result)
	if q.From.Before(now) && now.Before(q.To) {
		total := url.Values{"from": {v.Range.From}, "to": {v.Range.To}, "tz": {v.Range.Zone}, "class": {v.Range.Class}}
		if set := v.Set; set != nil {
			total["tag"], total["domain"], total["owner"] = []string{set.Tag}, []string{set.Domain}, []string{set.Owner}
		}
		v.Live = v.Path + "/total?" + total.Encode()
	}
	return nil
}

// sharedTotal answers the totals of the page as JSON.
func (a *API) sharedTotal(c echo.Context, k *store.Key) error {
	q, err := a.totalQuery(c)
	if err != nil {
		return err
	}
	return a.admit(func(c echo.Context) error { return a.writeTotal(c, k.Share, &q) })(c)
}

// totalQuery returns the query for the totals of a page of statistics.
func (a *API) totalQuery(c echo.Context) (stats.Query, error) {
	_, q, err := a.sharedQuery(c, nil)
	q.Compare = false
	return q, ofQuery(err)
}

// writeTotal answers the totals of q as JSON.
func (a *API) writeTotal(c echo.Context, share *store.Share, q *stats.Query) error {
	result, err := a.readShared(c, share, q, a.opts.Clock.Now())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		People   int64 `json:"people"`
		Robots   int64 `json:"robots"`
		Visitors int64 `json:"visitors"`
	}{result.Total.People, result.Total.Robots, result.SumVisitors()})
}

// sharedBy are the breakdowns of the page, in its order.
var sharedBy = []day.Dimension{
	day.Country, day.Referrer, day.Source, day.Device, day.Browser, day.OS, day.Language, day.Class,
	day.UTMSource, day.UTMMedium, day.UTMCampaign, day.UTMTerm, day.UTMContent, day.Rule,
}

// sharedQuery returns the parameters of the page as they were sent, and their query. It ignores
// unknown parameters, because other programs add parameters to addresses.
func (a *API) sharedQuery(c echo.Context, by []day.Dimension) (web.StatsRange, stats.Query, error) {
	sent, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return web.StatsRange{}, stats.Query{}, newProblem(http.StatusBadRequest, "The query is not correctly encoded.")
	}
	r := web.StatsRange{
		From: sent.Get("from"), To: sent.Get("to"), Zone: sent.Get("tz"), Interval: sent.Get("interval"), Class: sent.Get("class"),
		Limit: sent.Get("limit"), Compare: sent.Get("compare"),
	}
	var problems []error
	for _, name := range []string{"from", "to", "tz", "interval", "class", "limit", "compare"} {
		if len(sent[name]) > 1 {
			problems = append(problems, &store.FieldError{Field: name, Reason: "must not appear twice"})
		}
	}
	limit := 0
	if r.Limit != "" {
		if limit, err = strconv.Atoi(r.Limit); err != nil || limit == 0 {
			limit = -1 // ParseQuery rejects it
		}
	}
	if r.Compare != "" && r.Compare != "true" && r.Compare != "false" {
		problems = append(problems, &store.FieldError{Field: "compare", Reason: "must be true or false"})
	}
	names := make([]string, 0, len(by))
	for _, dim := range by {
		if dim != day.Class || r.Class != string(stats.People) {
			names = append(names, dim.String())
		}
	}
	q, err := stats.ParseQuery(stats.Params{
		From: r.From, To: r.To, Zone: r.Zone, Interval: r.Interval, Class: r.Class, Limit: limit, Compare: r.Compare == "true", By: strings.Join(names, ","),
	}, a.opts.Clock.Now())
	return r, q, store.JoinInvalid(append(problems, err)...)
}

// readShared answers q for the links of a page of statistics.
func (a *API) readShared(c echo.Context, share *store.Share, q *stats.Query, now time.Time) (*stats.Result, error) {
	results, err := stats.Read(c.Request().Context(), a.opts.ClickDays, share.Kind, []string{share.Key}, q, now)
	if err != nil {
		return nil, err
	}
	return &results[0], nil
}

// subjectOf returns what a shared page is about.
func (a *API) subjectOf(s *store.Share) web.Subject {
	_, name, _ := strings.Cut(s.Key, "/")
	switch s.Kind {
	case store.ClickLink:
		short := a.shortURL(s.Key)
		if short == "" {
			_, short = store.SplitKey(s.Key)
		}
		return web.Subject{Kind: web.SubjectLink, Name: strings.TrimPrefix(short, a.scheme+"://")}
	case store.ClickTag:
		return web.Subject{Kind: web.SubjectTag, Name: name}
	case store.ClickDomain:
		host := ""
		if name == "" {
			host = a.host
		} else if d, known := a.opts.Hosts.Domain(name); known {
			host = d.Host
		}
		return web.Subject{Kind: web.SubjectDomain, Name: host} // without a name while the domain was not read
	case store.ClickOwner:
		return web.Subject{Kind: web.SubjectOwner}
	}
	return web.Subject{Kind: web.SubjectAll}
}

// fill sets the numbers of a page.
func fill(v *web.Stats, q *stats.Query, r *stats.Result) {
	v.From, v.To, v.Interval, v.CoarseUntil = q.From, q.To, string(q.Interval), r.CoarseUntil
	if r.Lost != nil {
		v.Lost = *r.Lost
	}
	v.Total = totals(r)
	if r.Before != nil {
		v.Compare, v.Before = true, totals(r.Before)
	}
	for _, p := range r.Series {
		v.Series = append(v.Series, web.Point{Start: p.Start, Clicks: web.Clicks(p.Count)})
	}
	for _, b := range r.Breakdowns {
		shown := web.Breakdown{Dimension: b.Dimension.String(), Other: web.Clicks(b.Other), Unknown: web.Clicks(b.Unknown)}
		for _, value := range b.Values {
			shown.Values = append(shown.Values, web.Value{Name: value.Name, Clicks: web.Clicks(value.Count)})
		}
		v.Breakdowns = append(v.Breakdowns, shown)
	}
}

func totals(r *stats.Result) web.Totals {
	return web.Totals{Clicks: web.Clicks(r.Total), Visitors: r.SumVisitors()}
}
