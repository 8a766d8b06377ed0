package api

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/access"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// membersScreen shows the members of a workspace and the form to invite a person.
func (a *API) membersScreen(c echo.Context, s *session) error {
	v := web.MemberList{Workspace: cmp.Or(c.QueryParam("workspace"), s.Owner()), Role: string(store.RoleEditor), Done: done[c.QueryParam(doneParam)]}
	return a.showMembers(c, s, http.StatusOK, v)
}

// showMembers shows v with the members of its workspace.
func (a *API) showMembers(c echo.Context, s *session, status int, v web.MemberList) error {
	ctx := c.Request().Context()
	all, err := a.opts.Access.Members(ctx, &s.Caller, v.Workspace)
	if err != nil {
		return memberError(err)
	}
	for i := range all {
		k := &all[i]
		v.Members = append(v.Members, web.MemberRow{
			ID: k.ID, Name: k.Name, Role: string(k.Member.Role), Invited: k.Member.Invites(), Issuer: k.Member.Issuer, Self: k.ID == s.Author(),
			Fixed:     slices.ContainsFunc(k.Member.Role.Scopes(), func(scope store.Scope) bool { return s.Require(scope) != nil }),
			CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, LastUsedAt: k.LastUsedAt,
		})
	}
	if s.Require(store.ScopeAdmin) == nil {
		workspaces, err := a.opts.Access.Workspaces(ctx, &s.Caller)
		if err != nil {
			return err
		}
		for _, w := range workspaces {
			v.Workspaces = append(v.Workspaces, w.ID)
		}
	}
	a.pages.MemberList(c.Response(), status, s.viewer(), v)
	return nil
}

// inviteByForm invites a person and shows the address of the invitation.
func (a *API) inviteByForm(c echo.Context, s *session) error {
	v := web.MemberList{Workspace: cmp.Or(s.form.Get("workspace"), s.Owner()), Name: s.form.Get("name"), Role: s.form.Get("role"), ExpiresAt: s.form.Get("expires_at")}
	ends, wrong := formMoment(s.form, "expires_at")
	k, token, err := a.opts.Access.Invite(c.Request().Context(), &s.Caller, access.NewInvitation{
		Name: v.Name, Role: store.Role(v.Role), Workspace: v.Workspace, ExpiresAt: ends, Err: wrong,
	})
	if store.IsInvalid(err) {
		if v.Errors = fieldErrors(err); v.Errors["workspace"] != "" {
			v.Asked, v.Workspace = v.Workspace, s.Owner()
		}
		return a.showMembers(c, s, http.StatusUnprocessableEntity, v)
	}
	if err != nil {
		return memberError(err)
	}
	return a.showMembers(c, s, http.StatusOK, web.MemberList{Workspace: k.Workspace, Role: v.Role, Link: a.invitationURL(token), Invited: k.Name, LinkEnds: k.ExpiresAt})
}

// setRole gives a member another role.
func (a *API) setRole(c echo.Context, s *session) error {
	k, err := a.opts.Access.SetRole(c.Request().Context(), &s.Caller, c.Param("id"), store.Role(s.form.Get("role")))
	if err != nil {
		return memberError(err)
	}
	return finishMember(c, s, &k, "role")
}

// removeMemberByForm removes a member, or withdraws an invitation.
func (a *API) removeMemberByForm(c echo.Context, s *session) error {
	k, err := a.opts.Access.Remove(c.Request().Context(), &s.Caller, c.Param("id"))
	if err != nil {
		return memberError(err)
	}
	if k.Member.Invites() {
		return finishMember(c, s, &k, "withdrawn")
	}
	return finishMember(c, s, &k, "removed")
}

// finishMember leads to the members of the workspace of k, with a message.
func finishMember(c echo.Context, s *session, k *store.Key, action string) error {
	q := url.Values{doneParam: {action}}
	if k.Workspace != s.Owner() {
		q.Set("workspace", k.Workspace)
	}
	return c.Redirect(http.StatusSeeOther, membersScreen+"?"+q.Encode())
}
