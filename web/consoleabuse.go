package web

import (
	"net/http"
	"strings"
	"time"
)

// ReportList is the view model of the reports of visitors. Each open report has two forms: one posts link,
// version and reason to disable/ID, the other posts resolution to close/ID. Both post cursor.
type ReportList struct {
	Resolved    bool // whether the page shows resolved reports, not open ones
	Rows        []ReportRow
	Cursor      string // of the page; empty on the first one
	Next        string // address of the next page; empty on the last one
	Unavailable bool   // whether reports are missing because a shard does not answer
	Done        string // what the last action has done

	// The visitor's input in a form that failed, and its errors.
	Failed, Reason, Resolution string // the ID of the report
	Errors                     map[string]string
}

// ReportRow is one report.
type ReportRow struct {
	ID      string
	Link    LinkRow
	Version int64  // of the link
	Rules   bool   // whether the link has rules with other targets
	Missing string // why the fields of the link are unknown; empty if they are known

	Reason, Comment, Email string
	At                     time.Time
	Dropped                int64 // later reports that were not kept

	ResolvedAt             time.Time // zero for an open report
	ResolvedBy, Resolution string
}

// ReasonText returns the reason for people.
func (r ReportRow) ReasonText() string {
	for _, c := range (Report{}).Reasons() {
		if c.Value == r.Reason {
			return c.Text
		}
	}
	return r.Reason
}

// Disables reports whether the page offers to disable the link.
func (r ReportRow) Disables() bool {
	return r.Missing == "" && r.Link.State != "disabled" && r.Link.Path != ""
}

// Failure returns the message about a field of a report's forms.
func (v ReportList) Failure(id, field string) string {
	if v.Failed != id {
		return ""
	}
	return v.Errors[field]
}

// Sent returns a field of a report's forms as the visitor sent it.
func (v ReportList) Sent(id, value string) string {
	if v.Failed != id {
		return ""
	}
	return value
}

// ReportList writes the reports of visitors.
func (p *Pages) ReportList(w http.ResponseWriter, status int, who Viewer, v ReportList) {
	p.console.reports.write(w, status, p.screen(who, "Reports", "reports", v))
}

// Blocklist is the view model of the blocked hosts and of the form to block one, which posts host and
// reason. Each host has a form that posts host to remove.
type Blocklist struct {
	Rows         []BlockedRow
	Next         string // address of the next page; empty on the last one
	Continued    bool   // whether this is not the first page
	Host, Reason string // the visitor's input
	Errors       map[string]string
	Done         string // what the last action has done
}

// BlockedRow is one blocked host.
type BlockedRow struct {
	Host   string // begins with = if the names below it are not blocked
	Reason string
	By     string // empty if it was blocked on the command line
	At     time.Time
}

// Exact reports whether the names below the host are not blocked.
func (r BlockedRow) Exact() bool { return strings.HasPrefix(r.Host, "=") }

// Name returns the host.
func (r BlockedRow) Name() string { return strings.TrimPrefix(r.Host, "=") }

// Blocklist writes the blocked hosts.
func (p *Pages) Blocklist(w http.ResponseWriter, status int, who Viewer, v Blocklist) {
	p.console.blocklist.write(w, status, p.screen(who, "Blocked hosts", "blocklist", v))
}
