package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Paths of the API.
const (
	linksPath   = "/api/v1/links"
	batchPath   = linksPath + "/batch"
	archivePath = "/api/v1/archive"
)

// Count is a number of clicks. In the server's JSON it is a number, or a string when
// it is large.
type Count int64

// UnmarshalJSON accepts a number and a string.
func (c *Count) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	*c = Count(n)
	return err
}

// NewLink is a link to create. A zero field gets the server's default.
type NewLink struct {
	URL          string     `json:"url"`
	Alias        string     `json:"alias,omitempty"`
	Title        string     `json:"title,omitempty"`
	Tags         []string   `json:"tags,omitempty"`
	StartsAt     *time.Time `json:"starts_at,omitempty"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"`
	MaxClicks    Count      `json:"max_clicks,omitempty"`
	Password     string     `json:"password,omitempty"`
	Status       int        `json:"status,omitempty"`
	ForwardQuery string     `json:"forward_query,omitempty"`
	Reuse        bool       `json:"reuse,omitempty"`
}

// Link is a link with the data that its owner sees.
type Link struct {
	Code              string     `json:"code"`
	ShortURL          string     `json:"short_url"`
	URL               string     `json:"url"`
	Title             string     `json:"title"`
	Tags              []string   `json:"tags"`
	Status            int        `json:"status"`
	ForwardQuery      string     `json:"forward_query"`
	State             string     `json:"state"`
	StartsAt          *time.Time `json:"starts_at"`
	ExpiresAt         *time.Time `json:"expires_at"`
	MaxClicks         Count      `json:"max_clicks"`
	UsedClicks        Count      `json:"used_clicks"`
	PasswordProtected bool       `json:"password_protected"`
	DisabledReason    string     `json:"disabled_reason"`
	Clicks            Count      `json:"clicks"`
	LastClickAt       *time.Time `json:"last_click_at"`
	CreatedAt         time.Time  `json:"created_at"`
	UpdatedAt         time.Time  `json:"updated_at"`
	Version           int64      `json:"version"`
}

// Create creates a link. key is the Idempotency-Key: for a day, calls with the same
// key and link return the same link. With an empty key each call creates one new
// link, even when it retries.
func (c *Client) Create(ctx context.Context, l NewLink, key string) (Link, error) {
	if key == "" {
		key = rand.Text()
	}
	var created Link
	err := c.call(ctx, request{method: http.MethodPost, path: linksPath, key: key, body: l, repeatable: true}, &created)
	return created, err
}

// Get returns one of the links of the API key's owner.
func (c *Client) Get(ctx context.Context, code string) (Link, error) {
	var l Link
	err := c.call(ctx, request{method: http.MethodGet, path: linksPath + "/" + url.PathEscape(code), repeatable: true}, &l)
	return l, err
}

// Query selects the links that List returns.
type Query struct {
	Limit  int    // most links in a page, 1 to 1000; 0 for the server's default
	Cursor string // NextCursor of the previous page; empty for the first page
	Tag    string // only links with this tag; empty for all
	Search string // only links with this text in the code, target or title; empty for all
}

// Page is one page of a list of links.
type Page struct {
	Links             []Link   `json:"links"`
	NextCursor        string   `json:"next_cursor"`        // empty on the last page
	UnavailableShards []string `json:"unavailable_shards"` // names of shards with links that the page lacks
}

// Incomplete returns an error that names UnavailableShards, or nil for a complete page.
func (p *Page) Incomplete() error {
	if len(p.UnavailableShards) == 0 {
		return nil
	}
	return fmt.Errorf("the list is incomplete: these shards did not answer: %s", strings.Join(p.UnavailableShards, ", "))
}

// List returns one page of the links of the API key's owner, newest first.
func (c *Client) List(ctx context.Context, q Query) (Page, error) {
	var page Page
	query := pageQuery(q.Limit, q.Cursor)
	for name, value := range map[string]string{"tag": q.Tag, "q": q.Search} {
		if value != "" {
			query.Set(name, value)
		}
	}
	err := c.call(ctx, request{method: http.MethodGet, path: linksPath, query: query, repeatable: true}, &page)
	return page, err
}

// pageQuery returns the query parameters of a page.
func pageQuery(limit int, cursor string) url.Values {
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	return query
}

// ErrTargetHidden reports that a short URL exists, but its target is hidden.
var ErrTargetHidden = errors.New("the target is hidden: the link has a password or a click limit")

// Expand returns the target of a short URL. It counts no click. It returns
// ErrTargetHidden for a link with a password or a click limit. The short URL may
// belong to any server, so the API key is not sent.
func (c *Client) Expand(ctx context.Context, short string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, short, nil)
	if err != nil {
		return "", err
	}
	response, err := c.opts.HTTP.Do(r)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	location := response.Header.Get("Location")
	switch {
	case response.StatusCode >= 300 && response.StatusCode < 400 && location != "":
		return location, nil
	case response.StatusCode < 400:
		return "", ErrTargetHidden
	case response.StatusCode == http.StatusNotFound:
		return "", errors.New("there is no such link")
	case response.StatusCode == http.StatusGone:
		return "", errors.New("the link has expired, has reached its click limit, or was deleted")
	case response.StatusCode == http.StatusUnavailableForLegalReasons:
		return "", errors.New("the link was taken down")
	}
	return "", fmt.Errorf("the server answered %s", response.Status)
}

// ShortURL returns the short URL of a code on the server.
func (c *Client) ShortURL(code string) string { return c.server.JoinPath(code).String() }
