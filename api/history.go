package api

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/terse/terse/store"
)

// maskedPassword is shown in the history instead of a password.
const maskedPassword = "***"

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
	At      time.Time      `json:"at"`
	Action  string         `json:"action" enum:"created,edited,disabled,enabled,deleted"`
	Actor   string         `json:"actor" doc:"Who made the change: the id of an API key, anonymous, unknown, or system: and the name of an automatic process." example:"key_7k3x0q9p2m4a"`
	Note    string         `json:"note" doc:"The reason for the change, if there is one."`
	Changes []historyField `json:"changes" nullable:"false"`
}

// historyField is a changed member of a link.
type historyField struct {
	Field  string `json:"field" doc:"The name of the member. The values of password are *** instead of the password." example:"url"`
	Before any    `json:"before"`
	After  any    `json:"after"`
}

// linkHistory returns a page of the changes of a link. Deleted links have a history too.
func (a *API) linkHistory(ctx context.Context, in *historyInput) (*historyOutput, error) {
	if _, err := readLink(ctx, a.opts.Store.Get, in.Code, store.ScopeLinksRead); err != nil {
		return nil, a.problem(ctx, err)
	}
	before, err := parseVersionCursor(in.Cursor)
	if err != nil {
		return nil, cursorProblem(err)
	}
	// One more revision than the page has: the last entry is compared with it.
	revisions, err := a.opts.History.Revisions(ctx, in.Code, before, in.Limit+1)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &historyOutput{}
	out.Body.Entries = make([]historyEntry, 0, len(revisions))
	for i := range revisions {
		if i == in.Limit {
			out.Body.NextCursor = strconv.FormatInt(revisions[i-1].Link.Version, 10)
			break
		}
		older := &store.Link{Status: store.DefaultStatus}
		if i+1 < len(revisions) {
			older = &revisions[i+1].Link
		}
		out.Body.Entries = append(out.Body.Entries, entryOf(&revisions[i], older))
	}
	return out, nil
}

// errCursor is the error for a cursor that is not from an earlier answer.
var errCursor = &store.FieldError{Field: "cursor", Reason: "must be the next_cursor of an earlier answer"}

func parseVersionCursor(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	version, err := strconv.ParseInt(s, 10, 64)
	if err != nil || version < 1 {
		return 0, errCursor
	}
	return version, nil
}

// entryOf returns the history entry of r. older is the version before r.
func entryOf(r *store.Revision, older *store.Link) historyEntry {
	l := &r.Link
	e := historyEntry{
		Version: l.Version, At: l.UpdatedAt, Action: actionOf(l, older), Actor: r.Author.ID, Note: r.Author.Note,
		Changes: []historyField{},
	}
	switch {
	case e.Actor == "" && l.Version == 1:
		e.Actor = "anonymous"
	case e.Actor == "":
		e.Actor = "unknown"
	}
	now, then := fieldsOf(l), fieldsOf(older)
	for i := range now {
		if !reflect.DeepEqual(now[i].value, then[i].value) {
			e.Changes = append(e.Changes, historyField{now[i].name, then[i].shown, now[i].shown})
		}
	}
	return e
}

func actionOf(l, older *store.Link) string {
	switch {
	case l.Version == 1:
		return "created"
	case !l.DeletedAt.IsZero():
		return "deleted"
	case older.DisabledAt.IsZero() && !l.DisabledAt.IsZero():
		return "disabled"
	case !older.DisabledAt.IsZero() && l.DisabledAt.IsZero():
		return "enabled"
	}
	return "edited"
}

// field is a member of a link. Two versions differ in it if value differs; the history shows
// shown.
type field struct {
	name         string
	value, shown any
}

// fieldsOf returns the fields that the history compares. An unset field is nil.
func fieldsOf(l *store.Link) []field {
	password := any(nil)
	if l.PasswordHash != "" {
		password = maskedPassword
	}
	fields := []field{{name: "password", value: l.PasswordHash, shown: password}}
	add := func(name string, value any, unset bool) {
		if unset {
			value = nil
		}
		fields = append(fields, field{name, value, value})
	}
	add("url", l.URL, l.URL == "")
	add("title", l.Title, l.Title == "")
	add("tags", l.Tags, len(l.Tags) == 0)
	add("status", l.Status, l.Status == 0)
	add("forward_query", forwardNames[l.ForwardQuery], l.ForwardQuery == store.ForwardOff)
	add("starts_at", l.StartsAt, l.StartsAt.IsZero())
	add("expires_at", l.ExpiresAt, l.ExpiresAt.IsZero())
	add("max_clicks", count(l.MaxClicks), l.MaxClicks == 0)
	add("disabled_reason", l.DisabledReason, l.DisabledReason == "")
	return fields
}

type rollbackInput struct {
	CodeParam
	IfMatch string `header:"If-Match" doc:"The expected ETag of the link. The answer is 412 if it differs."`
	Body    struct {
		Version int64 `json:"version" minimum:"1" doc:"The version to restore the target from." example:"1"`
	}
}

// rollBack restores the target of an earlier version. The result must pass the current
// rules, like any other edit.
func (a *API) rollBack(ctx context.Context, in *rollbackInput) (*linkOutput, error) {
	ctx = noted(ctx, fmt.Sprintf("target of version %d", in.Body.Version))
	l, err := a.change(ctx, in.Code, in.IfMatch, store.ScopeLinksWrite, func(l *store.Link) (err error) {
		if l.URL, err = a.targetAt(ctx, in.Code, in.Body.Version); err != nil {
			return err
		}
		return a.rules.Check(l)
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.linkOutput(&l), nil
}

// targetAt returns the target of a link at a version.
func (a *API) targetAt(ctx context.Context, code string, version int64) (string, error) {
	revisions, err := a.opts.History.Revisions(ctx, code, version+1, 1)
	if err != nil {
		return "", err
	}
	if len(revisions) == 0 || revisions[0].Link.Version != version {
		return "", &store.FieldError{Field: "version", Reason: "must be a version in the history of the link"}
	}
	return revisions[0].Link.URL, nil
}

// noted returns ctx with a reason that the history records for the next write.
func noted(ctx context.Context, note string) context.Context {
	author := store.AuthorOf(ctx)
	author.Note = note
	return store.WithAuthor(ctx, author)
}
