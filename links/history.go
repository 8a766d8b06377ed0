package links

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// maskedPassword is shown in the history instead of a password.
const maskedPassword = "***"

// HistoryPage is one page of the history of a link.
type HistoryPage struct {
	Entries []HistoryEntry // newest first
	Next    string         // the cursor of the next page; empty on the last page
}

// HistoryEntry is one version of a link and its differences from the version before.
type HistoryEntry struct {
	Version int64
	At      time.Time
	Action  string // created, edited, disabled, enabled or deleted
	Actor   string // store.Author.ID, "anonymous" or "unknown"
	Note    string // the reason; may be empty
	Changes []FieldChange
}

// FieldChange is a changed field of a link. Before and After have the type of the field in
// store.Link. They are nil if the field was not set, and maskedPassword for a password.
type FieldChange struct {
	Field         string // its name in the API
	Before, After any
}

// ReadHistory returns a page of the changes of a link. Deleted links have a history too. For an
// invalid cursor it returns a *store.FieldError for "cursor".
func (s *Service) ReadHistory(ctx context.Context, who *Caller, code, cursor string, limit int) (HistoryPage, error) {
	if _, err := s.read(ctx, who, Reading, s.opts.Store.Get, code); err != nil {
		return HistoryPage{}, err
	}
	before, err := parseVersionCursor(cursor)
	if err != nil {
		return HistoryPage{}, err
	}
	// The last entry of the page is compared with one more revision.
	revisions, err := s.opts.History.Revisions(ctx, code, before, limit+1)
	if err != nil {
		return HistoryPage{}, err
	}
	page := HistoryPage{Entries: make([]HistoryEntry, 0, len(revisions))}
	for i := range revisions {
		if i == limit {
			page.Next = strconv.FormatInt(revisions[i-1].Link.Version, 10)
			break
		}
		older := &store.Link{Status: store.DefaultStatus}
		if i+1 < len(revisions) {
			older = &revisions[i+1].Link
		}
		page.Entries = append(page.Entries, entryOf(&revisions[i], older))
	}
	return page, nil
}

func parseVersionCursor(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	version, err := strconv.ParseInt(s, 10, 64)
	if err != nil || version < 1 {
		return 0, store.ErrCursor
	}
	return version, nil
}

// entryOf returns the history entry of r. older is the version before r.
func entryOf(r *store.Revision, older *store.Link) HistoryEntry {
	l := &r.Link
	e := HistoryEntry{Version: l.Version, At: l.UpdatedAt, Action: actionOf(l, older), Actor: r.Author.ID, Note: r.Author.Note}
	switch {
	case e.Actor == "" && l.Version == 1:
		e.Actor = "anonymous"
	case e.Actor == "":
		e.Actor = "unknown"
	}
	now, then := fieldsOf(l), fieldsOf(older)
	for i := range now {
		if !reflect.DeepEqual(now[i].value, then[i].value) {
			e.Changes = append(e.Changes, FieldChange{now[i].name, then[i].shown, now[i].shown})
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
	case !older.DeletedAt.IsZero():
		return "created"
	case older.DisabledAt.IsZero() && !l.DisabledAt.IsZero():
		return "disabled"
	case !older.DisabledAt.IsZero() && l.DisabledAt.IsZero():
		return "enabled"
	}
	return "edited"
}

// field is a field of a link. Versions are compared by value; the history contains shown.
type field struct {
	name         string
	value, shown any
}

// fieldsOf returns the fields that the history compares. shown is nil for an unset field.
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
	add("forward_query", l.ForwardQuery, l.ForwardQuery == store.ForwardOff)
	add("forward_path", l.ForwardPath, !l.ForwardPath)
	add("starts_at", l.StartsAt, l.StartsAt.IsZero())
	add("expires_at", l.ExpiresAt, l.ExpiresAt.IsZero())
	add("max_clicks", l.MaxClicks, l.MaxClicks == 0)
	add("confirm", l.Confirm, !l.Confirm)
	add("no_visitors", l.NoVisitors, !l.NoVisitors)
	fields = append(fields, field{"rules", l.Rules, shownRules(l.Rules)})
	add("disabled_reason", l.DisabledReason, l.DisabledReason == "")
	return fields
}

// shownRules returns the rules with a stored form, nil without rules. Rules of a newer version of this
// program are shown in their stored form.
func shownRules(text string) any {
	list, err := rules.Decode(text)
	switch {
	case err != nil:
		return text
	case list == nil:
		return nil
	}
	return list
}

// RollBack is a return to an earlier target.
type RollBack struct {
	Versions Versions // the versions that may be edited
	To       int64    // the version with the target and the rules
	Err      error    // see Draft.Err
}

// RollBack restores the target and the rules of an earlier version. The result must pass the current
// rules, like any other edit. For an unknown version RollBack returns a *store.FieldError for
// "version".
func (s *Service) RollBack(ctx context.Context, who *Caller, code string, r RollBack) (store.Link, error) {
	note := fmt.Sprintf("target of version %d", r.To)
	return s.change(ctx, change{who: who, do: Editing, code: code, versions: r.Versions, note: note, apply: func(l *store.Link) error {
		earlier, err := s.revisionAt(ctx, code, r.To)
		if err := store.JoinFound(r.Err, err); err != nil {
			return err
		}
		l.URL, l.Rules = earlier.URL, earlier.Rules
		return s.check(l, nil)
	}})
}

// revisionAt returns a link at a version with a target.
func (s *Service) revisionAt(ctx context.Context, code string, version int64) (store.Link, error) {
	revisions, err := s.opts.History.Revisions(ctx, code, version+1, 1)
	if err != nil {
		return store.Link{}, err
	}
	if len(revisions) == 0 || revisions[0].Link.Version != version {
		return store.Link{}, &store.FieldError{Field: "version", Reason: "must be a version in the history of the link"}
	}
	if !revisions[0].Link.DeletedAt.IsZero() {
		return store.Link{}, &store.FieldError{Field: "version", Reason: "must be a version with a target: this one is a delete"}
	}
	return revisions[0].Link, nil
}
