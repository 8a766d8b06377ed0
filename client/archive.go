package client

import (
	"context"
	"net/http"
	"time"
)

// ArchivedLink is a complete link with all of its data, for administrators. For
// ImportArchive only Code and URL are required; every other field may be zero.
type ArchivedLink struct {
	Code           string     `json:"code"`
	Domain         string     `json:"domain,omitempty"` // a host of the domain; empty for the default domain
	URL            string     `json:"url"`
	RenamedTo      string     `json:"renamed_to,omitempty"` // the code to which a renamed link redirects; URL is its short URL
	Owner          *string    `json:"owner,omitempty"`      // nil: the owner of the importing key
	Title          string     `json:"title"`
	Tags           []string   `json:"tags,omitempty"`
	Status         int        `json:"status"`
	ForwardQuery   string     `json:"forward_query,omitempty"`
	ForwardPath    string     `json:"forward_path,omitempty"`
	StartsAt       *time.Time `json:"starts_at"`
	ExpiresAt      *time.Time `json:"expires_at"`
	MaxClicks      int64      `json:"max_clicks"`
	UsedClicks     int64      `json:"used_clicks"`
	Rules          []Rule     `json:"rules,omitempty"`
	Confirm        bool       `json:"confirm"`
	NoVisitors     bool       `json:"no_visitors"`
	PasswordHash   string     `json:"password_hash"`
	DisabledAt     *time.Time `json:"disabled_at"`
	DisabledReason string     `json:"disabled_reason"`
	DeletedAt      *time.Time `json:"deleted_at"` // a deleted link has no target
	Clicks         int64      `json:"clicks"`
	Robots         int64      `json:"robots"`
	LastClickAt    *time.Time `json:"last_click_at"`
	CreatedAt      *time.Time `json:"created_at"`
	UpdatedAt      *time.Time `json:"updated_at"`
	Version        int64      `json:"version"`
}

// ArchivePage is one page of the links of all owners.
type ArchivePage struct {
	Links      []ArchivedLink `json:"links"`
	NextCursor string         `json:"next_cursor"` // empty on the last page
}

// ExportArchive returns one page of the links of all owners. It needs an admin key.
// limit is 1 to 1000, or 0 for the server's default. cursor is the NextCursor of the
// previous page, or empty for the first page.
func (c *Client) ExportArchive(ctx context.Context, limit int, cursor string) (ArchivePage, error) {
	var page ArchivePage
	err := c.call(ctx, request{method: http.MethodGet, path: archivePath, query: pageQuery(limit, cursor), repeatable: true}, &page)
	return page, err
}

// ImportArchive stores 1 to 1000 links with all of their data. It needs an admin key. There is
// one result for each link, in order. ImportArchive retries links with status 429 or 503. When
// none of them gets another result within Options.Patience, it returns the last Problem of
// each.
func (c *Client) ImportArchive(ctx context.Context, links []ArchivedLink) ([]Result, error) {
	return sendBatch(ctx, c, request{path: archivePath}, links)
}

// CheckArchive returns the results that ImportArchive would have now, without links. It imports
// nothing.
func (c *Client) CheckArchive(ctx context.Context, links []ArchivedLink) ([]Result, error) {
	return sendBatch(ctx, c, request{path: archivePath, query: dryRun}, links)
}
