package api

import (
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

// home shows the home page with the form.
func (a *API) home(c echo.Context) error {
	a.pages.Home(c.Response(), http.StatusOK, web.Home{})
	return nil
}

// shorten handles the form of the home page when the browser has no JavaScript.
func (a *API) shorten(c echo.Context) error {
	r := c.Request()
	if err := a.csrf.Check(r); err != nil {
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
	in, problems := formInput(form)
	if len(problems) > 0 {
		return a.showForm(c, shown, invalid(problems...))
	}
	created := a.create(r.Context(), who, in.draft("", false))
	if created.Err != nil {
		return a.showForm(c, shown, withLimits(charged.headers, a.problem(r.Context(), created.Err)))
	}
	l := &created.Link
	a.pages.Home(c.Response(), http.StatusCreated, web.Home{Result: &web.Result{
		Code: l.Code, ShortURL: a.shortURL(l.Code), URL: l.URL, QRPath: qrPath(l.Code),
	}})
	return nil
}

// showForm shows the form again, with the visitor's input and the errors.
func (a *API) showForm(c echo.Context, shown web.Home, p *problem) error {
	shown.Errors = map[string]string{}
	for _, e := range p.Errors {
		field := strings.TrimPrefix(e.Location, "body.")
		shown.Errors[field] = e.Message
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

// formInput converts the form to the body of a create. Empty fields become absent members.
func formInput(f url.Values) (*CreateInput, []*store.FieldError) {
	var problems []*store.FieldError
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
			problems = append(problems, &store.FieldError{Field: "expires_at", Reason: "must be a date and a time"})
		}
		in.ExpiresAt = some(at)
	}
	if v := f.Get("max_clicks"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			problems = append(problems, &store.FieldError{Field: "max_clicks", Reason: "must be a whole number"})
		}
		in.MaxClicks = some(n)
		if n == 1 { // programs that open links, such as chats, must not use the only click
			in.Confirm = some(true)
		}
	}
	return in, problems
}

// preview shows the target of a link instead of redirecting.
func (a *API) preview(c echo.Context, name string) error {
	l, err := a.resolve(c.Request().Context(), c.Request(), name)
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
	a.showPreview(c, http.StatusOK, &l, web.Report{})
	return nil
}

// showPreview writes the preview page of a live link.
func (a *API) showPreview(c echo.Context, status int, l *store.Link, report web.Report) {
	shown := web.Preview{
		Code: l.Code, ShortURL: a.shortURL(l.Code), Title: l.Title,
		URL: l.URL, CreatedAt: l.CreatedAt, ExpiresAt: l.ExpiresAt, Report: report,
	}
	switch {
	case l.PasswordHash != "":
		shown.HiddenReason = web.HiddenByPassword
		shown.Title = ""
	case l.MaxClicks > 0:
		shown.HiddenReason = web.HiddenByMaxClicks
	}
	a.pages.Preview(c.Response(), status, shown)
}
