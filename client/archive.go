package client

import (
	"context"
	"net/http"
	"time"
)

// ArchivedLink is a link whole, for administrators. Of one to put in, all but the
// code and the target may be zero.
type ArchivedLink struct {
	Code           string     `json:"code"`
	URL            string     `json:"url"`
	Owner          *string    `json:"owner,omitempty"` // nil: the owner of the key that puts it in
	Title          string     `json:"title"`
	Tags           []string   `json:"tags,omitempty"`
	Status         int        `json:"status"`
	ForwardQuery   string     `json:"forward_query,omitempty"`
	StartsAt       *time.Time `json:"starts_at"`
	ExpiresAt      *time.Time `json:"expires_at"`
	MaxClicks      Count      `json:"max_clicks"`
	UsedClicks     Count      `json:"used_clicks"`
	PasswordHash   string     `json:"password_hash"`
	DisabledAt     *time.Time `json:"disabled_at"`
	DisabledReason string     `json:"disabled_reason"`
	DeletedAt      *time.Time `json:"deleted_at"` // then it has no target
	Clicks         Count      `json:"clicks"`
	LastClickAt    *time.Time `json:"last_click_at"`
	CreatedAt      *time.Time `json:"created_at"`
	UpdatedAt      *time.Time `json:"updated_at"`
	Version        int64      `json:"version"`
}

// ArchivePage is a page of everybody's links.
type ArchivePage struct {
	Links      []ArchivedLink `json:"links"`
	NextCursor string         `json:"next_cursor"` // empty on the last page
}

// TakeOut returns a page of everybody's links, with an admin key. limit is 1 to
// 1000, or 0 to leave it to the server.
func (c *Client) TakeOut(ctx context.Context, limit int, cursor string) (ArchivePage, error) {
	var page ArchivePage
	err := c.call(ctx, request{method: http.MethodGet, path: archivePath, query: pageQuery(limit, cursor), repeatable: true}, &page)
	return page, err
}

// PutIn puts in 1 to 1000 links as they are, with an admin key. It returns a
// *Problem for each that was refused and nil for the others, in their order. Links
// that the server could not take at the moment are sent again; what remains of them
// when the Patience is over are problems with the status 503.
func (c *Client) PutIn(ctx context.Context, links []ArchivedLink) ([]*Problem, error) {
	return c.inBatches(ctx, archivePath, len(links), func(rest []int) any { return batchOf(links, rest) })
}
