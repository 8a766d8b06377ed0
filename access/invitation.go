package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// InvitationLife is how long an invitation can be accepted if it has no other end.
const InvitationLife = 7 * 24 * time.Hour

// NewInvitation is an invitation to send.
type NewInvitation struct {
	Name      string // of the person, for other members
	Role      store.Role
	Workspace string    // default: the caller's workspace
	ExpiresAt time.Time // default: after InvitationLife
	Err       error     // field errors that the caller found in its input; Invite reports them with its own
}

// Invite stores an invitation and returns it with the token of its link, which is stored nowhere. It needs
// store.ScopeWorkspaceWrite, the scopes of the role, and store.ScopeAdmin for another workspace. Its
// error names every invalid field.
func (s *Service) Invite(ctx context.Context, who Caller, in NewInvitation) (invitation store.Key, token string, err error) {
	if err := who.Require(store.ScopeWorkspaceWrite); err != nil {
		return store.Key{}, "", err
	}
	now := s.now()
	k := store.Key{
		ID: store.NewKeyID(), Name: in.Name, Workspace: cmp.Or(in.Workspace, who.Owner()), CreatedAt: now,
		ExpiresAt: in.ExpiresAt.UTC().Truncate(time.Microsecond), Member: &store.Member{Role: in.Role, By: who.Author()},
	}
	if in.ExpiresAt.IsZero() {
		k.ExpiresAt = now.Add(InvitationLife)
	}
	given := mayGive(who, in.Role)
	if !store.IsInvalid(given) && given != nil {
		return store.Key{}, "", given
	}
	if err := store.JoinInvalid(in.Err, checkName(&k), given, checkEnd(&k)); err != nil {
		return store.Key{}, "", err
	}
	if err := s.manages(who, k.Workspace); err != nil {
		return store.Key{}, "", err
	}
	token, k.Hash = store.NewToken()
	k.Prefix = store.TokenPrefix(token)
	if err := s.opts.Keys.CreateKey(ctx, k); err != nil {
		return store.Key{}, "", fmt.Errorf("create invitation: %w", err)
	}
	return k, token, nil
}

// checkName returns an error for an invalid name or workspace of a new key.
func checkName(k *store.Key) error {
	name := store.CheckText("name", k.Name, store.MaxKeyNameLen)
	if strings.TrimSpace(k.Name) == "" {
		name = &store.FieldError{Field: "name", Reason: "must not be empty"}
	}
	return store.JoinInvalid(name, store.CheckWorkspace("workspace", k.Workspace))
}

// checkEnd returns an error for a new key that has expired.
func checkEnd(k *store.Key) error {
	if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(k.CreatedAt) {
		return &store.FieldError{Field: "expires_at", Reason: "must be in the future"}
	}
	return nil
}

// Accept makes the person who has the token of an invitation a member. It returns the sign-in key of the
// member, which is stored nowhere, and the token of a new session. If only the session fails, Accept returns
// the sign-in key together with the error. It returns ErrLink if the invitation was accepted, withdrawn or has
// expired, or if its author has no usable key. Only one of several concurrent calls succeeds: the sign-in key
// follows from the token, and its digest is unique in the store.
func (s *Service) Accept(ctx context.Context, token string) (key, session string, err error) {
	return s.accept(ctx, token, store.NewKeyID(), func(store.Key) error { return nil })
}

// AcceptWithPasskey does the same as Accept with a passkey in place of the sign-in key. subject is the argument of
// NewPasskeyAttempt. It also returns ErrAttempt, and a *store.FieldError for the name.
func (s *Service) AcceptWithPasskey(ctx context.Context, token string, a Attempt, subject string, in NewPasskey) (session string, err error) {
	passkey := ""
	_, session, err = s.accept(ctx, token, subject, func(invitation store.Key) error {
		k, err := s.newPasskey(a, subject, invitation.Workspace, in)
		if err == nil {
			err = s.storePasskey(ctx, k)
		}
		if err == nil {
			passkey = k.ID
		}
		return err
	})
	if passkey != "" && session == "" && errors.Is(err, ErrLink) { // the passkey has no member
		_, undone := s.revoke(ctx, passkey)
		err = errors.Join(err, undone)
	}
	return session, err
}

// accept makes the person who has the token of an invitation a member with an ID. prepare runs before the member exists.
func (s *Service) accept(ctx context.Context, token, id string, prepare func(invitation store.Key) error) (key, session string, err error) {
	hash, ok := store.HashToken(token)
	if !ok {
		return "", "", ErrLink
	}
	k, err := s.opts.Keys.KeyByHash(ctx, hash)
	if errors.Is(err, store.ErrNotFound) || err == nil && (k.Member == nil || !k.Member.Invites() || !k.Usable(s.now())) {
		return "", "", ErrLink
	}
	if err != nil {
		return "", "", fmt.Errorf("accept invitation: %w", err)
	}
	if err := s.checkAuthor(ctx, &k); err != nil {
		return "", "", err
	}
	key, hash = store.TokenOf([sha256.Size]byte(sum(s.members, []byte(token))))
	if err := prepare(k); err != nil {
		return "", "", err
	}
	m := store.Key{ID: id, Hash: hash, Name: k.Name, Prefix: store.TokenPrefix(key), Workspace: k.Workspace, CreatedAt: s.now()}
	m.Member = &store.Member{Role: k.Member.Role, Subject: m.ID, By: k.Member.By}
	err = s.opts.Keys.CreateKey(ctx, m)
	if errors.Is(err, store.ErrExists) {
		return "", "", ErrLink
	}
	if err != nil {
		return "", "", fmt.Errorf("accept invitation: %w", err)
	}
	at := s.now()
	ended, err := s.revokeAt(ctx, k.ID, at)
	if err == nil && !ended.RevokedAt.Equal(at) { // withdrawn since it was read
		err = ErrLink
	}
	if err != nil {
		_, undone := s.revoke(ctx, m.ID)
		return "", "", errors.Join(err, undone)
	}
	session, hash = store.NewToken()
	if err := s.openSession(ctx, m, session, hash); err != nil {
		return key, "", err
	}
	return key, session, nil
}

// checkAuthor returns ErrLink unless the author of an invitation may still send it. It reads the store: another process
// may have revoked the key of the author.
func (s *Service) checkAuthor(ctx context.Context, invitation *store.Key) error {
	if invitation.Member.By == store.AuthorAdmin {
		return nil
	}
	authors, err := s.list(ctx, func(k *store.Key, now time.Time) bool { return k.ID == invitation.Member.By && k.Usable(now) })
	if err != nil {
		return err
	}
	if len(authors) == 0 {
		return ErrLink
	}
	author := authors[0]
	if author.Member != nil {
		author.Scopes = author.Member.Role.Scopes()
	}
	for _, scope := range append(invitation.Member.Role.Scopes(), store.ScopeWorkspaceWrite) {
		if !author.Can(scope) {
			return ErrLink
		}
	}
	return nil
}
