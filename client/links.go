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

// Count is a number of clicks, which stands in JSON as a number, or as a string
// when it is large.
type Count int64

// UnmarshalJSON reads both forms.
func (c *Count) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	*c = Count(n)
	return err
}

// NewLink is a link to create. Zero members are left to the server.
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

// Link is a link as its owner sees it.
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

// Create creates a link. key is the Idempotency-Key: the same key and link give the
// same link for a day, however often it is called. Without one, each call makes a
// link of its own, and no more than that.
func (c *Client) Create(ctx context.Context, l NewLink, key string) (Link, error) {
	if key == "" {
		key = rand.Text()
	}
	var created Link
	err := c.call(ctx, request{method: http.MethodPost, path: linksPath, key: key, body: l, repeatable: true}, &created)
	return created, err
}

// Get returns a link of the key's owner.
func (c *Client) Get(ctx context.Context, code string) (Link, error) {
	var l Link
	err := c.call(ctx, request{method: http.MethodGet, path: linksPath + "/" + url.PathEscape(code), repeatable: true}, &l)
	return l, err
}

// Query chooses what List returns.
type Query struct {
	Limit  int    // most links in the page, 1 to 1000; 0 leaves it to the server
	Cursor string // Page.NextCursor of the page before; empty for the first one
	Tag    string // only links with this tag
	Search string // only links whose code, target or title contains this
}

// Page is a page of a list.
type Page struct {
	Links             []Link   `json:"links"`
	NextCursor        string   `json:"next_cursor"` // empty on the last page
	UnavailableShards []string `json:"unavailable_shards"`
}

// List returns a page of the links of the key's owner, newest first.
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

// pageQuery returns the parameters that choose a page.
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

// ErrUntold says that a short URL is one, but does not tell where it leads.
var ErrUntold = errors.New("the link asks for a password or counts its visits, and does not tell where it leads")

// Expand returns where a short URL leads, without counting a click. The URL may be
// one of any server: the key is not sent.
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
		return "", ErrUntold
	case response.StatusCode == http.StatusNotFound:
		return "", errors.New("there is no such link")
	case response.StatusCode == http.StatusGone:
		return "", errors.New("the link is over or was deleted")
	case response.StatusCode == http.StatusUnavailableForLegalReasons:
		return "", errors.New("the link was taken down")
	}
	return "", fmt.Errorf("the server answered %s", response.Status)
}

// ShortURL returns the short URL of a code on the server.
func (c *Client) ShortURL(code string) string { return c.server.JoinPath(code).String() }
