package abuse

import (
	"context"
	"strings"

	"github.com/terse/terse/store"
)

// Complaint is a visitor's report of a link.
type Complaint struct {
	Code    string // of the link
	Reason  string // one of store.ReportReasons
	Comment string // may be empty
	Email   string // address for questions; may be empty

	// Client distinguishes clients, for example by their network. It is stored only as a
	// keyed digest, until the report is resolved. Empty: unknown.
	Client string

	Quota Quota // limits the reports of the client; nil: no limit
}

// Quota limits the reports of one client.
type Quota interface {
	// TakeReport counts one valid report. It returns an error if the client's limit is
	// reached. Report then returns this error.
	TakeReport(ctx context.Context) error
}

// Report stores a complaint. Blanks around the comment and the address are removed. Report
// returns store.ErrReported, store.ErrEnough or store.ErrFull if there is no room for it, see
// store.OpenReports.
func (s *Service) Report(ctx context.Context, c Complaint) error {
	r := store.Report{
		ID: store.NewReportID(c.Code), Code: c.Code, Reason: store.ReportReason(c.Reason),
		Comment: strings.TrimSpace(c.Comment), Email: strings.TrimSpace(c.Email), At: s.now(), Client: s.clientDigest(c.Client),
	}
	if err := store.CheckReport(&r); err != nil {
		return err
	}
	if c.Quota != nil {
		if err := c.Quota.TakeReport(ctx); err != nil {
			return err
		}
	}
	return s.opts.Reports.AddReport(ctx, r)
}

// Query selects reports for ListReports.
type Query struct {
	Resolved bool   // true for resolved reports, false for open ones
	Limit    int    // maximum number of reports in the page, see store.ReportQuery
	Cursor   string // store.ReportPage.Next of the previous page as text; empty for the first page
}

// ListReports returns a page of reports, newest first. For an invalid cursor the error is
// store.ErrCursor.
func (s *Service) ListReports(ctx context.Context, who Caller, q Query) (store.ReportPage, error) {
	if err := s.May(who); err != nil {
		return store.ReportPage{}, err
	}
	after, err := store.ParseCursor(q.Cursor)
	if err != nil {
		return store.ReportPage{}, err
	}
	return s.opts.Reports.ListReports(ctx, store.ReportQuery{Resolved: q.Resolved, Limit: q.Limit, After: after})
}

// ResolveReport closes a report with a note for other admins, and returns it. It does not
// change the link. For an unknown id it returns store.ErrNotFound.
func (s *Service) ResolveReport(ctx context.Context, who Caller, id, resolution string) (store.Report, error) {
	if err := s.May(who); err != nil {
		return store.Report{}, err
	}
	if err := store.CheckText("resolution", resolution, store.MaxResolutionLen); err != nil {
		return store.Report{}, err
	}
	return s.opts.Reports.ResolveReport(ctx, id, store.Author{ID: who.Author(), Note: resolution}, s.now())
}
