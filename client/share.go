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
	var made Share
	if p := invalidTexts([]namedText{{"password", s.Password}}); p != nil {
		return made, p
	}
	err := c.call(ctx, request{method: http.MethodPost, domain: c.onHost, path: linkPath(code) + "/share", body: s.body()}, &made)
	return made, err
}
