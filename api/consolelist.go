package api

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// filterParams are the parameters that select links in the console. They stay in the address of the
// next page and of the export.
var filterParams = []string{"q", "tag", "domain", "owner", "state", "created_from", "created_until"}

// filter returns the sent parameters that select links.
func filter(p url.Values) url.Values {
	kept := url.Values{}
	for _, name := range filterParams {
		if p.Get(name) != "" {
			kept.Set(name, p.Get(name))
		}
	}
	return kept
}

// formDay returns the day in a field of a form or an address, in UTC; zero for an empty field.
func formDay(f url.Values, field string) (time.Time, error) {
	text := f.Get(field)
	if text == "" {
		return time.Time{}, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil || day.Year() < 1970 {
		return time.Time{}, &store.FieldError{Field: field, Reason: "must be a date"}
	}
	return day, nil
}

// listQuery returns the links that the parameters of a list select. An administrator sees the links of
// all workspaces. The error names every invalid parameter.
func listQuery(p url.Values, s *session) (links.Query, error) {
	from, wrongFrom := formDay(p, "created_from")
	until, wrongUntil := formDay(p, "created_until")
	if !until.IsZero() {
		until = until.AddDate(0, 0, 1) // the day itself counts
	}
	state, wrongState := stateParam(p.Get("state"))
	q := links.Query{
		Owner: ownerParam(p.Get("owner")), Domain: p.Get("domain"), Tag: p.Get("tag"), Search: p.Get("q"),
		State: state, CreatedFrom: from, CreatedTo: until, Cursor: p.Get("cursor"),
	}
	if q.Owner == nil && s.Require(store.ScopeAdmin) == nil {
		q.Owner = new(links.AllOwners)
	}
	return q, store.JoinInvalid(
		store.CheckText("q", q.Search, 200), store.CheckText("tag", q.Tag, store.MaxTagLen), store.CheckText("domain", q.Domain, 260),
		store.CheckText("owner", p.Get("owner"), store.MaxWorkspaceLen), wrongFrom, wrongUntil, wrongState,
	)
}

// listScreen shows the links that match the query.
func (a *API) listScreen(c echo.Context, s *session) error {
	p := c.QueryParams()
	v := web.LinkList{
		Search: p.Get("q"), Tag: p.Get("tag"), Domain: p.Get("domain"), Owner: p.Get("owner"), State: p.Get("state"),
		CreatedFrom: p.Get("created_from"), CreatedUntil: p.Get("created_until"), Continued: p.Get("cursor") != "", Done: done[p.Get(doneParam)],
		Export: exportScreen + "?" + filter(p).Encode(),
	}
	q, err := listQuery(p, s)
	var page store.Page
	if err == nil {
		q.Limit = consolePage
		page, err = a.opts.Links.List(c.Request().Context(), &s.Caller, q)
	}
	if store.IsInvalid(err) && !errors.Is(err, store.ErrCursor) {
		v.Errors = fieldErrors(err)
		a.pages.LinkList(c.Response(), http.StatusUnprocessableEntity, s.viewer(), v)
		return nil
	}
	if err != nil {
		return ofQuery(err)
	}
	v.Unavailable = len(page.Unavailable) > 0
	for i := range page.Links {
		v.Rows = append(v.Rows, a.row(&page.Links[i]))
	}
	if !page.Next.IsZero() {
		next := filter(p)
		next.Set("cursor", page.Next.String())
		v.Next = linksScreen + "?" + next.Encode()
	}
	a.pages.LinkList(c.Response(), http.StatusOK, s.viewer(), v)
	return nil
}
