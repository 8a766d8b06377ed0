package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Changes are the changes of an edit. A nil field stays as it is.
type Changes struct {
	URL          *string
	Title        *string // empty: no title
	Tags         *[]string
	StartsAt     *time.Time // the zero time: at once
	ExpiresAt    *time.Time // the zero time: never
	MaxClicks    *int64     // 0: no limit
	Confirm      *bool      // whether visitors have to press Continue
	NoVisitors   *bool      // whether statistics leave out its visitors
	Password     *string    // empty: no password
	Status       *int
	ForwardQuery *string // off, append or override
	ForwardPath  *string // off or append
	Rules        *[]Rule // empty: no rules
	Alias        *string // the new code: the link is renamed
	OldAlias     *string // only with Alias: the old code redirects to the new one (redirect, the default), or is deleted (gone)
}

// MarshalJSON writes the fields that are not nil.
func (c Changes) MarshalJSON() ([]byte, error) {
	body := map[string]any{}
	put(body, "url", c.URL)
	put(body, "title", c.Title)
	put(body, "tags", c.Tags)
	put(body, "max_clicks", c.MaxClicks)
	put(body, "confirm", c.Confirm)
	put(body, "no_visitors", c.NoVisitors)
	put(body, "password", c.Password)
	put(body, "status", c.Status)
	put(body, "forward_query", c.ForwardQuery)
	put(body, "forward_path", c.ForwardPath)
	put(body, "rules", c.Rules)
	put(body, "alias", c.Alias)
	put(body, "old_alias", c.OldAlias)
	put(body, "starts_at", c.StartsAt)
	put(body, "expires_at", c.ExpiresAt)
	if c.Password != nil && *c.Password == "" {
		body["password"] = nil
	}
	if c.Rules != nil && len(*c.Rules) == 0 {
		body["rules"] = nil
	}
	for name, at := range map[string]*time.Time{"starts_at": c.StartsAt, "expires_at": c.ExpiresAt} {
		if at != nil && at.IsZero() {
			body[name] = nil
		}
	}
	return json.Marshal(body)
}

// put sets a member unless value is nil.
func put[T any](body map[string]any, name string, value *T) {
	if value != nil {
		body[name] = value
	}
}

// Edit changes a link of the API key's owner. A renamed link is returned with its new code. version is the version that the link must have,
// or 0 for any. If the link has another version, the error is a *Problem with status 412.
// It is a *Problem, too, for a field that is not valid UTF-8. If the key lacks the scope
// links:read, the server returns no link, and Edit the zero Link.
func (c *Client) Edit(ctx context.Context, code string, changes Changes, version int64) (Link, error) {
	if p := invalidTexts(changes.texts()); p != nil {
		return Link{}, p
	}
	return c.changeLink(ctx, request{method: http.MethodPatch, domain: c.onHost, path: linkPath(code), body: changes, version: version, repeatable: true})
}

// Delete deletes a link of the API key's owner. version is as for Edit.
func (c *Client) Delete(ctx context.Context, code string, version int64) error {
	return c.call(ctx, request{method: http.MethodDelete, domain: c.onHost, path: linkPath(code), version: version, repeatable: true}, nil)
}

// Disable disables a link because of abuse. It needs an admin key. The owner sees the reason.
// version is as for Edit.
func (c *Client) Disable(ctx context.Context, code, reason string, version int64) (Link, error) {
	return c.changeLink(ctx, request{method: http.MethodPost, domain: c.onHost, path: linkPath(code) + "/disable", body: reasonBody(reason), version: version, repeatable: true})
}

// Enable enables a disabled link. It needs an admin key. The history records the reason, which
// may be empty. version is as for Edit. Pass the version with the target that you looked at: the
// owner of a disabled link can still change it.
func (c *Client) Enable(ctx context.Context, code, reason string, version int64) (Link, error) {
	return c.changeLink(ctx, request{method: http.MethodPost, domain: c.onHost, path: linkPath(code) + "/enable", body: reasonBody(reason), version: version, repeatable: true})
}

// RollBack restores the target and the rules that a link had in an earlier version. The result is as for Edit.
func (c *Client) RollBack(ctx context.Context, code string, version int64) (Link, error) {
	body := map[string]int64{"version": version}
	return c.changeLink(ctx, request{method: http.MethodPost, domain: c.onHost, path: linkPath(code) + "/rollback", body: body, repeatable: true})
}

// changeLink sends r and returns the link of the answer.
func (c *Client) changeLink(ctx context.Context, r request) (l Link, err error) {
	err = c.call(ctx, r, &l)
	return l, err
}

func reasonBody(reason string) map[string]string {
	if reason == "" {
		return map[string]string{}
	}
	return map[string]string{"reason": reason}
}

// HistoryEntry is one change of a link.
type HistoryEntry struct {
	Version int64           `json:"version"` // of the link after the change
	At      time.Time       `json:"at"`
	Action  string          `json:"action"` // created, edited, disabled, enabled or deleted
	Actor   string          `json:"actor"`  // id of an API key, anonymous, unknown, or system: and the name of a process
	Note    string          `json:"note"`   // the reason; may be empty
	Changes []HistoryChange `json:"changes"`
}

// HistoryChange is a changed field of a link.
type HistoryChange struct {
	Field  string `json:"field"`
	Before any    `json:"before"` // as JSON has it; nil: none
	After  any    `json:"after"`
}

// HistoryPage is one page of a history.
type HistoryPage struct {
	Entries    []HistoryEntry `json:"entries"`     // newest first
	NextCursor string         `json:"next_cursor"` // empty on the last page
}

// History returns one page of the changes of a link, newest first. limit is 1 to 200, or 0 for
// the server's default. cursor is the NextCursor of the previous page.
func (c *Client) History(ctx context.Context, code string, limit int, cursor string) (HistoryPage, error) {
	var page HistoryPage
	err := c.call(ctx, request{method: http.MethodGet, domain: c.onHost, path: linkPath(code) + "/history", query: pageQuery(limit, cursor), repeatable: true}, &page)
	return page, err
}

// QROptions say how to draw a QR code.
type QROptions struct {
	Format string // svg or png; empty for svg
	Size   int    // width and height in pixels; 0 for the server's default
	Scans  bool   // whether statistics count scans separately: the code has the short URL with the query ?qr=1
}

// QR returns the short URL of a link as a QR code.
func (c *Client) QR(ctx context.Context, code string, opts QROptions) ([]byte, error) {
	query := url.Values{}
	if opts.Format != "" {
		query.Set("format", opts.Format)
	}
	if opts.Size > 0 {
		query.Set("size", strconv.Itoa(opts.Size))
	}
	if opts.Scans {
		query.Set("scans", "true")
	}
	var picture []byte
	err := c.call(ctx, request{method: http.MethodGet, domain: c.onHost, path: linkPath(code) + "/qr", query: query, accept: "*/*", repeatable: true}, &picture)
	return picture, err
}

// linkPath returns the path of a link's resource.
func linkPath(code string) string { return linksPath + "/" + url.PathEscape(code) }
