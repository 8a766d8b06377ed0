package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// CodeParam is the {code} of a link resource. It is exported because huma only reads
// exported embedded structs.
type CodeParam struct {
	Code   string `path:"code" doc:"The code or alias." example:"spring"`
	Domain string `query:"domain" maxLength:"260" doc:"A host of the domain of the link. The default is the default domain of this server."`
}

// keyFor returns the key of the link in the path if the caller may do the action.
func (a *API) keyFor(ctx context.Context, do links.Action, p *CodeParam) (string, error) {
	if err := a.opts.Links.May(&callerOf(ctx).Caller, do); err != nil {
		return "", err
	}
	key, err := a.opts.Links.Key(&callerOf(ctx).Caller, p.Domain, p.Code)
	return key, ofQuery(err)
}

// linkOutput is an answer with one link.
type linkOutput struct {
	ETag string `header:"ETag" doc:"The version of the link, in quotes."`
	Body linkBody
}

func (a *API) getLink(ctx context.Context, in *CodeParam) (*linkOutput, error) {
	key, err := a.keyFor(ctx, links.Reading, in)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	l, err := a.opts.Links.Get(ctx, &callerOf(ctx).Caller, key)
	return a.linkOrProblem(ctx, &l, err)
}

// linkOrProblem returns the answer with a link, or the problem for err.
func (a *API) linkOrProblem(ctx context.Context, l *store.Link, err error) (*linkOutput, error) {
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &linkOutput{ETag: etag(l.Version), Body: a.linkBody(l)}, nil
}

// changedOutput is the answer to a change of a link. It has no body if the caller may not read
// links.
type changedOutput struct {
	Status int
	ETag   string `header:"ETag" doc:"The version of the link, in quotes."`
	RateHeaders
	Body *linkBody
}

// changedOrProblem returns the answer to a change of a link, or the problem for err. The
// precheck has charged the caller.
func (a *API) changedOrProblem(ctx context.Context, l *store.Link, err error) (*changedOutput, error) {
	headers := chargeOf(ctx).headers
	if err != nil {
		return nil, withLimits(headers, a.problem(ctx, err))
	}
	out := &changedOutput{Status: http.StatusNoContent, ETag: etag(l.Version), RateHeaders: headers}
	if a.opts.Links.May(&callerOf(ctx).Caller, links.Reading) == nil {
		body := a.linkBody(l)
		out.Status, out.Body = http.StatusOK, &body
	}
	return out, nil
}

type editLinkInput struct {
	CodeParam
	IfMatch string `header:"If-Match" doc:"The expected ETag of the link. The answer is 412 if it differs."`
}

func (a *API) editLink(ctx context.Context, in *editLinkInput) (*editLinkOutput, error) {
	key, err := a.keyFor(ctx, links.Editing, &in.CodeParam)
	if err != nil {
		return nil, withLimits(chargeOf(ctx).headers, a.problem(ctx, err))
	}
	edit, wrong := decode[editInput](a.schemas, bodyOf(ctx))
	if wrong != nil && !store.IsInvalid(wrong) {
		return nil, withLimits(chargeOf(ctx).headers, a.problem(ctx, wrong))
	}
	rename, badRename := edit.rename()
	l, err := a.opts.Links.Edit(ctx, &callerOf(ctx).Caller, key, links.Edit{
		Versions: versionsOf(in.IfMatch), URL: edit.URL.pointer(), Settings: edit.settings(), Rename: rename,
		Err: store.JoinInvalid(wrong, badRename, edit.check()),
	})
	out, err := a.changedOrProblem(ctx, &l, err)
	if err != nil {
		return nil, err
	}
	edited := &editLinkOutput{Status: out.Status, ETag: out.ETag, RateHeaders: out.RateHeaders, Body: out.Body}
	if rename != nil {
		edited.Location = a.shortURL(l.Code)
	}
	return edited, nil
}

// editLinkOutput is a changedOutput with the address of a renamed link.
type editLinkOutput struct {
	Status   int
	Location string `header:"Location" doc:"The new short URL of a renamed link."`
	ETag     string `header:"ETag" doc:"The version of the link, in quotes."`
	RateHeaders
	Body *linkBody
}

type deleteLinkInput struct {
	CodeParam
	IfMatch string `header:"If-Match" doc:"The expected ETag of the link. The answer is 412 if it differs."`
}

func (a *API) deleteLink(ctx context.Context, in *deleteLinkInput) (*struct{}, error) {
	key, err := a.keyFor(ctx, links.Editing, &in.CodeParam)
	if err == nil {
		err = a.opts.Links.Delete(ctx, &callerOf(ctx).Caller, key, versionsOf(in.IfMatch))
	}
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return nil, nil
}

type disableInput struct {
	CodeParam
	IfMatch string `header:"If-Match" doc:"The expected ETag of the link. The answer is 412 if it differs."`
}

type disableInputBody struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Shown to the owner." example:"phishing"`
}

// disableLink disables a link because of abuse. Visits of it are answered 451.
func (a *API) disableLink(ctx context.Context, in *disableInput) (*linkOutput, error) {
	key, err := a.keyFor(ctx, links.Moderating, &in.CodeParam)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	body, err := decodeChecked(ctx, a.schemas, func(in *disableInputBody) error { return links.CheckReason(in.Reason) })
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	l, err := a.opts.Links.Disable(ctx, &callerOf(ctx).Caller, key, versionsOf(in.IfMatch), body.Reason)
	return a.linkOrProblem(ctx, &l, err)
}

type enableInput struct {
	CodeParam
	IfMatch string `header:"If-Match" doc:"The expected ETag of the link. The answer is 412 if it differs, for example because the owner has changed the target since you looked at it."`
}

type enableInputBody struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Recorded in the history." example:"cleaned up"`
}

// enableLink enables a disabled link. The link must pass the current rules.
func (a *API) enableLink(ctx context.Context, in *enableInput) (*linkOutput, error) {
	key, err := a.keyFor(ctx, links.Moderating, &in.CodeParam)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	body, err := decodeOptional(ctx, a.schemas, func(in *enableInputBody) error { return links.CheckReason(in.Reason) })
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	l, err := a.opts.Links.Enable(ctx, &callerOf(ctx).Caller, key, versionsOf(in.IfMatch), body.Reason)
	return a.linkOrProblem(ctx, &l, err)
}

type listInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Maximum number of links in the page. A page of long links has fewer: it ends after about 1 MB."`
	Cursor string `query:"cursor" doc:"next_cursor of the previous page."`
	Owner  string `query:"owner" doc:"Whose links are listed: the id of a workspace or of an API key, * for all links, or anonymous for links without a key. The default is your own links. An admin key may list the links of others." example:"key_7k3x0q9p2m4a"`
	Domain string `query:"domain" maxLength:"260" doc:"Only links on the domain with this host."`
	Tag    string `query:"tag" doc:"Only links with this tag."`
	Q      string `query:"q" maxLength:"200" doc:"Only links with this text in their code, target or title. The case of ASCII letters does not matter."`
	State  string `query:"state" enum:"live,disabled,expired,used_up,not_started" doc:"Only links with this state now."`

	CreatedFrom time.Time `query:"created_from" doc:"Only links that were created at this time or later." example:"2026-11-01T00:00:00Z"`
	CreatedTo   time.Time `query:"created_to" doc:"Only links that were created before this time." example:"2026-12-01T00:00:00Z"`
}

// stateParam returns the state that a state parameter names; nil for an empty one. The error is for a
// text that is no state of a list.
func stateParam(text string) (*store.State, error) {
	if text == "" {
		return nil, nil
	}
	i := slices.Index(stateNames[:], text)
	if i < 0 || store.State(i) == store.Deleted { //nolint:gosec // below the number of states
		return nil, &store.FieldError{Field: "state", Reason: "must be live, disabled, expired, used_up or not_started"}
	}
	return new(store.State(i)), nil //nolint:gosec // as above
}

// anonymousOwner is the owner parameter for links that were created without a key. It is never
// the id of a key.
const anonymousOwner = "anonymous"

// ownerParam returns the owner that an owner parameter names; nil for an empty one.
func ownerParam(text string) *string {
	switch text {
	case "":
		return nil
	case anonymousOwner:
		return new("")
	}
	return &text
}

// listBody is an alias, because the OpenAPI document names the schema after the operation.
type listBody = struct {
	Links      []linkBody `json:"links" nullable:"false" doc:"The links of the page, newest first."`
	NextCursor string     `json:"next_cursor" doc:"Empty on the last page."`

	UnavailableShards []string `json:"unavailable_shards,omitempty" doc:"Shards that did not answer. Their links are missing from this page. Absent if the page is complete."`
}

type listOutput struct {
	Body listBody
}

func (a *API) listLinks(ctx context.Context, in *listInput) (*listOutput, error) {
	state, err := stateParam(in.State)
	if err != nil {
		return nil, a.pageProblem(ctx, err)
	}
	q := links.Query{
		Owner: ownerParam(in.Owner), Domain: in.Domain, Tag: in.Tag, Search: in.Q, Limit: in.Limit, Cursor: in.Cursor,
		CreatedFrom: in.CreatedFrom, CreatedTo: in.CreatedTo, State: state,
	}
	page, err := a.opts.Links.List(ctx, &callerOf(ctx).Caller, q)
	if err != nil {
		return nil, a.pageProblem(ctx, err)
	}
	out := &listOutput{}
	out.Body.NextCursor = page.Next.String()
	out.Body.UnavailableShards = page.Unavailable
	out.Body.Links = make([]linkBody, len(page.Links))
	for i := range page.Links {
		out.Body.Links[i] = a.linkBody(&page.Links[i])
	}
	return out, nil
}

// etag returns the strong entity tag of a version (RFC 9110 section 8.8.3).
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// versionsOf returns the versions that an If-Match header allows (RFC 9110 section 13.1.1).
// An absent header and * allow any. Weak tags never match.
func versionsOf(ifMatch string) links.Versions {
	if ifMatch == "" {
		return nil
	}
	versions := links.Versions{}
	for tag := range strings.SplitSeq(ifMatch, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" {
			return nil
		}
		if version, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64); err == nil && etag(version) == tag {
			versions = append(versions, version)
		}
	}
	return versions
}
