package access

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// MaxPasskeys is the largest number of passkeys of a member.
const MaxPasskeys = 20

// The errors of passkeys.
var (
	// ErrPasskey rejects an answer of a browser that proves no passkey of a member.
	ErrPasskey = errors.New("the passkey is unknown, was removed, or does not fit")

	// ErrNoPasskeys rejects a passkey for a caller who cannot have one: only members who were invited can. The roles of
	// other people come from an identity provider, which a passkey would bypass.
	ErrNoPasskeys = errors.New("only a member who was invited can have passkeys")

	// ErrTooManyPasskeys rejects another passkey of a member who has MaxPasskeys.
	ErrTooManyPasskeys = fmt.Errorf("a member can have at most %d passkeys", MaxPasskeys)
)

// NewPasskey is a passkey that a browser has made.
type NewPasskey struct {
	Name       string // for the member; default "Passkey"
	ID         []byte // of the credential
	Credential []byte // see store.Passkey
}

// Names of providers in attempts with passkeys. No identity provider has such a name.
const (
	passkeySignIn = "/passkey/sign-in"
	passkeyNew    = "/passkey/new"
)

// PasskeyAttempt begins a sign-in with a passkey. See Attempt.
func (s *Service) PasskeyAttempt(returnTo string) (a Attempt, cookie string) {
	return s.Attempt(passkeySignIn, returnTo)
}

// NewPasskeyAttempt begins to make a passkey of the person with a Subject. For an invitation, it is the Subject of the
// later member.
func (s *Service) NewPasskeyAttempt(subject string) (a Attempt, cookie string) {
	return s.Attempt(passkeyNew, subject)
}

// ResumePasskey returns the attempt of a cookie of PasskeyAttempt, or ErrAttempt.
func (s *Service) ResumePasskey(cookie string) (Attempt, error) {
	return s.resume(cookie, passkeySignIn)
}

// ResumeNewPasskey returns the attempt of a cookie of NewPasskeyAttempt, and the Subject. It returns
// ErrAttempt.
func (s *Service) ResumeNewPasskey(cookie string) (a Attempt, subject string, err error) {
	a, err = s.resume(cookie, passkeyNew)
	return a, a.ReturnTo, err
}

// Challenge returns what the authenticator signs.
func (a *Attempt) Challenge() []byte { return a.challenge }

// passkeyID returns the ID of the passkey that an attempt makes. It follows from the secret, so that an attempt makes one
// passkey at most on each shard. RevokeKey revokes them on all shards.
func (s *Service) passkeyID(a Attempt) string {
	return "key_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum(s.attempts, append([]byte("passkey"), a.secret...)))[:12])
}

// newPasskey returns a passkey of the member with a subject. The error is a *store.FieldError for the name.
func (s *Service) newPasskey(a Attempt, subject, workspace string, in NewPasskey) (store.Key, error) {
	name := strings.TrimSpace(in.Name)
	if name == "" {
		name = "Passkey"
	}
	k := store.Key{
		ID: s.passkeyID(a), Name: name, Workspace: workspace, Hash: store.PasskeyHash(in.ID), CreatedAt: s.now(),
		Passkey: &store.Passkey{Subject: subject, Credential: in.Credential},
	}
	return k, checkName(&k)
}

// storePasskey stores a passkey. It returns ErrAttempt if the attempt or the credential was used.
func (s *Service) storePasskey(ctx context.Context, k store.Key) error {
	if err := s.opts.Keys.CreateKey(ctx, k); err != nil {
		return fmt.Errorf("create passkey: %w", usedOnce(err))
	}
	return nil
}

// passkeyOf reports whether k is a usable passkey of the member m.
func passkeyOf(k, m *store.Key, now time.Time) bool {
	return k.Passkey != nil && m.Member.Issuer == "" && k.Workspace == m.Workspace && k.Passkey.Subject == m.Member.Subject && k.Usable(now)
}

// MayHavePasskeys returns ErrNoPasskeys unless m is a member who was invited.
func MayHavePasskeys(m *store.Key) error {
	if m.Member == nil || m.Member.Issuer != "" || m.Member.Invites() {
		return ErrNoPasskeys
	}
	return nil
}

// Passkeys returns the usable passkeys of a member, oldest first.
func (s *Service) Passkeys(ctx context.Context, m store.Key) ([]store.Key, error) {
	if err := MayHavePasskeys(&m); err != nil {
		return nil, err
	}
	return s.list(ctx, func(k *store.Key, now time.Time) bool { return passkeyOf(k, &m, now) })
}

// AddPasskey stores a passkey of a member. It returns ErrNoPasskeys, ErrTooManyPasskeys, ErrAttempt if the attempt or the
// credential was used, and a *store.FieldError for the name.
func (s *Service) AddPasskey(ctx context.Context, m store.Key, a Attempt, in NewPasskey) error {
	own, err := s.Passkeys(ctx, m)
	switch {
	case err != nil:
		return err
	case len(own) >= MaxPasskeys:
		return ErrTooManyPasskeys
	}
	k, err := s.newPasskey(a, m.Member.Subject, m.Workspace, in)
	if err != nil {
		return err
	}
	return s.storePasskey(ctx, k)
}

// RemovePasskey removes one of Passkeys. It returns store.ErrNotFound for another ID.
func (s *Service) RemovePasskey(ctx context.Context, m store.Key, id string) error {
	own, err := s.Passkeys(ctx, m)
	if err != nil {
		return err
	}
	if err := s.revokeOneOf(ctx, own, id); err != nil {
		return fmt.Errorf("remove passkey %q: %w", id, err)
	}
	return nil
}

// endPasskeys revokes the passkeys of a member in all.
func (s *Service) endPasskeys(ctx context.Context, all []store.Key, m *store.Key) error {
	now := s.now()
	var errs []error
	for i := range all {
		if passkeyOf(&all[i], m, now) {
			_, err := s.revoke(ctx, all[i].ID)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// SignInByPasskey returns the token of a new session of the member with a passkey, whose signature the caller has
// checked. It returns ErrPasskey if the passkey or the member was removed, and ErrAttempt if the attempt was used: the
// token follows from the attempt, and its digest is unique in the store.
func (s *Service) SignInByPasskey(ctx context.Context, a Attempt, passkey store.Key) (token string, err error) {
	if passkey.Passkey == nil || !passkey.Usable(s.now()) {
		return "", ErrPasskey
	}
	m, err := s.current(ctx, &store.Key{Workspace: passkey.Workspace, Member: &store.Member{Subject: passkey.Passkey.Subject}})
	if errors.Is(err, store.ErrNotFound) {
		err = ErrPasskey
	}
	if err != nil {
		return "", err
	}
	token, hash := store.TokenOf([sha256.Size]byte(sum(s.sessions, a.secret)))
	if err := s.openSession(ctx, m, token, hash); err != nil {
		return "", usedOnce(err)
	}
	return token, nil
}
