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

// NewLink is a link to create. A zero field gets the server's default.
type NewLink struct {
	URL          string     `json:"url"`
	Domain       string     `json:"domain,omitempty"` // a host of the domain
	Alias        string     `json:"alias,omitempty"`
	Title        string     `json:"title,omitempty"`
	Tags         []string   `json:"tags,omitempty"`
	StartsAt     *time.Time `json:"starts_at,omitempty"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"`
	MaxClicks    int64      `json:"max_clicks,omitempty"`
	Confirm      bool       `json:"confirm,omitempty"`     // visitors have to press Continue
	NoVisitors   bool       `json:"no_visitors,omitempty"` // statistics leave out its visitors
	Password     string     `json:"password,omitempty"`
	Status       int        `json:"status,omitempty"`
	ForwardQuery string     `json:"forward_query,omitempty"`
	ForwardPath  string     `json:"forward_path,omitempty"` // off or append
	Rules        []Rule     `json:"rules,omitempty"`
	Reuse        bool       `json:"reuse,omitempty"`
}

// Link is a link with the data that its owner sees.
type Link struct {
	Code              string     `json:"code"`
	Domain            string     `json:"domain"` // the primary host of the domain
	ShortURL          string     `json:"short_url"`
	URL               string     `json:"url"`
	Title             string     `json:"title"`
	Tags              []string   `json:"tags"`
	Status            int        `json:"status"`
	ForwardQuery      string     `json:"forward_query"`
	ForwardPath       string     `json:"forward_path"`
	Rules             []Rule     `json:"rules"` // other targets for some visits
	State             string     `json:"state"`
	StartsAt          *time.Time `json:"starts_at"`
	ExpiresAt         *time.Time `json:"expires_at"`
	MaxClicks         int64      `json:"max_clicks"`
	UsedClicks        int64      `json:"used_clicks"`
	Confirm           bool       `json:"confirm"`
	NoVisitors        bool       `json:"no_visitors"`
	PasswordProtected bool       `json:"password_protected"`
	DisabledReason    string     `json:"disabled_reason"`
	Owner             string     `json:"owner"`  // id of a workspace or of an API key; empty for an anonymous link
	Clicks            int64      `json:"clicks"` // redirects of people
	Robots            int64      `json:"robots"` // other redirects: crawlers, previews, tools, prefetches, HEAD
	LastClickAt       *time.Time `json:"last_click_at"`
	CreatedAt         time.Time  `json:"created_at"`
	UpdatedAt         time.Time  `json:"updated_at"`
	Version           int64      `json:"version"`
}

// Create creates a link. key is the Idempotency-Key: for a day, calls with the same
// key and link return the same link. With an empty key each call creates one new
// link, even when it retries. The error is a *Problem for a field that is not valid UTF-8.
func (c *Client) Create(ctx context.Context, l NewLink, key string) (Link, error) {
	if p := invalidTexts(l.texts()); p != nil {
		return Link{}, p
	}
	if key == "" {
		key = rand.Text()
	}
	var created Link
	err := c.call(ctx, request{method: http.MethodPost, path: linksPath, key: key, body: l, repeatable: true}, &created)
	return created, err
}

// OnDomain returns a Client for the links on the domain of a host: its calls find codes there. An
// empty host is the default domain of the server. Creates name their domain in NewLink. Both
// Clients use the same connections.
func (c *Client) OnDomain(host string) *Client {
	on := *c
	on.onHost = host
	return &on
}

// Get returns one of the links of the API key's owner.
func (c *Client) Get(ctx context.Context, code string) (Link, error) {
	var l Link
	err := c.call(ctx, request{method: http.MethodGet, domain: c.onHost, path: linkPath(code), repeatable: true}, &l)
	return l, err
}

// Query selects the links that List returns.
type Query struct {
	Limit  int    // most links in a page, 1 to 1000; 0 for the server's default
	Cursor string // NextCursor of the previous page; empty for the first page
	Owner  string // id of a workspace or of an API key, * for all owners, or anonymous; empty for the caller
	Domain string // only links on the domain of this host; empty for all
	Tag    string // only links with this tag; empty for all
	Search string // only links with this text in the code, target or title; empty for all
	State  string // only links with this state: live, disabled, expired, used_up or not_started; empty for all

	CreatedFrom time.Time // only links that were created at this time or later; the zero time for all
	CreatedTo   time.Time // only links that were created before this time; the zero time for all
}

// Page is one page of a list of links.
type Page struct {
	Links             []Link   `json:"links"`
	NextCursor        string   `json:"next_cursor"`        // empty on the last page
	UnavailableShards []string `json:"unavailable_shards"` // names of shards with links that the page lacks
}

// Incomplete returns an error that names UnavailableShards, or nil for a complete page.
func (p *Page) Incomplete() error { return incomplete(p.UnavailableShards) }

// incomplete returns an error that names the shards that did not answer. It returns nil for no shards.
func incomplete(shards []string) error {
	if len(shards) == 0 {
		return nil
	}
	return fmt.Errorf("the list is incomplete: these shards did not answer: %s", strings.Join(shards, ", "))
}

// List returns one page of links, newest first. Links of other owners need an admin key.
func (c *Client) List(ctx context.Context, q Query) (Page, error) {
	var page Page
	query := pageQuery(q.Limit, q.Cursor)
	for name, value := range map[string]string{"owner": q.Owner, "domain": q.Domain, "tag": q.Tag, "q": q.Search, "state": q.State} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"created_from": q.CreatedFrom, "created_to": q.CreatedTo} {
		if !at.IsZero() {
			query.Set(name, at.UTC().Format(time.RFC3339Nano))
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

// ErrNoRedirect reports an address that exists, but does not redirect.
var ErrNoRedirect = errors.New("it does not redirect: the link has a password, a click limit or a page to confirm, or this is no short URL")

// Expand returns the target of a short URL of any server. It counts no click. It returns
// ErrNoRedirect when the server does not show a target. The API key is not sent.
func (c *Client) Expand(ctx context.Context, short string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, short, nil)
	if err != nil {
		return "", err
	}
	slow := time.AfterFunc(slowAnswer, func() { c.waiting(nil) })
	defer slow.Stop()
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
		return "", ErrNoRedirect
	case response.StatusCode == http.StatusNotFound:
		return "", errors.New("there is no such link")
	case response.StatusCode == http.StatusGone:
		return "", errors.New("the link has expired, has reached its click limit, or was deleted")
	case response.StatusCode == http.StatusUnavailableForLegalReasons:
		return "", errors.New("the link was taken down")
	}
	return "", fmt.Errorf("the server answered %s", response.Status)
}

// ShortURL returns the short URL of a code on the server, or on the domain of OnDomain.
func (c *Client) ShortURL(code string) string {
	if c.onHost != "" {
		return c.server.Scheme + "://" + c.onHost + "/" + code
	}
	return c.server.JoinPath(code).String()
}

// Short is what a user may enter to name a link.
type Short struct {
	Code   string // the code; empty if the URL does not have the form of a short URL
	Domain string // the host of URL, unless it is the host of the client's server
	URL    string // the short URL
}

// ParseShort reads a code, or a short URL with or without scheme. It ignores a final + (the
// address of a preview page) and, for the client's server, a final slash, query and fragment.
func (c *Client) ParseShort(text string) (Short, error) {
	text = strings.TrimSpace(text)
	if text != "" && !strings.ContainsAny(text, "/.:?#") {
		code := strings.TrimSuffix(text, "+")
		return Short{Code: code, URL: c.ShortURL(code)}, nil
	}
	if !strings.ContainsAny(text, "?#") {
		text = strings.TrimSuffix(text, "+")
	}
	if !strings.Contains(text, "://") {
		text = c.schemeFor(text) + "://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.User != nil:
		return Short{}, fmt.Errorf("%q is neither a code nor a URL", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return Short{}, fmt.Errorf("%s:// is not supported. Enter a code, or a URL with http or https", u.Scheme)
	case u.Host == "":
		return Short{}, fmt.Errorf("%q has no host", text)
	}
	if !strings.EqualFold(u.Host, c.server.Host) {
		code := strings.TrimSuffix(strings.Trim(u.Path, "/"), "+")
		if strings.Contains(code, "/") {
			code = ""
		}
		return Short{code, u.Hostname(), u.String()}, nil
	}
	code := strings.TrimSuffix(strings.Trim(strings.TrimPrefix(u.Path, c.server.Path), "/"), "+")
	if code == "" || strings.Contains(code, "/") {
		return Short{}, fmt.Errorf("%s has no code", text)
	}
	return Short{Code: code, URL: c.ShortURL(code)}, nil
}

// schemeFor returns the scheme for an address without one: the server's scheme for an address
// of the server, else https.
func (c *Client) schemeFor(address string) string {
	host, _, _ := strings.Cut(address, "/")
	if strings.EqualFold(host, c.server.Host) {
		return c.server.Scheme
	}
	return "https"
}
