package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/terse/terse/store"
)

// ErrNoSignIn rejects a sign-in with a key that is neither an API key nor a member.
var ErrNoSignIn = errors.New("only an API key or a member can sign in")

// SignIn returns the token of a new session of k. The session has the scopes and the workspace of k, and
// ends with k. An API key must be usable. For a member whose role has changed since k, the session gets the role that the
// member has now, and the error is store.ErrNotFound if the member was removed.
func (s *Service) SignIn(ctx context.Context, k store.Key) (token string, err error) {
	if !k.SignsIn() {
		return "", ErrNoSignIn
	}
	if k.Member != nil && !k.Usable(s.now()) { // else no other key is read: with shards, that needs all of them
		if k, err = s.current(ctx, &k); err != nil {
			return "", fmt.Errorf("sign in: %w", err)
		}
	}
	token, hash := store.NewToken()
	if err := s.openSession(ctx, k, token, hash); err != nil {
		return "", err
	}
	return token, nil
}

// openSession stores a session of an API key or a member.
func (s *Service) openSession(ctx context.Context, k store.Key, token string, hash [sha256.Size]byte) error {
	session := s.newSession(token, hash)
	session.Name, session.Session = k.Name, &store.Session{Key: k.ID, Hash: k.Hash}
	session.Workspace, session.Scopes, session.CreateLimit = k.Owner(), k.Scopes, k.CreateLimit
	if k.Member != nil {
		session.Scopes = k.Member.Role.Scopes()
	}
	session.Domains, session.DefaultDomain = k.Domains, k.DefaultDomain
	if !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(session.ExpiresAt) {
		session.ExpiresAt = k.ExpiresAt
	}
	if err := s.opts.Keys.CreateKey(ctx, session); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	return nil
}

// newSession returns a session with the fields that all sessions have.
func (s *Service) newSession(token string, hash [sha256.Size]byte) store.Key {
	now := s.now()
	return store.Key{
		ID: store.NewKeyID(), Hash: hash, Prefix: store.TokenPrefix(token), CreatedAt: now, ExpiresAt: now.Add(store.SessionLife),
	}
}

// Sessions returns the usable sessions of the caller's API key or member, or of all one-time links, oldest
// first.
func (s *Service) Sessions(ctx context.Context, who Caller) ([]store.Key, error) {
	return s.list(ctx, func(k *store.Key, now time.Time) bool {
		return k.Session != nil && k.Session.Key == who.Author() && k.Usable(now)
	})
}

// list returns the keys that want selects.
func (s *Service) list(ctx context.Context, want func(k *store.Key, now time.Time) bool) ([]store.Key, error) {
	all, err := s.opts.Keys.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	now, some := s.now(), []store.Key(nil)
	for i := range all {
		if want(&all[i], now) {
			some = append(some, all[i])
		}
	}
	return some, nil
}

// EndSession ends one of Sessions. It returns store.ErrNotFound for another id.
func (s *Service) EndSession(ctx context.Context, who Caller, id string) error {
	own, err := s.Sessions(ctx, who)
	if err != nil {
		return err
	}
	if err := s.revokeOneOf(ctx, own, id); err != nil {
		return fmt.Errorf("end session %q: %w", id, err)
	}
	return nil
}

// revokeOneOf revokes the key with an id if it is one of own. Otherwise it returns store.ErrNotFound.
func (s *Service) revokeOneOf(ctx context.Context, own []store.Key, id string) error {
	if !slices.ContainsFunc(own, func(k store.Key) bool { return k.ID == id }) {
		return store.ErrNotFound
	}
	_, err := s.revoke(ctx, id)
	return err
}

// SignOut ends a session.
func (s *Service) SignOut(ctx context.Context, session *store.Key) error {
	_, err := s.revoke(ctx, session.ID)
	return err
}

// revoke revokes a key now, and informs other processes.
func (s *Service) revoke(ctx context.Context, id string) (store.Key, error) {
	return s.revokeAt(ctx, id, s.now())
}

func (s *Service) revokeAt(ctx context.Context, id string, at time.Time) (store.Key, error) {
	k, err := s.opts.Keys.RevokeKey(ctx, id, at)
	if err == nil {
		s.opts.Revoked(ctx, k)
	}
	return k, err
}
