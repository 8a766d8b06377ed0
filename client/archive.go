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
	problems := make([]*Problem, len(links))
	rest := make([]int, len(links))
	for i := range links {
		rest[i] = i
	}
	b := backoff{patience: c.opts.Patience}
	for {
		body := struct {
			Links []ArchivedLink `json:"links"`
		}{make([]ArchivedLink, len(rest))}
		for n, i := range rest {
			body.Links[n] = links[i]
		}
		var answer struct {
			Results []struct {
				Status int      `json:"status"`
				Error  *Problem `json:"error"`
			} `json:"results"`
		}
		err := c.call(ctx, request{method: http.MethodPost, path: archivePath, body: body, repeatable: true}, &answer)
		if err != nil {
			return nil, err
		}
		var again []int
		var last *Problem
		for n, i := range rest {
			switch {
			case n >= len(answer.Results):
				problems[i] = &Problem{Status: http.StatusBadGateway, Title: "The server did not answer for this link"}
			case answer.Results[n].Error == nil:
				problems[i] = nil
			default:
				problems[i] = answer.Results[n].Error
				if problems[i].Status == http.StatusServiceUnavailable {
					again, last = append(again, i), problems[i]
				}
			}
		}
		if len(again) == 0 {
			return problems, nil
		}
		wait, ok := b.next(last, true)
		if !ok {
			return problems, nil
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		rest = again
	}
}
