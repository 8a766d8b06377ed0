package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Report is a visitor's complaint about a link.
type Report struct {
	ID      string // see NewReportID
	Code    string
	Reason  ReportReason
	Comment string    // may have several lines; may be empty
	Email   string    // address of the visitor for questions; may be empty
	At      time.Time // UTC, microseconds

	// Client is a digest of the client that sent the report; empty if unknown. Stores delete
	// it when the report is resolved, and never return it.
	Client string

	// Dropped is how many later reports about the link for the same reason found no room
	// while this was the newest one. AddReport ignores it.
	Dropped int64

	ResolvedAt time.Time // the zero time means open
	ResolvedBy string    // as Author.ID
	Resolution string    // what was done, for other admins; may be empty
}

// ReportReason is the reason for a report.
type ReportReason string

// ReportReasons returns every reason in the order of the form.
func ReportReasons() []ReportReason {
	return []ReportReason{"phishing", "malware", "spam", "illegal", "other"}
}

// The limits of a report. Lengths count Unicode code points.
const (
	MaxReportCommentLen = 2000
	MaxReportEmailLen   = 254
	MaxResolutionLen    = 500
)

// Limits on stored reports, so that visitors cannot fill the disk. Each reason has its own
// room: reports for one reason do not displace reports for another one.
const (
	MaxReportsPerLink   = 5    // open reports about one link for one reason
	MaxReportsPerClient = 100  // open reports of one client in one database
	MaxOpenReports      = 4000 // open reports for one reason in one database

	ReportTTL = 90 * 24 * time.Hour
)

// Errors of Reports.AddReport. The report was not added.
var (
	// ErrReported means that the client has an open report about the link.
	ErrReported = errors.New("the client has already reported the link")

	// ErrEnough means that MaxReportsPerLink reports are open.
	ErrEnough = errors.New("enough reports about the link are open")

	// ErrFull means that the database has no room for the report.
	ErrFull = errors.New("too many reports are open")
)

// OpenReports are the numbers of open reports in one database that decide whether there is
// room for another one. Numbers above a limit may be given as the limit.
type OpenReports struct {
	OfClientAndLink int // of the same client about the same link
	OfLink          int // about the same link for the same reason
	OfClient        int // of the same client
	OfReason        int // for the same reason
}

// Room returns nil if there is room for the report, or the error of AddReport. Half of the
// room for a reason is for links without a report for that reason, so that reports about some
// links cannot fill it.
func (o OpenReports) Room() error {
	switch {
	case o.OfClientAndLink > 0:
		return ErrReported
	case o.OfLink >= MaxReportsPerLink:
		return ErrEnough
	case o.OfClient >= MaxReportsPerClient, o.OfReason >= MaxOpenReports, o.OfLink > 0 && o.OfReason >= MaxOpenReports/2:
		return ErrFull
	}
	return nil
}

// Reports keeps reports in the database of their links. Resolved reports are deleted after
// ReportTTL. Implementations are safe for concurrent use and return ErrUnavailable as Store
// does.
type Reports interface {
	// AddReport adds an open report. It returns the error of OpenReports.Room if there is no
	// room. For ErrEnough and ErrFull it increments Dropped of the newest open report about
	// the link for the same reason, if there is one.
	AddReport(ctx context.Context, r Report) error

	// ResolveReport resolves a report and returns it, or ErrNotFound. A second call keeps the
	// first time, author and note.
	ResolveReport(ctx context.Context, id string, by Author, at time.Time) (Report, error)

	// ListReports returns reports, newest first.
	ListReports(ctx context.Context, q ReportQuery) (ReportPage, error)
}

// ReportCounter counts the reports in one database.
type ReportCounter interface {
	// OpenReports returns how many reports are open.
	OpenReports(ctx context.Context) (int, error)
}

// ReportQuery selects reports for ListReports.
type ReportQuery struct {
	Resolved bool   // true for resolved reports, false for open ones
	Limit    int    // most reports in the page; below 1 counts as 1, above MaxPageLen as MaxPageLen
	After    Cursor // the page begins after this report, whose ID is in Code
}

// ReportPage is one page of reports.
type ReportPage struct {
	Reports     []Report
	Next        Cursor   // where the next page begins; zero on the last page
	Unavailable []string // see Page
}

const reportIDPrefix = "rep_"

// NewReportID returns a new id for a report about a link. It contains the bucket of the
// link and has the syntax of a code.
func NewReportID(code string) string {
	return fmt.Sprintf("%s%03x%s", reportIDPrefix, BucketOf(code), strings.ToLower(rand.Text()[:12]))
}

// ReportBucket returns the bucket of the link from the id of a report. It returns false if
// id is not the id of a report.
func ReportBucket(id string) (int, bool) {
	rest, ok := strings.CutPrefix(id, reportIDPrefix)
	if !ok || len(rest) < 4 || !ValidCode(id) {
		return 0, false
	}
	bucket, err := strconv.ParseUint(rest[:3], 16, 12)
	return int(bucket), err == nil
}

// CheckReport checks the input of a visitor. It returns an InvalidError with every problem,
// or nil.
func CheckReport(r *Report) error {
	var bad InvalidError
	if !slices.Contains(ReportReasons(), r.Reason) {
		bad.add("reason", "must be one of the list")
	}
	if !utf8.ValidString(r.Comment) || strings.ContainsFunc(r.Comment, disruptsText) {
		bad.add("comment", "must not contain control characters or bidirectional overrides")
	}
	if utf8.RuneCountInString(r.Comment) > MaxReportCommentLen {
		bad.add("comment", fmt.Sprintf("must be at most %d characters long", MaxReportCommentLen))
	}
	if r.Email != "" && !mayBeEmail(r.Email) {
		bad.add("email", "must be an e-mail address, or empty")
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// disruptsText is disruptsLine for a text of several lines.
func disruptsText(c rune) bool { return c != '\n' && c != '\r' && c != '\t' && disruptsLine(c) }

// mayBeEmail reports whether s looks like an e-mail address. Only sending a mail can prove
// it.
func mayBeEmail(s string) bool {
	name, domain, ok := strings.Cut(s, "@")
	return ok && name != "" && strings.Contains(domain, ".") && !strings.Contains(domain, "@") && len(s) <= MaxReportEmailLen &&
		textProblem(s) == "" && !strings.ContainsFunc(s, unicode.IsSpace)
}

// Place returns the position of the report in a list.
func (r *Report) Place() Cursor { return Cursor{CreatedAt: r.At, Code: r.ID} }

// Cut shortens the page to limit reports. If it had more, Cut sets Next.
func (p *ReportPage) Cut(limit int) {
	if len(p.Reports) > limit {
		clear(p.Reports[limit:])
		p.Reports = p.Reports[:limit]
		p.Next = p.Reports[limit-1].Place()
	}
}
