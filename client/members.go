package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Paths of workspaces and members.
const (
	workspacesPath = "/api/v1/workspaces"
	membersPath    = "/api/v1/members"
)

// Workspace owns links and domains.
type Workspace struct {
	ID          string `json:"id"`
	Members     int    `json:"members"`
	Invitations int    `json:"invitations"` // open ones
	Keys        int    `json:"keys"`        // usable API keys
}

// Workspaces returns the workspaces that the key manages. It needs the scope workspace:write.
func (c *Client) Workspaces(ctx context.Context) ([]Workspace, error) {
	var body struct {
		Workspaces []Workspace `json:"workspaces"`
	}
	err := c.call(ctx, request{method: http.MethodGet, path: workspacesPath, repeatable: true}, &body)
	return body.Workspaces, err
}

// Member is a member of a workspace, or an invitation to it.
type Member struct {
	ID         string     `json:"id"` // changes with the role
	Name       string     `json:"name"`
	Workspace  string     `json:"workspace"`
	Role       string     `json:"role"`   // viewer, editor, manager or admin
	State      string     `json:"state"`  // member or invited
	Issuer     string     `json:"issuer"` // the identity provider that decides about the role; "proxy" for a trusted proxy; empty for an invited person
	By         string     `json:"by"`     // who gave the role
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`   // end of an invitation; nil for a member
	LastUsedAt *time.Time `json:"last_used_at"` // nil: never
}

// Members returns the members of a workspace and its open invitations, oldest first. Empty: the workspace of
// the key. It needs the scope workspace:write, and an admin key for another workspace.
func (c *Client) Members(ctx context.Context, workspace string) ([]Member, error) {
	query := url.Values{}
	if workspace != "" {
		query.Set("workspace", workspace)
	}
	var body struct {
		Members []Member `json:"members"`
	}
	err := c.call(ctx, request{method: http.MethodGet, path: membersPath, query: query, repeatable: true}, &body)
	return body.Members, err
}

// Invitation is an invitation to send. Role is viewer, editor, manager or admin.
type Invitation struct {
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	Workspace string     `json:"workspace,omitzero"`  // default: the workspace of the key
	ExpiresAt *time.Time `json:"expires_at,omitzero"` // default: after 7 days
}

// Invite invites a person, and returns the invitation and the address to send to the person, which works once.
// It is not repeated after an error, because each call makes an invitation.
func (c *Client) Invite(ctx context.Context, in Invitation) (m Member, address string, err error) {
	if p := invalidTexts([]namedText{{"name", in.Name}, {"role", in.Role}, {"workspace", in.Workspace}}); p != nil {
		return Member{}, "", p
	}
	var body struct {
		Member
		URL string `json:"url"`
	}
	err = c.call(ctx, request{method: http.MethodPost, path: membersPath, body: in}, &body)
	return body.Member, body.URL, err
}

// SetRole gives a member another role, and returns the member with its new ID.
func (c *Client) SetRole(ctx context.Context, id, role string) (m Member, err error) {
	if p := invalidTexts([]namedText{{"role", role}}); p != nil {
		return Member{}, p
	}
	err = c.call(ctx, request{method: http.MethodPatch, path: membersPath + "/" + url.PathEscape(id), body: map[string]string{"role": role}}, &m)
	return m, err
}

// RemoveMember removes a member, or withdraws an invitation.
func (c *Client) RemoveMember(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: membersPath + "/" + url.PathEscape(id)}, nil)
}
