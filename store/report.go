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

// Limits on stored reports, so that visitors cannot fill the disk.
const (
	MaxReportsPerLink = 20     // open reports about one link
	MaxOpenReports    = 10_000 // open reports in one database
	ReportTTL         = 90 * 24 * time.Hour
)

// ErrFull means that MaxOpenReports are open.
var ErrFull = errors.New("too many reports are open")

// Reports keeps reports in the database of their links. Resolved reports are deleted after
// ReportTTL. Implementations are safe for concurrent use and return ErrUnavailable as Store
// does.
type Reports interface {
	// AddReport adds an open report. It returns ErrExists if MaxReportsPerLink are open for
	// the link, and ErrFull if MaxOpenReports are open for all links.
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
