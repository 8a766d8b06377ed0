package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/abuse"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// maxReportFormLen is the longest form of a report in bytes.
const maxReportFormLen = 32 << 10

// report handles the form of the preview page: POST to /{code}+. It also works without
// JavaScript.
func (a *API) report(c echo.Context, name string) error {
	r := c.Request()
	if err := a.visitorForms.Check(r); err != nil {
		return a.answer(c, policyError, newProblem(http.StatusForbidden, "The form was sent from another website."))
	}
	form, err := a.readForm(c, maxReportFormLen)
	if err != nil {
		return a.fail(c, err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), visitTimeout)
	defer cancel()
	l, err := a.resolve(ctx, c, name)
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
	shown.Open = true
	return a.showPreview(c, status, &l, shown)
}

// takeReport stores a report and returns the status of the answer. It puts the text for the
// visitor, or the errors, into shown.
func (a *API) takeReport(ctx context.Context, c echo.Context, l *store.Link, shown *web.Report) int {
	addr := a.clientAddr(c.Request())
	quota := &reportQuota{api: a, addr: addr}
	err := a.opts.Abuse.Report(ctx, abuse.Complaint{
		Code: l.Code, Reason: shown.Reason, Comment: shown.Comment, Email: shown.Email,
		Client: cmp.Or(ratelimit.NetworkKey(addr), ratelimit.ClientKey(addr)), Quota: quota,
	})
	rateHeaders("report", a.opts.Limits.Report, quota.taken).set(c.Response().Header())
	problems, invalid := errors.AsType[store.InvalidError](err)
	switch {
	case err == nil:
		a.metrics.reports.kept.Inc()
		*shown = web.Report{Done: "Thank you. We will check this link."}
	case invalid:
		shown.Errors = map[string]string{}
		for _, p := range problems {
			shown.Errors[p.Field] = p.Reason
		}
		return http.StatusUnprocessableEntity
	case errors.Is(err, errReportLimit):
		c.Response().Header().Set("Retry-After", retryAfter(quota.taken.RetryAfter))
		shown.General, shown.RetryAfter = "You have sent many reports in a short time.", quota.taken.RetryAfter
		return http.StatusTooManyRequests
	case errors.Is(err, store.ErrReported):
		a.metrics.reports.repeated.Inc()
		*shown = web.Report{Done: "You have already reported this link. We will check it."}
	case errors.Is(err, store.ErrEnough):
		a.metrics.reports.dropped.Inc()
		*shown = web.Report{Done: "Enough visitors have reported this link for this reason. We have counted your report."}
	default:
		if errors.Is(err, store.ErrFull) {
			a.metrics.reports.dropped.Inc()
		} else {
			a.metrics.reports.lost.Inc()
		}
		p := a.problem(ctx, err)
		p.setHeaders(c.Response().Header())
		shown.General = "Your report could not be saved. Please try again later."
		return p.Status
	}
	return http.StatusOK
}

// reportQuota limits the reports of one client.
type reportQuota struct {
	api   *API
	addr  netip.Addr
	taken ratelimit.Result // zero before TakeReport
}

// errReportLimit means that a client has sent too many reports.
var errReportLimit = errors.New("the limit of reports is reached")

// TakeReport implements abuse.Quota.
func (q *reportQuota) TakeReport(ctx context.Context) error {
	q.taken = q.api.takeClient(ctx, "report", q.addr, q.api.opts.Limits.Report, 1)
	if q.taken.Allowed == 0 {
		return errReportLimit
	}
	return nil
}

// reportValues returns the visitor's input.
func reportValues(f url.Values) web.Report {
	return web.Report{Reason: f.Get("reason"), Comment: f.Get("comment"), Email: f.Get("email")}
}

// reportBody is a report as the API shows it.
type reportBody struct {
	ID         string     `json:"id" doc:"The id of the report." example:"rep_0a1k7q2m9x4p3rs"`
	Code       string     `json:"code" doc:"The code or alias of the link." example:"spring"`
	Domain     string     `json:"domain" doc:"The primary host of the domain of the link." example:"sho.rt"`
	ShortURL   string     `json:"short_url" doc:"The short URL of the link." example:"https://sho.rt/spring"`
	Reason     string     `json:"reason" enum:"phishing,malware,spam,illegal,other" doc:"What the visitor reported."`
	Comment    string     `json:"comment" doc:"Unchecked text of the visitor."`
	Email      string     `json:"email" doc:"Address that the visitor entered, not verified; may be empty."`
	ReportedAt time.Time  `json:"reported_at" doc:"When the visitor sent the report."`
	Dropped    int64      `json:"dropped" doc:"Number of later reports about the link for the same reason that were not kept, because enough of them were open."`
	ResolvedAt *time.Time `json:"resolved_at" doc:"null while the report is open."`
	ResolvedBy string     `json:"resolved_by" doc:"Id of the API key that closed the report."`
	Resolution string     `json:"resolution" doc:"How the report was resolved."`
}

func (a *API) reportBody(r *store.Report) reportBody {
	_, code := store.SplitKey(r.Code)
	return reportBody{
		ID: r.ID, Code: code, Domain: a.opts.Links.HostOf(r.Code), ShortURL: a.shortURL(r.Code), Reason: string(r.Reason), Comment: r.Comment, Email: r.Email,
		ReportedAt: r.At, Dropped: r.Dropped, ResolvedAt: timeOrNull(r.ResolvedAt), ResolvedBy: r.ResolvedBy, Resolution: r.Resolution,
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
	page, err := a.opts.Abuse.ListReports(ctx, callerOf(ctx), abuse.Query{Resolved: in.State == "resolved", Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, a.pageProblem(ctx, err)
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
	ID string `path:"id" doc:"The id of the report." example:"rep_5d2q7x3m9k4w2pz"`
}

type resolveReportInputBody struct {
	Resolution string `json:"resolution,omitempty" maxLength:"500" doc:"How the report was resolved; a note for other administrators." example:"taken down"`
}

type reportOutput struct {
	Body reportBody
}

// resolveReport closes a report. It does not change the link.
func (a *API) resolveReport(ctx context.Context, in *resolveReportInput) (*reportOutput, error) {
	body, err := decodeOptional(ctx, a.schemas, func(in *resolveReportInputBody) error {
		return store.CheckText("resolution", in.Resolution, store.MaxResolutionLen)
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	r, err := a.opts.Abuse.ResolveReport(ctx, callerOf(ctx), in.ID, body.Resolution)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, newProblem(http.StatusNotFound, "There is no such report.")
	case err != nil:
		return nil, a.problem(ctx, err)
	}
	return &reportOutput{Body: a.reportBody(&r)}, nil
}
