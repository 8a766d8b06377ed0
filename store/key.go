package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxKeyNameLen is the longest name of a key in characters.
const MaxKeyNameLen = 100

// Key is a stored API key, the key of a shared page of statistics, a member of a workspace, a passkey of a member, or a
// session. It contains the digest of the token, never the token.
type Key struct {
	ID          string // public name of the key, and the author of its writes
	Name        string // for people
	Prefix      string // the beginning of the token, so that people recognise it; see TokenPrefix
	Hash        [sha256.Size]byte
	Scopes      []Scope
	CreateLimit string    // limit of creates, as COUNT/WINDOW or "off"; empty means the limit of all keys
	CreatedAt   time.Time // UTC, microseconds

	// Workspace owns the links and domains that the key creates, see CheckWorkspace. All keys of
	// a workspace see them. Default: a workspace of this key alone, with the ID of the key.
	Workspace string

	// Domains are the IDs of the only domains on which the key may create links, also if another
	// owner has them. The empty ID is the default domain. Default: every domain that the owner
	// of the key may use.
	Domains []string

	DefaultDomain string // ID of the domain of creates that name none, as in Domains; empty: the default domain

	// Share is what the shared page of this key shows. Such a key has no scopes, and the API
	// rejects it. Never modify it: copies of a Key have the same Share. nil: an API key.
	Share *Share

	// Session is the sign-in of a person. A cookie has its token, and the API rejects it. Never
	// modify it: copies of a Key have the same Session. nil: no session.
	Session *Session

	// Member is the person who signs in with this key, or an invitation. The key has no scopes, because
	// the role has them, and the API rejects it. Never modify it: copies of a Key have the same Member.
	// nil: no member.
	Member *Member

	// Passkey is a passkey of a member of Workspace. Hash is the PasskeyHash of its ID. The key has no scopes, and the
	// API rejects it. Never modify it: copies of a Key have the same Passkey. nil: no passkey.
	Passkey *Passkey

	ExpiresAt  time.Time // the zero time means never
	LastUsedAt time.Time // up to some minutes old, see Keys.UseKeys; the zero time means never
	RevokedAt  time.Time // the zero time means not revoked
}

// Share is the statistics that a shared page shows.
type Share struct {
	Kind         ClickKind
	Key          string // of ClickDay
	PasswordHash string // bcrypt; empty: no password
}

// Passkey is a credential of Web Authentication with which a member signs in.
type Passkey struct {
	Subject    string // of the member, see Member; the Issuer is empty
	Credential []byte // the public key and its properties; not empty, never modify it
}

// PasskeyHash returns the Hash of the passkey with a credential ID. No token has it, because every token begins with
// tokenPrefix.
func PasskeyHash(id []byte) [sha256.Size]byte {
	return sha256.Sum256(slices.Concat([]byte("terse passkey\x00"), id))
}

// Session says who signed in.
type Session struct {
	Key  string            // ID of the API key or the member that signed in, or AuthorAdmin
	Hash [sha256.Size]byte // the Hash of that key; zero for AuthorAdmin
}

// The life of sessions.
const (
	SessionIdle = 8 * time.Hour      // a session ends when it was not used for so long
	SessionLife = 24 * time.Hour     // a session ends so long after the sign-in, also in use
	SessionTTL  = 7 * 24 * time.Hour // stores may delete a session so long after its sign-in
)

// DefaultWorkspace is the workspace of sessions of AuthorAdmin.
const DefaultWorkspace = "default"

// Scope is a permission of a key.
type Scope string

// The scopes. ScopeAdmin includes the others and applies to the links of all owners.
const (
	ScopeLinksRead    Scope = "links:read"
	ScopeLinksWrite   Scope = "links:write"
	ScopeStatsRead    Scope = "stats:read"
	ScopeDomainsRead  Scope = "domains:read"
	ScopeDomainsWrite Scope = "domains:write"

	ScopeWorkspaceWrite Scope = "workspace:write" // members, invitations and API keys of the workspace

	ScopeAdmin Scope = "admin"
)

// Scopes returns every scope, narrowest first.
func Scopes() []Scope {
	return []Scope{ScopeLinksRead, ScopeLinksWrite, ScopeStatsRead, ScopeDomainsRead, ScopeDomainsWrite, ScopeWorkspaceWrite, ScopeAdmin}
}

// Owner returns the Owner of the links and domains that the key creates.
func (k *Key) Owner() string { return cmp.Or(k.Workspace, k.ID) }

// Can reports whether the key has s or ScopeAdmin.
func (k *Key) Can(s Scope) bool {
	return slices.Contains(k.Scopes, s) || slices.Contains(k.Scopes, ScopeAdmin)
}

// Author returns the author of writes with the key: for a session, the key that signed in.
func (k *Key) Author() string {
	if k.Session != nil {
		return k.Session.Key
	}
	return k.ID
}

// IsAPIKey reports whether programs may use the key.
func (k *Key) IsAPIKey() bool {
	return k.Share == nil && k.Session == nil && k.Member == nil && k.Passkey == nil
}

// SignsIn reports whether a person may sign in with the key.
func (k *Key) SignsIn() bool { return k.IsAPIKey() || k.Member != nil && !k.Member.Invites() }

// Usable reports whether the key may be used at now. A session also needs a usable key that signed in, see
// Session.Hash.
func (k *Key) Usable(now time.Time) bool {
	if k.Session != nil {
		used := k.CreatedAt
		if used.Before(k.LastUsedAt) {
			used = k.LastUsedAt
		}
		if now.Sub(used) >= SessionIdle {
			return false
		}
	}
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// MaxWorkspaceLen is the longest ID of a workspace in bytes.
const MaxWorkspaceLen = 64

// reservedWorkspaces are texts that mean other owners in the API, and the owner of canaries.
var reservedWorkspaces = []string{"anonymous", CanaryOwner}

// CheckWorkspace returns a *FieldError for field if id cannot be the ID of a workspace: 1 to
// MaxWorkspaceLen letters, digits, "-" and "_". A key without a workspace has its own ID as its workspace.
func CheckWorkspace(field, id string) error {
	switch {
	case len(id) > MaxWorkspaceLen || !ValidCode(id):
		return &FieldError{Field: field, Reason: fmt.Sprintf("must be 1 to %d letters, digits, - or _", MaxWorkspaceLen)}
	case slices.Contains(reservedWorkspaces, id):
		return &FieldError{Field: field, Reason: "is reserved"}
	}
	return nil
}

// Keys keeps API keys. Implementations are safe for concurrent use and return
// ErrUnavailable as Store does.
type Keys interface {
	// CreateKey adds k, or returns ErrExists when its ID or Hash is taken. With a session it may
	// delete sessions that are older by SessionTTL.
	CreateKey(ctx context.Context, k Key) error

	// KeyByHash returns the key with this digest of its token, or ErrNotFound. Revoked and
	// expired keys are returned too; see Key.Usable.
	KeyByHash(ctx context.Context, hash [sha256.Size]byte) (Key, error)

	// ListKeys returns all keys, oldest first.
	ListKeys(ctx context.Context) ([]Key, error)

	// RevokeKey revokes the key at the given time and returns it, or ErrNotFound. A second
	// call keeps the first time.
	RevokeKey(ctx context.Context, id string, at time.Time) (Key, error)

	// UseKeys records when keys were last used. A time before the recorded one and an
	// unknown digest have no effect. After an error, any of the uses may be recorded.
	UseKeys(ctx context.Context, uses []KeyUse) error
}

// KeyUse is one use of a key.
type KeyUse struct {
	Hash [sha256.Size]byte
	At   time.Time // UTC, microseconds
}

// tokenPrefix makes tokens recognisable for people and secret scanners.
const tokenPrefix = "tk_"

// tokenLen is the length of a token: the prefix and 256 bits in hexadecimal.
const tokenLen = len(tokenPrefix) + 2*sha256.Size

// prefixLen is how much of a token is stored: 32 of its 256 bits, so that the rest cannot
// be guessed.
const prefixLen = len(tokenPrefix) + 8

// NewToken returns a new token and its digest. The token is shown once and never stored.
func NewToken() (token string, hash [sha256.Size]byte) {
	var secret [sha256.Size]byte
	_, _ = rand.Read(secret[:]) // never fails: see crypto/rand
	return TokenOf(secret)
}

// TokenOf returns the token with the given random bytes, and its digest.
func TokenOf(secret [sha256.Size]byte) (token string, hash [sha256.Size]byte) {
	token = tokenPrefix + hex.EncodeToString(secret[:])
	return token, sha256.Sum256([]byte(token))
}

// TokenPrefix returns the part of a token that may be stored and shown.
func TokenPrefix(token string) string { return token[:min(len(token), prefixLen)] }

// NewKeyID returns a new id for a key.
func NewKeyID() string { return "key_" + strings.ToLower(rand.Text()[:12]) }

// HashToken returns the digest of a token. It returns false for a text without the form of
// a token, so that callers need not look it up.
func HashToken(token string) (hash [sha256.Size]byte, ok bool) {
	if len(token) != tokenLen || !strings.HasPrefix(token, tokenPrefix) {
		return hash, false
	}
	return sha256.Sum256([]byte(token)), true
}
