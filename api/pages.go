package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// createdParam is the parameter of the home page that names the link to show as created.
const createdParam = "created"

// home shows the home page: the form, or the link that a form has created. Everybody can request
// this for any link, so the page shows no more than the preview, the settings of the link and
// that it has a password.
func (a *API) home(c echo.Context) error {
	code := c.QueryParam(createdParam)
	if code == "" {
		a.pages.Home(c.Response(), http.StatusOK, web.Home{})
		return nil
	}
	return a.withLive(c, code, func(l *store.Link) error {
		shown := &web.Result{
			Code: l.Code, ShortURL: a.shortURL(l.Code), QRPath: qrPath(l.Code), URL: l.URL, Title: l.Title,
			ExpiresAt: l.ExpiresAt, MaxClicks: l.MaxClicks, Protected: l.PasswordHash != "", Hidden: hiddenReason(l) != "",
		}
		if shown.Protected {
			shown.Title = ""
		}
		a.pages.Home(c.Response(), http.StatusOK, web.Home{Result: shown})
		return nil
	})
}

// shorten handles the form of the home page when the browser has no JavaScript.
func (a *API) shorten(c echo.Context) error {
	r := c.Request()
	if err := a.visitorForms.Check(r); err != nil {
		return a.answer(c, policyError, newProblem(http.StatusForbidden, "The form was sent from another website."))
	}
	who := a.newCaller(a.clientAddr(r), nil)
	if err := a.opts.Links.May(&who.Caller, links.Creating); err != nil {
		return a.fail(c, err)
	}
	taken, headers := a.takeCreates(r.Context(), who, 1)
	headers.set(c.Response().Header())
	form, err := a.readForm(c, maxFormLen)
	if err != nil {
		return a.fail(c, err)
	}
	return a.admit(func(c echo.Context) error { return a.shortenForm(c, who, form, charge{taken, headers}) })(c)
}

// shortenForm creates the link of a form and shows the home page with the result.
func (a *API) shortenForm(c echo.Context, who *caller, form url.Values, charged charge) error {
	r, shown, taken := c.Request(), formValues(form), charged.taken
	if taken.Allowed == 0 {
		c.Response().Header().Set("Retry-After", retryAfter(taken.RetryAfter))
		shown.General = "You have created many links in a short time. Please try again in " + taken.RetryAfter.String() + "."
		a.pages.Home(c.Response(), http.StatusTooManyRequests, shown)
		return nil
	}
	in, unreadable := formInput(form)
	d := in.draft("", false)
	d.Err = store.JoinInvalid(unreadable, d.Err)
	created := a.create(r.Context(), who, d)
	if created.Err != nil {
		return a.showForm(c, shown, withLimits(charged.headers, a.problem(r.Context(), created.Err)))
	}
	a.setPolicy(c.Response().Header(), policyNever)
	return c.Redirect(http.StatusSeeOther, "/?"+url.Values{createdParam: {created.Link.Code}}.Encode()) // a reload sends no second form
}

// showForm shows the form again, with the visitor's input and the errors.
func (a *API) showForm(c echo.Context, shown web.Home, p *problem) error {
	shown.Errors = map[string]string{}
	for _, e := range p.Errors {
		field := strings.TrimPrefix(e.Location, "body.")
		if shown.Errors[field] == "" {
			shown.Errors[field] = e.Message
		}
	}
	switch {
	case p.Status == http.StatusConflict:
		shown.Errors["alias"] = p.Detail
	case len(p.Errors) == 0:
		shown.General = p.Detail
	}
	p.setHeaders(c.Response().Header())
	a.pages.Home(c.Response(), p.Status, shown)
	return nil
}

// formTime is the layout of a datetime-local input in a form.
const formTime = "2006-01-02T15:04"

// formValues returns the visitor's input without the password.
func formValues(f url.Values) web.Home {
	return web.Home{
		URL:       f.Get("url"),
		Alias:     f.Get("alias"),
		Title:     f.Get("title"),
		ExpiresAt: f.Get("expires_at"),
		MaxClicks: f.Get("max_clicks"),
	}
}

// formInput converts the form to the body of a create. Empty and unreadable fields become absent
// members. The error names every unreadable field.
func formInput(f url.Values) (*CreateInput, error) {
	var date, clicks error
	in := &CreateInput{URL: f.Get("url")}
	if v := f.Get("alias"); v != "" {
		in.Alias = some(v)
	}
	if v := f.Get("title"); v != "" {
		in.Title = some(v)
	}
	if v := f.Get("password"); v != "" {
		in.Password = some(v)
	}
	if v := f.Get("expires_at"); v != "" {
		at, err := time.Parse(formTime, v)
		if err != nil {
			date = &store.FieldError{Field: "expires_at", Reason: "must be a date and a time"}
		} else {
			in.ExpiresAt = some(at)
		}
	}
	if v := strings.TrimSpace(f.Get("max_clicks")); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			clicks = &store.FieldError{Field: "max_clicks", Reason: "must be a whole number"}
		} else {
			in.MaxClicks = some(n)
		}
		if n == 1 { // programs that open links, such as chats, must not use the only click
			in.Confirm = some(true)
		}
	}
	return in, store.JoinInvalid(date, clicks)
}

// preview shows the target of a link instead of redirecting.
func (a *API) preview(c echo.Context, name string) error {
	return a.withLive(c, name, func(l *store.Link) error { return a.showPreview(c, http.StatusOK, l, web.Report{}) })
}

// withLive calls show with the link of a visitor's path if it is live. Otherwise it answers with
// an error.
func (a *API) withLive(c echo.Context, name string, show func(l *store.Link) error) error {
	l, err := a.resolve(c.Request().Context(), c, name)
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
	return show(&l)
}

// hiddenReason returns why pages must not show the whole target of a link, see web.Preview.
func hiddenReason(l *store.Link) string {
	switch {
	case l.PasswordHash != "":
		return web.HiddenByPassword
	case l.MaxClicks > 0:
		return web.HiddenByMaxClicks
	}
	return ""
}

// showPreview writes the preview page of a live link.
func (a *API) showPreview(c echo.Context, status int, l *store.Link, report web.Report) error {
	ruled, err := previewRules(l.Rules)
	if err != nil {
		return a.visitError(c, l.BareCode(), fmt.Errorf("%w: %w", store.ErrUnavailable, err))
	}
	shown := web.Preview{
		Code: l.BareCode(), ShortURL: a.shortURL(l.Code), Title: l.Title,
		URL: l.URL, Rules: ruled, CreatedAt: l.CreatedAt, ExpiresAt: l.ExpiresAt, HiddenReason: hiddenReason(l), Report: report,
	}
	if l.PasswordHash != "" {
		shown.Title = ""
	}
	if _, previewed := cutPlus(c.Request().URL.Path[1:]); !previewed {
		if shown.Rest = restOf(c.Request(), l); len(ruled) == 0 {
			shown.URL = store.JoinPath(l.URL, shown.Rest)
		}
	}
	a.pagesOf(c).Preview(c.Response(), status, shown)
	return nil
}
