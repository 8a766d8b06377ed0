package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// LinkLife is how long a one-time link can be used. It is far below store.SessionTTL: while the session
// is stored, a second use of the link finds it.
const LinkLife = time.Hour

// ErrLink is the error for a one-time link that is unknown, too old or used.
var ErrLink = errors.New("the one-time link was used, or is no longer valid")

// A ticket is the content of a one-time link: its end in Unix seconds, and random bytes.
const (
	ticketEnd = 8
	ticketLen = ticketEnd + 16
)

// OneTimeLink returns the token of a link that signs in once as an administrator of the server.
// Nothing is stored: only a process with Options.Secret can make one.
func (s *Service) OneTimeLink() string {
	ticket := binary.BigEndian.AppendUint64(make([]byte, 0, ticketLen+sha256.Size), uint64(s.now().Add(LinkLife).Unix())) //nolint:gosec // after 1970
	ticket = ticket[:ticketLen]
	_, _ = rand.Read(ticket[ticketEnd:]) // never fails: see crypto/rand
	return base64.RawURLEncoding.EncodeToString(append(ticket, sum(s.links, ticket)...))
}

// CheckLink returns ErrLink for a token that is not from OneTimeLink, or is too old. It does not know
// whether the link was used.
func (s *Service) CheckLink(token string) error {
	_, err := s.ticket(token)
	return err
}

// Redeem returns the token of a new session of an administrator of the server, or ErrLink. The session's
// token follows from the link, and its digest is unique in the store. So only one of several concurrent
// calls succeeds.
func (s *Service) Redeem(ctx context.Context, token string) (string, error) {
	ticket, err := s.ticket(token)
	if err != nil {
		return "", err
	}
	secret, hash := store.TokenOf([sha256.Size]byte(sum(s.sessions, ticket)))
	session := s.newSession(secret, hash)
	session.Name, session.Session = "one-time link", &store.Session{Key: store.AuthorAdmin}
	session.Workspace, session.Scopes = store.DefaultWorkspace, []store.Scope{store.ScopeAdmin}
	err = s.opts.Keys.CreateKey(ctx, session)
	if errors.Is(err, store.ErrExists) {
		return "", ErrLink
	}
	if err != nil {
		return "", fmt.Errorf("redeem one-time link: %w", err)
	}
	return secret, nil
}

// ticket returns the ticket in a token, or ErrLink.
func (s *Service) ticket(token string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if lineBreak := strings.ContainsAny(token, "\r\n"); err != nil || lineBreak || len(b) != ticketLen+sha256.Size { // base64 would skip these
		return nil, ErrLink
	}
	ticket, proof := b[:ticketLen], b[ticketLen:]
	end := int64(binary.BigEndian.Uint64(ticket)) //nolint:gosec // the proof shows that OneTimeLink wrote it
	if !hmac.Equal(proof, sum(s.links, ticket)) || s.now().Unix() >= end {
		return nil, ErrLink
	}
	return ticket, nil
}

func sum(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)
}
