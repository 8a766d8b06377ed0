package web

import (
	"net/http"
	"time"
)

// MemberList is the view model of the members of a workspace and of the form to invite a person, which posts
// name, role, workspace and expires_at. Each member has a form that posts role to role/ID, and a form that
// posts to remove/ID.
type MemberList struct {
	Workspace  string
	Workspaces []string // all workspaces, for administrators
	Members    []MemberRow

	Asked, Name, Role, ExpiresAt string // the visitor's input; Asked is an invalid workspace
	Errors                       map[string]string

	Link     string // address of the new invitation, shown once
	Invited  string // name of the person who is invited by it
	LinkEnds time.Time
	Done     string // what the last action has done
}

// MemberRow is a member or an open invitation.
type MemberRow struct {
	ID, Name, Role                   string
	Invited                          bool   // whether it is an invitation
	Issuer                           string // the identity provider that decides about the role, or "proxy"; may be empty
	Self                             bool   // whether it is the viewer
	Fixed                            bool   // whether the viewer may not change the member
	CreatedAt, ExpiresAt, LastUsedAt time.Time
}

// RoleText returns the role for people.
func (r MemberRow) RoleText() string { return roleText(r.Role) }

// RoleText returns the role for people.
func (v Invitation) RoleText() string { return roleText(v.Role) }

// RoleHelp returns what the role may do.
func (v Invitation) RoleHelp() string {
	for _, c := range roleChoices(true) {
		if c.Value == v.Role {
			return c.Text
		}
	}
	return v.Role
}

func roleText(role string) string {
	names := map[string]string{"viewer": "Viewer", "editor": "Editor", "manager": "Manager", "admin": "Administrator"}
	if name, known := names[role]; known {
		return name
	}
	return role
}

// roleChoices returns the choices of the role.
func roleChoices(admin bool) []choice {
	all := []choice{
		{"viewer", "Viewer: sees links and statistics"},
		{"editor", "Editor: also creates, edits and deletes links"},
		{"manager", "Manager: also members, API keys and domains"},
		{"admin", "Administrator: all workspaces of this server"},
	}
	if !admin {
		return all[:3]
	}
	return all
}

// MemberList writes the members of a workspace.
func (p *Pages) MemberList(w http.ResponseWriter, status int, who Viewer, v MemberList) {
	p.console.members.write(w, status, p.screen(who, "Members", "members", v))
}
