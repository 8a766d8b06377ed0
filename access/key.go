package access

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/terse/terse/store"
)

// Keys returns the API keys of the workspaces that the caller manages, oldest first, revoked and expired
// ones too. It needs store.ScopeWorkspaceWrite.
func (s *Service) Keys(ctx context.Context, who Caller) ([]store.Key, error) {
	if err := who.Require(store.ScopeWorkspaceWrite); err != nil {
		return nil, err
	}
	return s.list(ctx, func(k *store.Key, _ time.Time) bool { return k.IsAPIKey() && s.manages(who, k.Owner()) == nil })
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
// store.ScopeWorkspaceWrite, and store.ScopeAdmin for another workspace. The caller must have the scopes
// of the key. Its error names every invalid field.
func (s *Service) CreateKey(ctx context.Context, who Caller, in NewKey) (k store.Key, token string, err error) {
	if err := who.Require(store.ScopeWorkspaceWrite); err != nil {
		return store.Key{}, "", err
	}
	k = store.Key{
		ID: store.NewKeyID(), Name: in.Name, Workspace: cmp.Or(in.Workspace, who.Owner()), Scopes: in.Scopes,
		CreatedAt: s.now(), ExpiresAt: in.ExpiresAt.UTC().Truncate(time.Microsecond),
	}
	if in.ExpiresAt.IsZero() {
		k.ExpiresAt = time.Time{}
	}
	if err := store.JoinInvalid(in.Err, checkName(&k), checkScopes(&k), checkEnd(&k)); err != nil {
		return store.Key{}, "", err
	}
	if err := s.manages(who, k.Workspace); err != nil {
		return store.Key{}, "", err
	}
	if err := requireAll(who, k.Scopes); err != nil {
		return store.Key{}, "", err
	}
	token, k.Hash = store.NewToken()
	k.Prefix = store.TokenPrefix(token)
	if err := s.opts.Keys.CreateKey(ctx, k); err != nil {
		return store.Key{}, "", fmt.Errorf("create key: %w", err)
	}
	return k, token, nil
}

// requireAll returns an error if the caller lacks one of the scopes.
func requireAll(who Caller, scopes []store.Scope) error {
	for _, scope := range scopes {
		if err := who.Require(scope); err != nil {
			return err
		}
	}
	return nil
}

// checkScopes returns an error for the scopes of a new key.
func checkScopes(k *store.Key) error {
	if len(k.Scopes) == 0 {
		return &store.FieldError{Field: "scopes", Reason: "must name at least one scope"}
	}
	for _, scope := range k.Scopes {
		if !slices.Contains(store.Scopes(), scope) {
			return &store.FieldError{Field: "scopes", Reason: fmt.Sprintf("must be scopes: %v", store.Scopes())}
		}
	}
	return nil
}

// RevokeKey revokes one of Keys, and so ends its sessions. The caller must have the scopes of the key. It
// returns store.ErrNotFound for another id.
func (s *Service) RevokeKey(ctx context.Context, who Caller, id string) (store.Key, error) {
	keys, err := s.Keys(ctx, who)
	if err != nil {
		return store.Key{}, err
	}
	i := slices.IndexFunc(keys, func(k store.Key) bool { return k.ID == id })
	if i < 0 {
		return store.Key{}, fmt.Errorf("revoke key %q: %w", id, store.ErrNotFound)
	}
	if err := requireAll(who, keys[i].Scopes); err != nil {
		return store.Key{}, err
	}
	return s.revoke(ctx, id)
}
