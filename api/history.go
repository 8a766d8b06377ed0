package api

import (
	"context"
	"time"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

type historyInput struct {
	CodeParam
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Maximum number of entries in the page."`
	Cursor string `query:"cursor" doc:"next_cursor of the previous page."`
}

type historyOutput struct {
	Body struct {
		Entries    []historyEntry `json:"entries" nullable:"false" doc:"Newest first."`
		NextCursor string         `json:"next_cursor" doc:"Empty on the last page."`
	}
}

// historyEntry is one version of a link and its differences from the version before.
type historyEntry struct {
	Version int64          `json:"version" doc:"The version of the link after this change."`
	At      time.Time      `json:"at" doc:"When the change was made."`
	Action  string         `json:"action" enum:"created,edited,disabled,enabled,deleted" doc:"The kind of the change. created is also the create of an alias that its owner had deleted."`
	Actor   string         `json:"actor" doc:"Who made the change: the id of an API key, the workspace that created the link, admin for an administrator who signed in by a one-time link, anonymous, unknown, or system: and the name of an automatic process." example:"key_7k3x0q9p2m4a"`
	Note    string         `json:"note" doc:"The reason for the change, if there is one."`
	Changes []historyField `json:"changes" nullable:"false" doc:"The changed members."`
}

// historyField is a changed member of a link.
type historyField struct {
	Field  string `json:"field" doc:"The name of the member. The values of password are *** instead of the password." example:"url"`
	Before any    `json:"before" doc:"The value before the change; null without a value."`
	After  any    `json:"after" doc:"The value after the change; null without a value."`
}

// linkHistory returns a page of the changes of a link. Deleted links have a history too.
func (a *API) linkHistory(ctx context.Context, in *historyInput) (*historyOutput, error) {
	key, err := a.keyFor(ctx, links.Reading, &in.CodeParam)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	page, err := a.opts.Links.ReadHistory(ctx, &callerOf(ctx).Caller, key, in.Cursor, in.Limit)
	if err != nil {
		return nil, a.pageProblem(ctx, err)
	}
	out := &historyOutput{}
	out.Body.NextCursor = page.Next
	out.Body.Entries = make([]historyEntry, len(page.Entries))
	for i := range page.Entries {
		out.Body.Entries[i] = newHistoryEntry(&page.Entries[i])
	}
	return out, nil
}

func newHistoryEntry(e *links.HistoryEntry) historyEntry {
	body := historyEntry{
		Version: e.Version, At: e.At, Action: e.Action, Actor: e.Actor, Note: e.Note,
		Changes: make([]historyField, len(e.Changes)),
	}
	for i, c := range e.Changes {
		body.Changes[i] = historyField{c.Field, historyValue(c.Field, c.Before), historyValue(c.Field, c.After)}
	}
	return body
}

// historyValue returns a value of a changed field as the API shows it.
func historyValue(field string, value any) any {
	switch v := value.(type) {
	case store.ForwardQuery:
		return forwardNames[v]
	case bool:
		if field == "forward_path" {
			return pathForwardName(v)
		}
	}
	return value
}

type rollbackInput struct {
	CodeParam
	IfMatch string `header:"If-Match" doc:"The expected ETag of the link. The answer is 412 if it differs."`
}

type rollbackInputBody struct {
	Version int64 `json:"version" minimum:"1" doc:"The version to restore the target and the rules from." example:"1"`
}

// rollBack restores the target and the rules of an earlier version.
func (a *API) rollBack(ctx context.Context, in *rollbackInput) (*changedOutput, error) {
	key, err := a.keyFor(ctx, links.Editing, &in.CodeParam)
	if err != nil {
		return nil, withLimits(chargeOf(ctx).headers, a.problem(ctx, err))
	}
	body, wrong := decode[rollbackInputBody](a.schemas, bodyOf(ctx))
	if wrong != nil && !store.IsInvalid(wrong) {
		return nil, withLimits(chargeOf(ctx).headers, a.problem(ctx, wrong))
	}
	l, err := a.opts.Links.RollBack(ctx, &callerOf(ctx).Caller, key, links.RollBack{Versions: versionsOf(in.IfMatch), To: body.Version, Err: wrong})
	return a.changedOrProblem(ctx, &l, err)
}
