package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Key is an API key as it is kept: never the token itself, only its digest.
type Key struct {
	ID          string // public name of the key; the Owner of the links it creates
	Name        string // for people
	Prefix      string // how the token begins, by which people recognise it; see TokenPrefix
	Hash        [sha256.Size]byte
	Scopes      []Scope
	CreateLimit string    // how often it may create, as COUNT/WINDOW or "off"; empty means as often as any key
	CreatedAt   time.Time // UTC, microseconds
	ExpiresAt   time.Time // the zero time means never
	LastUsedAt  time.Time // some minutes behind, see Keys.UseKeys; the zero time means never
	RevokedAt   time.Time // zero while it may be used
}

// Scope is something that a key may do.
type Scope string

// The scopes. ScopeAdmin includes the others and reaches every owner's links.
const (
	ScopeLinksRead  Scope = "links:read"
	ScopeLinksWrite Scope = "links:write"
	ScopeStatsRead  Scope = "stats:read"
	ScopeAdmin      Scope = "admin"
)

// Scopes returns every scope, narrowest first.
func Scopes() []Scope {
	return []Scope{ScopeLinksRead, ScopeLinksWrite, ScopeStatsRead, ScopeAdmin}
}

// Can reports whether the key carries s or the scope that includes it.
func (k *Key) Can(s Scope) bool {
	return slices.Contains(k.Scopes, s) || slices.Contains(k.Scopes, ScopeAdmin)
}

// Usable reports whether the key may be used at now.
func (k *Key) Usable(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Keys keeps API keys. Implementations are safe for concurrent use and return
// ErrUnavailable as Store does.
type Keys interface {
	// CreateKey adds k, or returns ErrExists when its ID or Hash is taken.
	CreateKey(ctx context.Context, k Key) error

	// KeyByHash returns the key with the digest of a token, also when it is
	// revoked or expired (see Key.Usable), or ErrNotFound.
	KeyByHash(ctx context.Context, hash [sha256.Size]byte) (Key, error)

	// ListKeys returns all keys, oldest first.
	ListKeys(ctx context.Context) ([]Key, error)

	// RevokeKey revokes the key at the given time and returns it, or
	// ErrNotFound. Revoking twice keeps the first time.
	RevokeKey(ctx context.Context, id string, at time.Time) (Key, error)

	// UseKeys notes when keys were last used. An earlier time than is known, and
	// a digest that is not, change nothing. Of those that it fails for, none, some
	// or all may be noted.
	UseKeys(ctx context.Context, uses []KeyUse) error
}

// KeyUse is the last use of a key that somebody knows of.
type KeyUse struct {
	Hash [sha256.Size]byte
	At   time.Time // UTC, microseconds
}

// tokenPrefix lets people and secret scanners recognise a token.
const tokenPrefix = "tk_"

// tokenLen is the length of a token: the prefix and 256 bits in hexadecimal.
const tokenLen = len(tokenPrefix) + 2*sha256.Size

// prefixLen is how much of a token is kept: 32 of its 256 bits, so that what is
// left cannot be guessed.
const prefixLen = len(tokenPrefix) + 8

// NewToken returns a fresh token, which is shown once and never stored, and the
// digest by which it is found.
func NewToken() (token string, hash [sha256.Size]byte) {
	var secret [sha256.Size]byte
	_, _ = rand.Read(secret[:]) // never fails: see crypto/rand
	token = tokenPrefix + hex.EncodeToString(secret[:])
	return token, sha256.Sum256([]byte(token))
}

// TokenPrefix returns the part of a token that may be kept and shown.
func TokenPrefix(token string) string { return token[:min(len(token), prefixLen)] }

// NewKeyID returns a fresh id for a key.
func NewKeyID() string { return "key_" + strings.ToLower(rand.Text()[:12]) }

// HashToken returns the digest of a token, and false for a text that cannot be
// one, so that noise never costs a look-up.
func HashToken(token string) (hash [sha256.Size]byte, ok bool) {
	if len(token) != tokenLen || !strings.HasPrefix(token, tokenPrefix) {
		return hash, false
	}
	return sha256.Sum256([]byte(token)), true
}
