package access

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// Keys returns all API keys, oldest first, revoked and expired ones too. It needs store.ScopeAdmin.
func (s *Service) Keys(ctx context.Context, who Caller) ([]store.Key, error) {
	if err := who.Require(store.ScopeAdmin); err != nil {
		return nil, err
	}
	return s.list(ctx, func(k *store.Key, _ time.Time) bool { return k.IsAPIKey() })
}

// NewKey is an API key to create.
type NewKey struct {
	Name      string
	Workspace string // see store.Key.Workspace; default: the caller's workspace
	Scopes    []store.Scope
	ExpiresAt time.Time // the zero time means never
	Err       error     // field errors that the caller found in its input; CreateKey reports them with its own
}

// CreateKey creates an API key and returns it with its token, which is stored nowhere. It needs
// store.ScopeAdmin. Its error names every invalid field.
func (s *Service) CreateKey(ctx context.Context, who Caller, in NewKey) (k store.Key, token string, err error) {
	if err := who.Require(store.ScopeAdmin); err != nil {
		return store.Key{}, "", err
	}
	k = store.Key{
		ID: store.NewKeyID(), Name: in.Name, Workspace: cmp.Or(in.Workspace, who.Owner()), Scopes: in.Scopes,
		CreatedAt: s.now(), ExpiresAt: in.ExpiresAt.UTC().Truncate(time.Microsecond),
	}
	if in.ExpiresAt.IsZero() {
		k.ExpiresAt = time.Time{}
	}
	if err := store.JoinInvalid(in.Err, check(&k)); err != nil {
		return store.Key{}, "", err
	}
	token, k.Hash = store.NewToken()
	k.Prefix = store.TokenPrefix(token)
	if err := s.opts.Keys.CreateKey(ctx, k); err != nil {
		return store.Key{}, "", fmt.Errorf("create key: %w", err)
	}
	return k, token, nil
}

// check returns an error for each invalid field of a new key.
func check(k *store.Key) error {
	problems := []error{store.CheckText("name", k.Name, store.MaxKeyNameLen), store.CheckWorkspace("workspace", k.Workspace)}
	if strings.TrimSpace(k.Name) == "" {
		problems[0] = &store.FieldError{Field: "name", Reason: "must not be empty"}
	}
	if len(k.Scopes) == 0 {
		problems = append(problems, &store.FieldError{Field: "scopes", Reason: "must name at least one scope"})
	}
	for _, scope := range k.Scopes {
		if !slices.Contains(store.Scopes(), scope) {
			problems = append(problems, &store.FieldError{Field: "scopes", Reason: fmt.Sprintf("must be scopes: %v", store.Scopes())})
			break
		}
	}
	if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(k.CreatedAt) {
		problems = append(problems, &store.FieldError{Field: "expires_at", Reason: "must be in the future"})
	}
	return store.JoinInvalid(problems...)
}

// RevokeKey revokes an API key, and so ends its sessions. It needs store.ScopeAdmin, and returns
// store.ErrNotFound for the id of no API key.
func (s *Service) RevokeKey(ctx context.Context, who Caller, id string) (store.Key, error) {
	keys, err := s.Keys(ctx, who)
	if err != nil {
		return store.Key{}, err
	}
	if !slices.ContainsFunc(keys, func(k store.Key) bool { return k.ID == id }) {
		return store.Key{}, fmt.Errorf("revoke key %q: %w", id, store.ErrNotFound)
	}
	return s.revoke(ctx, id)
}
