package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// The errors of changes of members.
var (
	// ErrLastManager rejects a change that leaves a workspace without a manager. Administrators of the
	// server may make it.
	ErrLastManager = errors.New("the workspace would have no manager")

	// ErrProvided rejects another role for a person whose roles come from an identity provider.
	ErrProvided = errors.New("the identity provider decides about the role")

	// ErrChanged rejects a change because another one was made at the same time.
	ErrChanged = errors.New("the member was changed at the same time")
)

// Workspace is a workspace that has a usable API key, a member or an invitation.
type Workspace struct {
	ID                         string
	Keys, Members, Invitations int
}

// Workspaces returns the workspaces that the caller manages, in the order of their IDs: for
// administrators of the server all, else the caller's own. It needs store.ScopeWorkspaceWrite.
func (s *Service) Workspaces(ctx context.Context, who Caller) ([]Workspace, error) {
	if err := who.Require(store.ScopeWorkspaceWrite); err != nil {
		return nil, err
	}
	keys, err := s.list(ctx, func(k *store.Key, now time.Time) bool {
		return k.Session == nil && k.Share == nil && k.Passkey == nil && k.Usable(now) && s.manages(who, k.Owner()) == nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(keys, func(a, b store.Key) int { return strings.Compare(a.Owner(), b.Owner()) })
	var all []Workspace
	for i := range keys {
		k := &keys[i]
		if len(all) == 0 || all[len(all)-1].ID != k.Owner() {
			all = append(all, Workspace{ID: k.Owner()})
		}
		switch w := &all[len(all)-1]; {
		case k.Member == nil:
			w.Keys++
		case k.Member.Invites():
			w.Invitations++
		default:
			w.Members++
		}
	}
	return all, nil
}

// manages returns nil if the caller manages the workspace. The error is the one of Require, or
// store.ErrNotFound for another workspace.
func (s *Service) manages(who Caller, workspace string) error {
	if err := who.Require(store.ScopeWorkspaceWrite); err != nil {
		return err
	}
	if workspace != who.Owner() && who.Require(store.ScopeAdmin) != nil {
		return fmt.Errorf("workspace %q: %w", workspace, store.ErrNotFound)
	}
	return nil
}

// Members returns the members of a workspace and its open invitations, oldest first. It needs
// store.ScopeWorkspaceWrite, and returns store.ErrNotFound for a workspace that the caller does not manage.
func (s *Service) Members(ctx context.Context, who Caller, workspace string) ([]store.Key, error) {
	if err := s.manages(who, workspace); err != nil {
		return nil, err
	}
	return s.list(ctx, func(k *store.Key, now time.Time) bool {
		return k.Member != nil && k.Owner() == workspace && k.Usable(now)
	})
}

// SetRole gives a member another role, ends the member's sessions, and returns the member, which has a new ID. It
// needs store.ScopeWorkspaceWrite, and the scopes of the role before and of the new role. It returns
// store.ErrNotFound for an unknown ID, and ErrLastManager, ErrProvided and ErrChanged.
func (s *Service) SetRole(ctx context.Context, who Caller, id string, role store.Role) (store.Key, error) {
	m, all, err := s.member(ctx, who, id)
	if err == nil {
		err = mayGive(who, role)
	}
	switch {
	case err != nil:
		return store.Key{}, err
	case m.Member.Invites():
		return store.Key{}, fmt.Errorf("member %q: %w", id, store.ErrNotFound)
	case m.Member.Issuer != "":
		return store.Key{}, ErrProvided
	case m.Member.Role == role && s.only(all, &m):
		return m, nil
	case !role.Manages() && s.lastManager(who, all, &m):
		return store.Key{}, ErrLastManager
	}
	next, err := s.grant(ctx, all, store.Key{
		Name: m.Name, Prefix: m.Prefix, Workspace: m.Workspace,
		Member: &store.Member{Role: role, Issuer: m.Member.Issuer, Subject: m.Member.Subject, By: who.Author()},
	})
	if err != nil {
		return store.Key{}, err
	}
	err = s.end(ctx, all, &m)
	if errors.Is(err, ErrChanged) {
		_, undone := s.revoke(ctx, next.ID)
		return store.Key{}, cmp.Or(undone, err)
	}
	return next, err
}

// only reports whether m is the only usable membership of its person in the workspace. A change that failed half-way
// leaves two.
func (s *Service) only(all []store.Key, m *store.Key) bool {
	now := s.now()
	return !slices.ContainsFunc(all, func(k store.Key) bool { return k.ID != m.ID && memberOf(&k, m) && k.Usable(now) })
}

// Remove removes a member, and so ends the member's sessions, passkeys and the invitations that the member sent. It also withdraws
// an invitation. It needs store.ScopeWorkspaceWrite, and the scopes of the role. It returns
// store.ErrNotFound for an unknown ID, ErrLastManager, and ErrChanged: then the person may still be a member.
func (s *Service) Remove(ctx context.Context, who Caller, id string) (store.Key, error) {
	m, all, err := s.member(ctx, who, id)
	if err != nil {
		return store.Key{}, err
	}
	if s.lastManager(who, all, &m) {
		return store.Key{}, ErrLastManager
	}
	if err := s.end(ctx, all, &m); err != nil {
		return m, err
	}
	return m, s.endPasskeys(ctx, all, &m)
}

// member returns the usable member or invitation with an ID, and all keys. The caller must manage its workspace
// and be allowed to give its role.
func (s *Service) member(ctx context.Context, who Caller, id string) (m store.Key, all []store.Key, err error) {
	if err := who.Require(store.ScopeWorkspaceWrite); err != nil {
		return store.Key{}, nil, err
	}
	if all, err = s.opts.Keys.ListKeys(ctx); err != nil {
		return store.Key{}, nil, fmt.Errorf("list keys: %w", err)
	}
	now := s.now()
	i := slices.IndexFunc(all, func(k store.Key) bool {
		return k.ID == id && k.Member != nil && k.Usable(now) && s.manages(who, k.Owner()) == nil
	})
	if i < 0 {
		return store.Key{}, nil, fmt.Errorf("member %q: %w", id, store.ErrNotFound)
	}
	return all[i], all, mayGive(who, all[i].Member.Role)
}

// mayGive returns an error if role is unknown, or if the caller lacks one of its scopes.
func mayGive(who Caller, role store.Role) error {
	if !slices.Contains(store.Roles(), role) {
		return &store.FieldError{Field: "role", Reason: fmt.Sprintf("must be one of %v", store.Roles())}
	}
	return requireAll(who, role.Scopes())
}

// lastManager reports whether m is the only manager of its workspace, unless the caller is an administrator
// of the server.
func (s *Service) lastManager(who Caller, all []store.Key, m *store.Key) bool {
	if m.Member.Invites() || !m.Member.Role.Manages() || who.Require(store.ScopeAdmin) == nil {
		return false
	}
	now := s.now()
	return !slices.ContainsFunc(all, func(k store.Key) bool {
		return k.Member != nil && !k.Member.Invites() && k.Usable(now) && k.Workspace == m.Workspace && k.Member.Role.Manages() && !samePerson(&k, m)
	})
}

// samePerson reports whether two members are the same person.
func samePerson(a, b *store.Key) bool {
	return a.Member.Issuer == b.Member.Issuer && a.Member.Subject == b.Member.Subject
}

// memberOf reports whether k is a membership of the person of m in the same workspace, or m itself.
func memberOf(k, m *store.Key) bool {
	return k.ID == m.ID || k.Member != nil && !m.Member.Invites() && k.Workspace == m.Workspace && samePerson(k, m)
}

// grant stores a new membership of a person, who has a Subject. Its Hash follows from the earlier memberships of the
// person in the workspace: only one of several concurrent changes succeeds, and the others return
// ErrChanged.
func (s *Service) grant(ctx context.Context, all []store.Key, m store.Key) (store.Key, error) {
	n := 0
	for i := range all {
		if memberOf(&all[i], &m) {
			n++
		}
	}
	m.ID, m.CreatedAt = store.NewKeyID(), s.now()
	m.Hash = sha256.Sum256(fmt.Appendf(nil, "terse member\x00%s\x00%s\x00%s\x00%d", m.Member.Issuer, m.Member.Subject, m.Workspace, n))
	err := s.opts.Keys.CreateKey(ctx, m)
	if errors.Is(err, store.ErrExists) {
		return store.Key{}, ErrChanged
	}
	if err != nil {
		return store.Key{}, fmt.Errorf("create member: %w", err)
	}
	return m, nil
}

// end revokes the memberships in all of the person of m in the workspace of m, and the open invitations that
// the person sent. It returns ErrChanged if another change was first to revoke a membership. Each change revokes the
// oldest membership first, so only one of several concurrent changes succeeds.
func (s *Service) end(ctx context.Context, all []store.Key, m *store.Key) error {
	var ids []string
	for i := range all {
		if k := &all[i]; k.RevokedAt.IsZero() && memberOf(k, m) {
			ids = append(ids, k.ID)
		}
	}
	at := s.now()
	for _, id := range ids {
		ended, err := s.revokeAt(ctx, id, at)
		if err == nil && !ended.RevokedAt.Equal(at) {
			err = ErrChanged
		}
		if err != nil {
			return err
		}
	}
	var errs []error
	for i := range all {
		k := &all[i]
		if k.Member != nil && k.Member.Invites() && k.RevokedAt.IsZero() && slices.Contains(ids, k.Member.By) {
			_, err := s.revokeAt(ctx, k.ID, at)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// current returns the newest usable membership of the person of m in the workspace of m, or store.ErrNotFound. It reads the
// store, because m may be from a cache.
func (s *Service) current(ctx context.Context, m *store.Key) (store.Key, error) {
	own, err := s.list(ctx, func(k *store.Key, now time.Time) bool { return k.Usable(now) && memberOf(k, m) })
	if err != nil {
		return store.Key{}, err
	}
	if len(own) == 0 {
		return store.Key{}, fmt.Errorf("member %q: %w", m.ID, store.ErrNotFound)
	}
	return own[len(own)-1], nil
}
