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

// Report is what a visitor has against a link.
type Report struct {
	ID      string // see NewReportID
	Code    string
	Reason  ReportReason
	Comment string    // of several lines; may be empty
	Email   string    // under which the visitor can be asked; may be empty
	At      time.Time // UTC, microseconds

	ResolvedAt time.Time // zero while it is open
	ResolvedBy string    // as Author.ID
	Resolution string    // what was done, for other admins; may be empty
}

// ReportReason is what a link is reported for.
type ReportReason string

// ReportReasons returns every reason, in the order in which visitors choose.
func ReportReasons() []ReportReason {
	return []ReportReason{"phishing", "malware", "spam", "illegal", "other"}
}

// The limits of a report. Lengths count Unicode code points.
const (
	MaxReportCommentLen = 2000
	MaxReportEmailLen   = 254
	MaxResolutionLen    = 500
)

// How many reports are kept, so that nobody can fill the disk with them.
const (
	MaxReportsPerLink = 20     // that are open: more say nothing new
	MaxOpenReports    = 10_000 // in one place
	ReportTTL         = 90 * 24 * time.Hour
)

// ErrFull says that there is no room for another report.
var ErrFull = errors.New("too many reports are open")

// Reports keeps reports where the links are that they are about. Those that were
// resolved are forgotten after ReportTTL. Implementations are safe for concurrent
// use and return ErrUnavailable as Store does.
type Reports interface {
	// AddReport adds an open report. It returns ErrExists when MaxReportsPerLink are
	// open for the link, and ErrFull when MaxOpenReports are for all links.
	AddReport(ctx context.Context, r Report) error

	// ResolveReport closes a report and returns it, or ErrNotFound. Closing it twice
	// keeps the first time.
	ResolveReport(ctx context.Context, id string, by Author, at time.Time) (Report, error)

	// ListReports returns reports, newest first.
	ListReports(ctx context.Context, q ReportQuery) (ReportPage, error)
}

// ReportCounter counts the reports in one place.
type ReportCounter interface {
	// OpenReports returns how many reports are open.
	OpenReports(ctx context.Context) (int, error)
}

// ReportQuery chooses what ListReports returns.
type ReportQuery struct {
	Resolved bool   // those that were resolved, else those that are open
	Limit    int    // most reports in the page; below 1 counts as 1, above MaxPageLen as that
	After    Cursor // the page begins behind this report, whose ID is Code here
}

// ReportPage is one page of reports.
type ReportPage struct {
	Reports     []Report
	Next        Cursor   // where the next page begins; zero when this is the last
	Unavailable []string // as in Page
}

const reportIDPrefix = "rep_"

// NewReportID returns a fresh id for a report about a link. It tells the bucket of
// the link, and has the syntax of a code.
func NewReportID(code string) string {
	return fmt.Sprintf("%s%03x%s", reportIDPrefix, BucketOf(code), strings.ToLower(rand.Text()[:12]))
}

// ReportBucket returns the bucket of the link that a report is about, and false for
// what is no id of a report.
func ReportBucket(id string) (int, bool) {
	rest, ok := strings.CutPrefix(id, reportIDPrefix)
	if !ok || len(rest) < 4 || !ValidCode(id) {
		return 0, false
	}
	bucket, err := strconv.ParseUint(rest[:3], 16, 12)
	return int(bucket), err == nil
}

// CheckReport judges what a visitor wrote. It returns an InvalidError with every
// problem, or nil.
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

// mayBeEmail reports whether s looks like an address. Whether it is one, only a
// mail to it tells.
func mayBeEmail(s string) bool {
	name, domain, ok := strings.Cut(s, "@")
	return ok && name != "" && strings.Contains(domain, ".") && !strings.Contains(domain, "@") && len(s) <= MaxReportEmailLen &&
		textProblem(s) == "" && !strings.ContainsFunc(s, unicode.IsSpace)
}

// Place returns where the report is in a list.
func (r *Report) Place() Cursor { return Cursor{CreatedAt: r.At, Code: r.ID} }

// Cut ends the page behind limit reports, and tells where the next one begins when
// there are more.
func (p *ReportPage) Cut(limit int) {
	if len(p.Reports) > limit {
		clear(p.Reports[limit:])
		p.Reports = p.Reports[:limit]
		p.Next = p.Reports[limit-1].Place()
	}
}
