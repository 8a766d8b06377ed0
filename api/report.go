package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// maxReportFormLen is the longest form of a report in bytes.
const maxReportFormLen = 32 << 10

// report handles the form of the preview page: POST to /{code}+. It also works without
// JavaScript.
func (a *API) report(c echo.Context, name string) error {
	r := c.Request()
	if err := a.csrf.Check(r); err != nil {
		return a.answer(c, policyError, newProblem(http.StatusForbidden, "The form was sent from another website."))
	}
	form, err := a.readForm(c, maxReportFormLen)
	if err != nil {
		return a.fail(c, err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), visitTimeout)
	defer cancel()
	l, err := a.resolve(ctx, r, name)
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
	shown := reportValues(form)
	status := a.takeReport(ctx, c, &l, &shown)
	shown.Sent, shown.Open = status == http.StatusOK, true
	if shown.Sent {
		shown = web.Report{Sent: true, Open: true}
	}
	a.showPreview(c, status, &l, shown)
	return nil
}

// takeReport stores a report and returns the status of the answer. If it fails, it puts the
// errors into shown.
func (a *API) takeReport(ctx context.Context, c echo.Context, l *store.Link, shown *web.Report) int {
	report := store.Report{
		ID: store.NewReportID(l.Code), Code: l.Code, Reason: store.ReportReason(shown.Reason),
		Comment: strings.TrimSpace(shown.Comment), Email: strings.TrimSpace(shown.Email), At: a.now(),
	}
	if problems, ok := errors.AsType[store.InvalidError](store.CheckReport(&report)); ok {
		shown.Errors = map[string]string{}
		for _, p := range problems {
			shown.Errors[p.Field] = p.Reason
		}
		return http.StatusUnprocessableEntity
	}
	limit := a.opts.Limits.Report
	taken := a.takeClient(ctx, "report", a.clientAddr(c.Request()), limit, 1)
	rateHeaders("report", limit, taken).set(c.Response().Header())
	if taken.Allowed == 0 {
		c.Response().Header().Set("Retry-After", retryAfter(taken.RetryAfter))
		shown.General, shown.RetryAfter = "You have sent many reports in a short time.", taken.RetryAfter
		return http.StatusTooManyRequests
	}
	err := a.opts.Reports.AddReport(ctx, report)
	switch {
	case err == nil:
		a.metrics.reports.kept.Inc()
	case errors.Is(err, store.ErrExists): // the link already has many open reports
		a.metrics.reports.repeated.Inc()
	default:
		a.metrics.reports.lost.Inc()
		p := a.problem(ctx, err)
		p.setHeaders(c.Response().Header())
		shown.General = "Your report could not be saved. Please try again later."
		return p.Status
	}
	return http.StatusOK
}

// reportValues returns the visitor's input.
func reportValues(f url.Values) web.Report {
	return web.Report{Reason: f.Get("reason"), Comment: f.Get("comment"), Email: f.Get("email")}
}

// reportBody is a report as the API shows it.
type reportBody struct {
	ID         string     `json:"id" example:"rep_0a1k7q2m9x4p3rs"`
	Code       string     `json:"code" example:"spring"`
	ShortURL   string     `json:"short_url" example:"https://sho.rt/spring"`
	Reason     string     `json:"reason" enum:"phishing,malware,spam,illegal,other"`
	Comment    string     `json:"comment" doc:"Unchecked text of the visitor."`
	Email      string     `json:"email" doc:"Address that the visitor entered, not verified; may be empty."`
	ReportedAt time.Time  `json:"reported_at"`
	ResolvedAt *time.Time `json:"resolved_at" doc:"null while the report is open."`
	ResolvedBy string     `json:"resolved_by" doc:"Id of the API key that closed the report."`
	Resolution string     `json:"resolution" doc:"How the report was resolved."`
}

func (a *API) reportBody(r *store.Report) reportBody {
	return reportBody{
		ID: r.ID, Code: r.Code, ShortURL: a.shortURL(r.Code), Reason: string(r.Reason), Comment: r.Comment, Email: r.Email,
		ReportedAt: r.At, ResolvedAt: timeOrNull(r.ResolvedAt), ResolvedBy: r.ResolvedBy, Resolution: r.Resolution,
	}
}

type listReportsInput struct {
	State  string `query:"state" enum:"open,resolved" default:"open" doc:"Only reports with this state."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Maximum number of reports in the page."`
	Cursor string `query:"cursor" doc:"next_cursor of the previous page."`
}

type listReportsOutput struct {
	Body struct {
		Reports    []reportBody `json:"reports" nullable:"false" doc:"Newest first."`
		NextCursor string       `json:"next_cursor" doc:"Empty on the last page."`

		UnavailableShards []string `json:"unavailable_shards,omitempty" doc:"Shards that did not answer. Their reports are missing from this page. Absent if the page is complete."`
	}
}

// listReports lists the reports of visitors.
func (a *API) listReports(ctx context.Context, in *listReportsInput) (*listReportsOutput, error) {
	after, err := store.ParseCursor(in.Cursor)
	if err != nil {
		return nil, a.pageProblem(ctx, err)
	}
	page, err := a.opts.Reports.ListReports(ctx, store.ReportQuery{Resolved: in.State == "resolved", Limit: in.Limit, After: after})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &listReportsOutput{}
	out.Body.NextCursor = page.Next.String()
	out.Body.UnavailableShards = page.Unavailable
	out.Body.Reports = make([]reportBody, len(page.Reports))
	for i := range page.Reports {
		out.Body.Reports[i] = a.reportBody(&page.Reports[i])
	}
	return out, nil
}

type resolveReportInput struct {
	ID   string `path:"id" doc:"The id of the report." example:"rep_5d2q7x3m9k4w2pz"`
	Body *struct {
		Resolution string `json:"resolution,omitempty" maxLength:"500" doc:"How the report was resolved; a note for other administrators." example:"taken down"`
	}
}

type reportOutput struct {
	Body reportBody
}

// resolveReport closes a report. It does not change the link.
func (a *API) resolveReport(ctx context.Context, in *resolveReportInput) (*reportOutput, error) {
	by := store.Author{ID: callerOf(ctx).Owner()}
	if in.Body != nil {
		by.Note = in.Body.Resolution
	}
	if err := store.CheckText("resolution", by.Note, store.MaxResolutionLen); err != nil {
		return nil, a.problem(ctx, err)
	}
	r, err := a.opts.Reports.ResolveReport(ctx, in.ID, by, a.now())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, newProblem(http.StatusNotFound, "There is no such report.")
	case err != nil:
		return nil, a.problem(ctx, err)
	}
	return &reportOutput{Body: a.reportBody(&r)}, nil
}
