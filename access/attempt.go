package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// AttemptLife is how long a person may take to sign in at an identity provider, or to use or make a passkey.
const AttemptLife = 10 * time.Minute

// The errors of attempts and of people from outside.
var (
	// ErrAttempt rejects an answer of a provider that belongs to no attempt, or to an old or used one.
	ErrAttempt = errors.New("the sign-in was not begun in this browser, took too long, or was used")

	// ErrProvider is the error for a provider that does not answer, or answers nonsense.
	ErrProvider = errors.New("the identity provider does not answer")

	// ErrAnswer rejects an answer of a provider that is not valid for the attempt.
	ErrAnswer = errors.New("the answer of the identity provider is not valid")

	// ErrTooManyGroups rejects a person whose groups the provider leaves out, because they are too many for a
	// token.
	ErrTooManyGroups = errors.New("the identity provider leaves out the groups of the person")

	// ErrNoRole rejects a person who has no role.
	ErrNoRole = errors.New("no group or role of the person gives access")
)

// Attempt is one sign-in at an identity provider or with a passkey, or the creation of one passkey. The browser keeps it
// in a cookie until the answer comes.
type Attempt struct {
	Provider string // name
	ReturnTo string // page to open afterwards

	// What the provider returns or checks: state and code_verifier of OAuth 2.0 (RFC 6749 section 4.1.1 and
	// RFC 7636), and nonce of OpenID Connect. They follow from the secret.
	State, Verifier, Nonce string

	secret    []byte
	challenge []byte // of Web Authentication; follows from the secret
}

// A cookie of an attempt begins with its end in Unix seconds, its secret, and the proof.
const (
	attemptSecret = 8
	attemptProof  = attemptSecret + 32
	attemptText   = attemptProof + sha256.Size
)

// Attempt begins a sign-in. It returns the value of the cookie, which the provider never sees.
func (s *Service) Attempt(provider, returnTo string) (a Attempt, cookie string) {
	raw := binary.BigEndian.AppendUint64(nil, uint64(s.now().Add(AttemptLife).Unix())) //nolint:gosec // after 1970
	raw = append(raw, make([]byte, attemptText-len(raw))...)
	_, _ = rand.Read(raw[attemptSecret:attemptProof]) // never fails: see crypto/rand
	raw = append(raw, provider+"\n"+returnTo...)
	copy(raw[attemptProof:], s.proof(raw))
	a, _ = s.attempt(raw)
	return a, base64.RawURLEncoding.EncodeToString(raw)
}

// Resume returns the attempt of a cookie and of the state that the provider returned. It returns ErrAttempt if
// they do not belong together.
func (s *Service) Resume(cookie, provider, state string) (Attempt, error) {
	a, err := s.resume(cookie, provider)
	if err != nil || !hmac.Equal([]byte(a.State), []byte(state)) {
		return Attempt{}, ErrAttempt
	}
	return a, nil
}

// resume returns the attempt of a cookie, or ErrAttempt.
func (s *Service) resume(cookie, provider string) (Attempt, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cookie)
	if err != nil || len(raw) <= attemptText || !hmac.Equal(raw[attemptProof:attemptText], s.proof(raw)) ||
		s.now().Unix() >= int64(binary.BigEndian.Uint64(raw)) { //nolint:gosec // the proof shows that Attempt wrote it
		return Attempt{}, ErrAttempt
	}
	a, ok := s.attempt(raw)
	if !ok || a.Provider != provider {
		return Attempt{}, ErrAttempt
	}
	return a, nil
}

// proof returns the signature of a cookie.
func (s *Service) proof(raw []byte) []byte {
	return sum(s.attempts, slices.Concat([]byte("proof"), raw[:attemptProof], raw[attemptText:]))
}

func (s *Service) attempt(raw []byte) (a Attempt, ok bool) {
	a.secret = raw[attemptSecret:attemptProof]
	a.Provider, a.ReturnTo, ok = strings.Cut(string(raw[attemptText:]), "\n")
	derive := func(name string) string {
		return hex.EncodeToString(sum(s.attempts, slices.Concat([]byte(name), a.secret)))
	}
	a.State, a.Verifier, a.Nonce = derive("state"), derive("verifier"), derive("nonce")
	a.challenge = sum(s.attempts, slices.Concat([]byte("challenge"), a.secret))
	return a, ok
}

// SignInPerson gives the person exactly the roles of p, and returns the token of a new session. The session is in
// the workspace where the person has the widest role, or the first of these by name. Memberships that changed end
// with their sessions. It returns ErrNoRole without a role, and ErrAttempt if the attempt was used.
func (s *Service) SignInPerson(ctx context.Context, a Attempt, p Person) (token string, err error) {
	token, hash := store.TokenOf([sha256.Size]byte(sum(s.sessions, a.secret)))
	if err := s.signInPerson(ctx, p, token, hash); err != nil {
		return "", usedOnce(err)
	}
	return token, nil
}

// usedOnce returns ErrAttempt for the error of a store that has the digest already, and other errors unchanged.
func usedOnce(err error) error {
	if errors.Is(err, store.ErrExists) {
		return ErrAttempt
	}
	return err
}

// ProxyIssuer is the Issuer of the people whom a trusted proxy names.
const ProxyIssuer = "proxy"

// SignInByProxy is SignInPerson for a person whom a trusted proxy names. The Issuer is ProxyIssuer.
func (s *Service) SignInByProxy(ctx context.Context, p Person) (token string, err error) {
	p.Issuer = ProxyIssuer
	token, hash := store.NewToken()
	if err := s.signInPerson(ctx, p, token, hash); err != nil {
		return "", err
	}
	return token, nil
}

// signInPerson opens the session of SignInPerson.
func (s *Service) signInPerson(ctx context.Context, p Person, token string, hash [sha256.Size]byte) error {
	var own map[string]store.Key
	var err error
	for range 3 { // another node may do the same
		if own, err = s.synchronize(ctx, p); !errors.Is(err, ErrChanged) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	if len(own) == 0 {
		return ErrNoRole
	}
	workspaces := slices.Sorted(maps.Keys(own))
	best := slices.MaxFunc(workspaces, func(a, b string) int {
		return slices.Index(store.Roles(), own[a].Member.Role) - slices.Index(store.Roles(), own[b].Member.Role)
	})
	return s.openSession(ctx, own[best], token, hash)
}

// synchronize makes the memberships of a person equal to its roles, and returns them by workspace.
func (s *Service) synchronize(ctx context.Context, p Person) (map[string]store.Key, error) {
	all, err := s.opts.Keys.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	own, former, now := map[string]store.Key{}, map[string]store.Key{}, s.now() // by workspace
	for _, k := range all {
		switch {
		case k.Member == nil || k.Member.Issuer != p.Issuer || k.Member.Subject != p.Subject || !k.Usable(now):
		case k.Member.Role == p.Roles[k.Workspace] && own[k.Workspace].ID == "":
			k.Name = p.Name // for the session: another name is no other membership
			own[k.Workspace] = k
		default:
			former[k.Workspace] = k
		}
	}
	for _, workspace := range slices.Sorted(maps.Keys(p.Roles)) {
		if own[workspace].ID != "" {
			continue
		}
		m := store.Key{Name: p.Name, Workspace: workspace}
		m.Member = &store.Member{Role: p.Roles[workspace], Issuer: p.Issuer, Subject: p.Subject, By: p.Issuer}
		if own[workspace], err = s.grant(ctx, all, m); err != nil {
			return nil, err
		}
	}
	all = slices.DeleteFunc(all, func(k store.Key) bool { return own[k.Workspace].ID == k.ID }) // those stay
	for _, workspace := range slices.Sorted(maps.Keys(former)) {
		m := former[workspace]
		if err := s.end(ctx, all, &m); err != nil {
			return nil, err
		}
	}
	return own, nil
}
