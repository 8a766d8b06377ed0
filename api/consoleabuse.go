package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/abuse"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

const (
	reportsScreen   = web.ConsolePath + "reports"
	blocklistScreen = web.ConsolePath + "blocklist"

	reportsPage     = 25 // reports in a page
	reportReads     = 8  // links of a page of reports that are read at the same time
	blocklistLength = 100
)

// reportsScreen shows the reports of visitors.
func (a *API) reportsScreen(c echo.Context, s *session) error {
	v := web.ReportList{Cursor: c.QueryParam("cursor"), Done: done[c.QueryParam(doneParam)]}
	switch c.QueryParam("state") {
	case "", "open":
	case "resolved":
		v.Resolved = true
	default:
		return ofQuery(&store.FieldError{Field: "state", Reason: "must be open or resolved"})
	}
	return a.showReports(c, s, http.StatusOK, v)
}

// showReports shows v with a page of the reports and their links.
func (a *API) showReports(c echo.Context, s *session, status int, v web.ReportList) error {
	ctx := c.Request().Context()
	page, err := a.opts.Abuse.ListReports(ctx, s, abuse.Query{Resolved: v.Resolved, Limit: reportsPage, Cursor: v.Cursor})
	if err != nil {
		return ofQuery(err)
	}
	v.Unavailable = len(page.Unavailable) > 0
	v.Rows = make([]web.ReportRow, len(page.Reports))
	var reads errgroup.Group
	reads.SetLimit(reportReads)
	for i := range page.Reports {
		reads.Go(func() error {
			v.Rows[i] = a.reportRow(ctx, s, &page.Reports[i])
			return nil
		})
	}
	_ = reads.Wait() // a row says why its link is missing
	if !page.Next.IsZero() {
		q := url.Values{"cursor": {page.Next.String()}}
		if v.Resolved {
			q.Set("state", "resolved")
		}
		v.Next = reportsScreen + "?" + q.Encode()
	}
	a.pages.ReportList(c.Response(), status, s.viewer(), v)
	return nil
}

// reportRow returns a report with its link.
func (a *API) reportRow(ctx context.Context, s *session, r *store.Report) web.ReportRow {
	row := web.ReportRow{
		ID: r.ID, Reason: string(r.Reason), Comment: r.Comment, Email: r.Email, At: r.At, Dropped: r.Dropped,
		ResolvedAt: r.ResolvedAt, ResolvedBy: r.ResolvedBy, Resolution: r.Resolution,
	}
	l, err := a.opts.Links.Get(ctx, &s.Caller, r.Code)
	switch {
	case err == nil:
		row.Link, row.Version, row.Rules = a.row(&l), l.Version, l.Rules != ""
		return row
	case errors.Is(err, store.ErrGone):
		row.Missing = "The link was deleted."
	case errors.Is(err, store.ErrNotFound):
		row.Missing = "The link does not exist."
	default:
		row.Missing = "The link cannot be read now."
	}
	row.Link.ShortURL = a.shortURL(r.Code)
	if row.Link.ShortURL == "" {
		row.Link.ShortURL = r.Code
	}
	return row
}

// disableReported disables the link of a report, and closes the report.
func (a *API) disableReported(c echo.Context, s *session) error {
	if err := a.opts.Links.May(&s.Caller, links.Moderating); err != nil {
		return err
	}
	reason := s.form.Get("reason")
	err := links.CheckReason(reason)
	if strings.TrimSpace(reason) == "" {
		err = &store.FieldError{Field: "reason", Reason: "must not be empty"}
	}
	if err != nil {
		return a.failedReport(c, s, err)
	}
	host, code, _ := strings.Cut(s.form.Get("link"), "/")
	key, err := a.keyOfRef(s, host, code)
	if err == nil {
		_, err = a.opts.Links.Disable(c.Request().Context(), &s.Caller, key, versionsOf(`"`+s.form.Get("version")+`"`), reason)
	}
	if err != nil {
		return err
	}
	return a.closeWith(c, s, reason, "reported-disabled")
}

// closeReport closes a report. The link does not change.
func (a *API) closeReport(c echo.Context, s *session) error {
	return a.closeWith(c, s, s.form.Get("resolution"), "closed")
}

// closeWith closes the report in the path of a request with a note, and leads to the open reports.
func (a *API) closeWith(c echo.Context, s *session, note, action string) error {
	_, err := a.opts.Abuse.ResolveReport(c.Request().Context(), s, c.Param("id"), note)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return newProblem(http.StatusNotFound, "There is no such report.")
	case store.IsInvalid(err):
		return a.failedReport(c, s, err)
	case err != nil:
		return err
	}
	q := url.Values{doneParam: {action}}
	if cursor := s.form.Get("cursor"); cursor != "" {
		q.Set("cursor", cursor)
	}
	return c.Redirect(http.StatusSeeOther, reportsScreen+"?"+q.Encode())
}

// failedReport shows the open reports again, with the errors of the form of one report.
func (a *API) failedReport(c echo.Context, s *session, err error) error {
	return a.showReports(c, s, http.StatusUnprocessableEntity, web.ReportList{
		Cursor: s.form.Get("cursor"), Failed: c.Param("id"), Reason: s.form.Get("reason"), Resolution: s.form.Get("resolution"), Errors: fieldErrors(err),
	})
}

// blocklistScreen shows the blocked hosts of the database.
func (a *API) blocklistScreen(c echo.Context, s *session) error {
	return a.showBlocklist(c, s, http.StatusOK, web.Blocklist{Done: done[c.QueryParam(doneParam)]})
}

// showBlocklist shows v with a page of the blocked hosts.
func (a *API) showBlocklist(c echo.Context, s *session, status int, v web.Blocklist) error {
	cursor := c.QueryParam("cursor")
	hosts, next, err := a.opts.Abuse.BlockedHosts(c.Request().Context(), s, cursor, blocklistLength)
	if err != nil {
		return ofQuery(err)
	}
	v.Continued = cursor != ""
	for i := range hosts {
		v.Rows = append(v.Rows, web.BlockedRow{Host: hosts[i].Pattern.String(), Reason: hosts[i].Reason, By: hosts[i].By, At: hosts[i].BlockedAt})
	}
	if next != "" {
		v.Next = blocklistScreen + "?" + url.Values{"cursor": {next}}.Encode()
	}
	a.pages.Blocklist(c.Response(), status, s.viewer(), v)
	return nil
}

// blockByForm blocks a host.
func (a *API) blockByForm(c echo.Context, s *session) error {
	v := web.Blocklist{Host: s.form.Get("host"), Reason: s.form.Get("reason")}
	_, err := a.opts.Abuse.BlockHost(c.Request().Context(), s, v.Host, v.Reason)
	if store.IsInvalid(err) {
		v.Errors = fieldErrors(err)
		return a.showBlocklist(c, s, http.StatusUnprocessableEntity, v)
	}
	if err != nil {
		return err
	}
	return finish(c, blocklistScreen, "blocked")
}

// unblockByForm removes a host from the blocklist of the database.
func (a *API) unblockByForm(c echo.Context, s *session) error {
	err := a.opts.Abuse.UnblockHost(c.Request().Context(), s, s.form.Get("host"))
	if errors.Is(err, store.ErrNotFound) {
		err = newProblem(http.StatusNotFound, "This host is not blocked here.")
	}
	if err != nil {
		return err
	}
	return finish(c, blocklistScreen, "unblocked")
}
