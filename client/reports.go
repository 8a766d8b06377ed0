package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

const reportsPath = "/api/v1/reports"

// Report is a visitor's report of a link.
type Report struct {
	ID         string     `json:"id"`
	Code       string     `json:"code"`
	ShortURL   string     `json:"short_url"`
	Reason     string     `json:"reason"`  // phishing, malware, spam, illegal or other
	Comment    string     `json:"comment"` // unchecked text of the visitor
	Email      string     `json:"email"`   // not verified; may be empty
	ReportedAt time.Time  `json:"reported_at"`
	Dropped    int64      `json:"dropped"`     // later reports about the link for the same reason that were not kept
	ResolvedAt *time.Time `json:"resolved_at"` // nil while the report is open
	ResolvedBy string     `json:"resolved_by"` // id of an API key
	Resolution string     `json:"resolution"`
}

// ReportPage is one page of reports.
type ReportPage struct {
	Reports           []Report `json:"reports"`            // newest first
	NextCursor        string   `json:"next_cursor"`        // empty on the last page
	UnavailableShards []string `json:"unavailable_shards"` // names of shards with reports that the page lacks
}

// Incomplete returns an error that names UnavailableShards, or nil for a complete page.
func (p *ReportPage) Incomplete() error { return incomplete(p.UnavailableShards) }

// ReportQuery selects the reports that Reports returns.
type ReportQuery struct {
	State  string // open or resolved; empty for open
	Limit  int    // most reports in a page, 1 to 1000; 0 for the server's default
	Cursor string // NextCursor of the previous page; empty for the first page
}

// Reports returns one page of visitors' reports. It needs an admin key.
func (c *Client) Reports(ctx context.Context, q ReportQuery) (ReportPage, error) {
	var page ReportPage
	query := pageQuery(q.Limit, q.Cursor)
	if q.State != "" {
		query.Set("state", q.State)
	}
	err := c.call(ctx, request{method: http.MethodGet, path: reportsPath, query: query, repeatable: true}, &page)
	return page, err
}

// ResolveReport closes a report and records how it was resolved. It does not change the link.
// It needs an admin key.
func (c *Client) ResolveReport(ctx context.Context, id, resolution string) (Report, error) {
	body := map[string]string{}
	if resolution != "" {
		body["resolution"] = resolution
	}
	var r Report
	err := c.call(ctx, request{method: http.MethodPost, path: reportsPath + "/" + url.PathEscape(id) + "/resolve", body: body, repeatable: true}, &r)
	return r, err
}
