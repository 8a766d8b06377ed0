package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/terse/terse/access"
	"github.com/terse/terse/store"
)

// Paths of workspaces and members, in the syntax of OpenAPI.
const (
	workspacesPath = apiPath + "workspaces"
	membersPath    = apiPath + "members"
	memberPath     = membersPath + "/{id}"
)

type workspaceBody struct {
	ID          string `json:"id" doc:"The id, which is the owner of the links of the workspace." example:"marketing"`
	Members     int    `json:"members" doc:"Number of members."`
	Invitations int    `json:"invitations" doc:"Number of open invitations."`
	Keys        int    `json:"keys" doc:"Number of usable API keys."`
}

type listWorkspacesOutput struct {
	Body struct {
		Workspaces []workspaceBody `json:"workspaces" nullable:"false" doc:"The workspaces, sorted by id."`
	}
}

// listWorkspaces lists the workspaces that the caller manages.
func (a *API) listWorkspaces(ctx context.Context, _ *struct{}) (*listWorkspacesOutput, error) {
	all, err := a.opts.Access.Workspaces(ctx, callerOf(ctx))
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &listWorkspacesOutput{}
	out.Body.Workspaces = make([]workspaceBody, len(all))
	for i, w := range all {
		out.Body.Workspaces[i] = workspaceBody{ID: w.ID, Members: w.Members, Invitations: w.Invitations, Keys: w.Keys}
	}
	return out, nil
}

// Values of MemberBody.State.
const (
	memberState  = "member"
	invitedState = "invited"
)

// MemberBody is a member or an invitation as the API shows it. It is exported because huma only reads
// exported embedded structs.
type MemberBody struct {
	ID         string     `json:"id" doc:"The id. The history of a link names it as the author of changes. It changes with the role." example:"key_7k3x0q9p2m4a"`
	Name       string     `json:"name" doc:"The name of the person."`
	Workspace  string     `json:"workspace" doc:"The workspace." example:"marketing"`
	Role       string     `json:"role" enum:"viewer,editor,manager,admin" doc:"What the member may do."`
	State      string     `json:"state" enum:"member,invited" doc:"member, or invited for an invitation that was not accepted."`
	Issuer     string     `json:"issuer" doc:"The identity provider that decides about the role; proxy for a trusted proxy; empty for an invited person."`
	By         string     `json:"by" doc:"Id of the API key or the member that gave the role; admin for an administrator with a one-time link, or the provider."`
	CreatedAt  time.Time  `json:"created_at" doc:"When the member got the role, or when the invitation was sent."`
	ExpiresAt  *time.Time `json:"expires_at" doc:"End of an invitation; null for a member."`
	LastUsedAt *time.Time `json:"last_used_at" doc:"When the member last used the console, some minutes old; null for never."`
}

func newMemberBody(k *store.Key) MemberBody {
	b := MemberBody{
		ID: k.ID, Name: k.Name, Workspace: k.Workspace, Role: string(k.Member.Role), State: memberState, Issuer: k.Member.Issuer, By: k.Member.By,
		CreatedAt: k.CreatedAt, ExpiresAt: timeOrNull(k.ExpiresAt), LastUsedAt: timeOrNull(k.LastUsedAt),
	}
	if k.Member.Invites() {
		b.State = invitedState
	}
	return b
}

type listMembersInput struct {
	Workspace string `query:"workspace" maxLength:"64" doc:"The workspace; your own by default. Needs an admin key for another one." example:"marketing"`
}

type listMembersOutput struct {
	Body struct {
		Members []MemberBody `json:"members" nullable:"false" doc:"The members and the open invitations, oldest first."`
	}
}

// listMembers lists the members of a workspace.
func (a *API) listMembers(ctx context.Context, in *listMembersInput) (*listMembersOutput, error) {
	who := callerOf(ctx)
	all, err := a.opts.Access.Members(ctx, who, cmp.Or(in.Workspace, who.Owner()))
	if err != nil {
		return nil, a.problem(ctx, memberError(err))
	}
	out := &listMembersOutput{}
	out.Body.Members = make([]MemberBody, len(all))
	for i := range all {
		out.Body.Members[i] = newMemberBody(&all[i])
	}
	return out, nil
}

type inviteInputBody struct {
	Name      string              `json:"name" doc:"The name of the person, for other members; 1 to 100 characters." example:"Ann"`
	Role      string              `json:"role" doc:"viewer, editor, manager or admin. The key needs the scopes of the role: only an admin key may invite an admin." example:"editor"`
	Workspace optional[string]    `json:"workspace,omitzero" required:"false" nullable:"false" doc:"The workspace; your own by default. Needs an admin key for another one. A new name makes a new workspace." example:"marketing"`
	ExpiresAt optional[time.Time] `json:"expires_at,omitzero" required:"false" doc:"The invitation ends then. The default is after 7 days."`
}

// check returns the errors of all values.
func (in *inviteInputBody) check() error { return in.invitation().Err }

func (in *inviteInputBody) invitation() access.NewInvitation {
	out := access.NewInvitation{Name: in.Name, Role: store.Role(in.Role), Workspace: in.Workspace.value, ExpiresAt: in.ExpiresAt.value}
	if in.Workspace.set && in.Workspace.value == "" {
		out.Err = store.JoinInvalid(out.Err, &store.FieldError{Field: "workspace", Reason: "must not be empty"})
	}
	if in.ExpiresAt.given() && in.ExpiresAt.value.IsZero() {
		out.Err = store.JoinInvalid(out.Err, &store.FieldError{Field: "expires_at", Reason: "must be in the years 2000 to 9999, or null"})
	}
	return out
}

type invitationBody struct {
	MemberBody
	URL string `json:"url" doc:"The address to send to the person. It works once and is not shown again." example:"https://sho.rt/~/in/tk_…"`
}

type inviteOutput struct {
	RateHeaders
	Body invitationBody
}

// invite invites a person to a workspace. The precheck has charged the caller.
func (a *API) invite(ctx context.Context, _ *struct{}) (*inviteOutput, error) {
	headers := chargeOf(ctx).headers
	in, err := decodeChecked(ctx, a.schemas, (*inviteInputBody).check)
	if err != nil {
		return nil, withLimits(headers, a.problem(ctx, err))
	}
	k, token, err := a.opts.Access.Invite(ctx, callerOf(ctx), in.invitation())
	if err != nil {
		return nil, withLimits(headers, a.problem(ctx, memberError(err)))
	}
	return &inviteOutput{RateHeaders: headers, Body: invitationBody{newMemberBody(&k), a.invitationURL(token)}}, nil
}

// invitationURL returns the address of an invitation.
func (a *API) invitationURL(token string) string {
	return a.opts.consoleURL() + OneTimePath(token)
}

// MemberParam is the path of a member. It is exported because huma only reads exported embedded structs.
type MemberParam struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the member or the invitation." example:"key_7k3x0q9p2m4a"`
}

type editMemberInputBody struct {
	Role string `json:"role" doc:"viewer, editor, manager or admin. The key needs the scopes of the role before and of the new role: only an admin key may give or take admin." example:"viewer"`
}

type memberOutput struct {
	RateHeaders
	Body MemberBody
}

// editMember gives a member another role. The precheck has charged the caller.
func (a *API) editMember(ctx context.Context, in *MemberParam) (*memberOutput, error) {
	headers := chargeOf(ctx).headers
	change, err := decodeChecked(ctx, a.schemas, func(*editMemberInputBody) error { return nil })
	if err != nil {
		return nil, withLimits(headers, a.problem(ctx, err))
	}
	k, err := a.opts.Access.SetRole(ctx, callerOf(ctx), in.ID, store.Role(change.Role))
	if err != nil {
		return nil, withLimits(headers, a.problem(ctx, memberError(err)))
	}
	return &memberOutput{RateHeaders: headers, Body: newMemberBody(&k)}, nil
}

// removeMember removes a member, or withdraws an invitation.
func (a *API) removeMember(ctx context.Context, in *MemberParam) (*struct{}, error) {
	if _, err := a.opts.Access.Remove(ctx, callerOf(ctx), in.ID); err != nil {
		return nil, a.problem(ctx, memberError(err))
	}
	return nil, nil
}

// memberError returns the problem for an error about members, and other errors unchanged.
func memberError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return newProblem(http.StatusNotFound, "There is no such member, or the workspace is not yours.")
	case errors.Is(err, access.ErrLastManager):
		return newProblem(http.StatusConflict, "This is the last manager of the workspace. Make another member a manager first.")
	case errors.Is(err, access.ErrProvided):
		return newProblem(http.StatusConflict, "The identity provider or the proxy decides about the role of this member. Change the groups of the person there.")
	case errors.Is(err, access.ErrChanged):
		return newProblem(http.StatusConflict, "Another person changed this member at the same time. Read the members again.")
	}
	return err
}

// registerMembers registers the operations on workspaces and members.
func (a *API) registerMembers(h huma.API) {
	op := func(id, method, path, summary string, errors ...int) huma.Operation {
		return operation("Workspaces", id, method, path, summary, keyed, append(errors, 401, 403)...)
	}
	writing := precheck{may: func(who *caller) error { return who.Require(store.ScopeWorkspaceWrite) }, writes: true}
	huma.Register(h, op("listWorkspaces", http.MethodGet, workspacesPath, "List your workspaces", 422), a.listWorkspaces)
	huma.Register(h, op("listMembers", http.MethodGet, membersPath, "List the members of a workspace", 404, 422), a.listMembers)
	invite := withBody[inviteInputBody](a.schemas, op("inviteMember", http.MethodPost, membersPath, "Invite a person", 404, 408, 413, 415, 422))
	invite.DefaultStatus = http.StatusCreated
	huma.Register(h, a.withPrecheck(writing, invite), a.invite)
	huma.Register(h, a.withPrecheck(writing, withBody[editMemberInputBody](a.schemas, op("editMember", http.MethodPatch, memberPath, "Give a member another role", 404, 408, 409, 413, 415, 422))), a.editMember)
	remove := op("removeMember", http.MethodDelete, memberPath, "Remove a member or withdraw an invitation", 404, 409)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(h, remove, a.removeMember)
}
