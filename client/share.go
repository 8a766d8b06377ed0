package client

import (
	"context"
	"net/http"
	"time"
)

// ShareSettings are the settings of a shared page of statistics. The zero value has no end and no
// password.
type ShareSettings struct {
	ExpiresAt time.Time // the zero time means never
	Password  string    // empty: no password
}

// body returns the members of a request.
func (s ShareSettings) body() map[string]any {
	body := map[string]any{}
	if !s.ExpiresAt.IsZero() {
		body["expires_at"] = s.ExpiresAt
	}
	if s.Password != "" {
		body["password"] = s.Password
	}
	return body
}

// Share is a shared page of statistics.
type Share struct {
	ID                string     `json:"id"`  // of the key of the page, for terse key revoke
	URL               string     `json:"url"` // address of the page; the server does not store it
	ExpiresAt         *time.Time `json:"expires_at"`
	PasswordProtected bool       `json:"password_protected"`
}

// ShareLink makes a page with the statistics of a link. Everybody with its address can open it. ShareLink
// does not retry after an error without an answer, because the server may have made the page.
func (c *Client) ShareLink(ctx context.Context, code string, s ShareSettings) (Share, error) {
	return c.share(ctx, request{domain: c.onHost, path: linkPath(code) + "/share", body: s.body()}, s)
}

// ShareStats makes a page with the statistics of a set of links together. Links of other owners need an
// admin key. See ShareLink.
func (c *Client) ShareStats(ctx context.Context, of StatsSet, s ShareSettings) (Share, error) {
	body := s.body()
	texts := []namedText{{"owner", of.Owner}, {"domain", of.Domain}, {"tag", of.Tag}}
	for _, t := range texts {
		if t.text != "" {
			body[t.field] = t.text
		}
	}
	return c.share(ctx, request{path: statsPath + "/share", body: body}, s, texts...)
}

func (c *Client) share(ctx context.Context, r request, s ShareSettings, texts ...namedText) (made Share, err error) {
	if p := invalidTexts(append(texts, namedText{"password", s.Password})); p != nil {
		return made, p
	}
	r.method = http.MethodPost
	return made, c.call(ctx, r, &made)
}
