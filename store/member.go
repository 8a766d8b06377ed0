package store

import "slices"

// Role is what a member of a workspace may do. Each role includes the one before it.
type Role string

// The roles.
const (
	RoleViewer  Role = "viewer"  // reads links, statistics and domains
	RoleEditor  Role = "editor"  // also creates, edits and deletes links
	RoleManager Role = "manager" // also manages members, API keys and domains
	RoleAdmin   Role = "admin"   // an administrator of the server, in all workspaces
)

// Roles returns every role, narrowest first.
func Roles() []Role { return []Role{RoleViewer, RoleEditor, RoleManager, RoleAdmin} }

// Manages reports whether the role includes RoleManager.
func (r Role) Manages() bool { return r == RoleManager || r == RoleAdmin }

// Scopes returns the scopes of a role; none for an unknown role.
func (r Role) Scopes() []Scope {
	viewer := []Scope{ScopeLinksRead, ScopeStatsRead, ScopeDomainsRead}
	editor := append(slices.Clone(viewer), ScopeLinksWrite)
	switch r {
	case RoleViewer:
		return viewer
	case RoleEditor:
		return editor
	case RoleManager:
		return append(editor, ScopeDomainsWrite, ScopeWorkspaceWrite)
	case RoleAdmin:
		return []Scope{ScopeAdmin}
	}
	return nil
}

// Member is a person's place in a workspace, or an invitation to one. It never changes: a person who gets
// another role gets another Key, and the one before is revoked, with its sessions.
type Member struct {
	Role Role

	// Issuer and Subject identify the person in all workspaces. Issuer is the URL of an identity
	// provider, and Subject what it calls the person (OpenID Connect Core 1.0, section 2). For a person
	// who was invited, Issuer is empty, and Subject is the ID of the person's first Key. With an empty
	// Subject, no person has accepted the invitation.
	Issuer, Subject string

	By string // the author of the membership; the Issuer if the provider decided
}

// Invites reports whether m is an invitation.
func (m *Member) Invites() bool { return m.Subject == "" }
