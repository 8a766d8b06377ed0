package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/store"
)

// archivePath is the path of exports and imports.
const archivePath = "/api/v1/archive"

const (
	// maxOwnerLen is the longest owner of a link in characters.
	maxOwnerLen = 64

	// maxHashCost is the highest bcrypt cost of an imported password hash: every visitor
	// who enters a password makes this server compute the hash.
	maxHashCost = 14

	// maxCount is the highest click count that an import accepts. It leaves room for later
	// clicks.
	maxCount = 1 << 60
)

// bcryptForm matches a complete bcrypt hash. bcrypt.Cost checks only its beginning.
var bcryptForm = regexp.MustCompile(`^\$2[aby]?\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// archivedLink is a link with every field, as exports and imports use it. An export has
// every member. In an import only the code and the target are required.
type archivedLink struct {
	Code           string     `json:"code" doc:"The code or alias." example:"spring"`
	URL            string     `json:"url" doc:"The target; empty for a deleted link." example:"https://example.com/a/long/path?with=query"`
	Owner          *string    `json:"owner,omitempty" doc:"Id of the API key that owns the link; empty for an anonymous link. The default is your key." example:"key_2vj6r3h4kq5w"`
	Title          string     `json:"title" required:"false" example:"Spring catalogue"`
	Tags           []string   `json:"tags" required:"false" nullable:"false" example:"[\"print\",\"2026\"]"`
	Status         int        `json:"status" required:"false" enum:"0,301,302,307,308" doc:"Status of the redirect; 0 means 302." example:"302"`
	ForwardQuery   string     `json:"forward_query" required:"false" enum:"off,append,override" example:"off"`
	StartsAt       *time.Time `json:"starts_at" required:"false"`
	ExpiresAt      *time.Time `json:"expires_at" required:"false" doc:"May be in the past." example:"2027-06-01T00:00:00Z"`
	MaxClicks      count      `json:"max_clicks" required:"false" doc:"0 means any number." example:"0"`
	UsedClicks     count      `json:"used_clicks" required:"false" doc:"Redirects counted against max_clicks." example:"0"`
	PasswordHash   string     `json:"password_hash" required:"false" doc:"A bcrypt hash; empty when the link has no password." example:""`
	DisabledAt     *time.Time `json:"disabled_at" required:"false" doc:"When it was disabled because of abuse."`
	DisabledReason string     `json:"disabled_reason" required:"false" example:""`
	DeletedAt      *time.Time `json:"deleted_at" required:"false" doc:"When it was deleted; not before created_at. A deleted link does not redirect, and its code is never used again. It keeps only code, owner, status, created_at, updated_at and version. Its url is empty."`
	Clicks         count      `json:"clicks" required:"false" doc:"Total number of redirects." example:"17"`
	LastClickAt    *time.Time `json:"last_click_at" required:"false" doc:"The default is created_at if there are clicks." example:"2026-05-01T12:00:00.123456Z"`
	CreatedAt      *time.Time `json:"created_at" required:"false" doc:"The default is now; for a deleted link, deleted_at." example:"2026-03-01T08:30:00.5Z"`
	UpdatedAt      *time.Time `json:"updated_at" required:"false" doc:"The default is created_at; for a deleted link, deleted_at." example:"2026-03-02T08:30:00Z"`
	Version        int64      `json:"version" required:"false" minimum:"0" maximum:"1000000000" doc:"0 means 1." example:"2"`
}

// archived returns l as exports show it.
func archived(l *store.Link) archivedLink {
	tags := l.Tags
	if tags == nil {
		tags = []string{}
	}
	return archivedLink{
		Code: l.Code, URL: l.URL, Owner: &l.Owner, Title: l.Title, Tags: tags,
		Status: l.Status, ForwardQuery: forwardNames[l.ForwardQuery],
		StartsAt: timeOrNull(l.StartsAt), ExpiresAt: timeOrNull(l.ExpiresAt),
		MaxClicks: count(l.MaxClicks), UsedClicks: count(l.UsedClicks), PasswordHash: l.PasswordHash,
		DisabledAt: timeOrNull(l.DisabledAt), DisabledReason: l.DisabledReason, DeletedAt: timeOrNull(l.DeletedAt),
		Clicks: count(l.Clicks), LastClickAt: timeOrNull(l.LastClickAt),
		CreatedAt: &l.CreatedAt, UpdatedAt: &l.UpdatedAt, Version: l.Version,
	}
}

type exportInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"500" doc:"Maximum number of links in the page." example:"100"`
	Cursor string `query:"cursor" doc:"next_cursor of the previous page."`
}

type exportOutput struct {
	Body struct {
		Links      []archivedLink `json:"links" nullable:"false"`
		NextCursor string         `json:"next_cursor" doc:"Empty on the last page." example:"spring"`
	}
}

// exportLinks returns a page of the links of all owners.
func (a *API) exportLinks(ctx context.Context, in *exportInput) (*exportOutput, error) {
	if err := callerOf(ctx).require(store.ScopeAdmin); err != nil {
		return nil, err
	}
	if in.Cursor != "" && !store.ValidCode(in.Cursor) {
		return nil, cursorProblem(errors.New("must be the next_cursor of an earlier answer"))
	}
	links, err := a.opts.Archive.Export(ctx, in.Cursor, in.Limit)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &exportOutput{}
	out.Body.Links = make([]archivedLink, len(links))
	for i := range links {
		out.Body.Links[i] = archived(&links[i])
	}
	if len(links) == in.Limit {
		out.Body.NextCursor = links[len(links)-1].Code
	}
	return out, nil
}

type importInput struct {
	Body struct {
		Links []batchItem[archivedLink] `json:"links" minItems:"1" maxItems:"1000" nullable:"false" doc:"1 to 1000 links."`
	}
}

type importOutput struct {
	Body struct {
		Results []batchResult `json:"results" nullable:"false" doc:"One result for each link, in the same order. status is 201 for a new link, 200 for a link that was imported before, or the status of an error."`
	}
}

// importLinks imports links with every field. Only administrators may call it: it sets
// fields that owners cannot set, such as dates, counts, hashes and owners. Importing the
// same links again changes nothing.
func (a *API) importLinks(ctx context.Context, in *importInput) (*importOutput, error) {
	who := callerOf(ctx)
	if err := who.require(store.ScopeAdmin); err != nil {
		return nil, err
	}
	links := in.Body.Links
	if len(links) == 0 || len(links) > maxBatch {
		return nil, invalid(&store.FieldError{Field: "links", Reason: fmt.Sprintf("must hold 1 to %d links", maxBatch)})
	}
	out := &importOutput{}
	out.Body.Results = make([]batchResult, len(links))
	var group errgroup.Group
	group.SetLimit(batchParallel)
	turns := newTurns(out.Body.Results)
	for i, item := range links {
		in, err := item.input(a.schemas)
		if err != nil {
			out.Body.Results[i] = a.batchResult(ctx, nil, false, err)
			continue
		}
		one := turns.next(in.Code, i, func() {
			l, found, err := a.importLink(ctx, who, &in)
			out.Body.Results[i] = a.batchResult(ctx, &l, found, err)
		})
		group.Go(func() error { one(); return nil })
	}
	_ = group.Wait() // every item has its own result
	return out, nil
}

// importLink imports one link. found reports that an equal link existed before.
func (a *API) importLink(ctx context.Context, who *caller, in *archivedLink) (l store.Link, found bool, err error) {
	want, err := a.readArchived(who, in)
	if err != nil {
		return store.Link{}, false, err
	}
	l, err = a.opts.Archive.Import(ctx, want)
	if !errors.Is(err, store.ErrExists) {
		return l, false, err
	}
	have, getErr := a.opts.Store.Confirm(ctx, want.Code)
	switch {
	case getErr != nil:
		return store.Link{}, false, getErr
	case in.CreatedAt == nil: // readArchived used the time of this request
		want.CreatedAt = have.CreatedAt
	}
	if in.UpdatedAt == nil {
		want.UpdatedAt = cmp.Or(want.DeletedAt, want.CreatedAt)
	}
	if !sameArchived(have, want) {
		return store.Link{}, false, err
	}
	return have, true, nil
}

// sameArchived reports whether have equals want, except for counts, which may have grown
// since the import.
func sameArchived(have, want store.Link) bool {
	for _, l := range []*store.Link{&have, &want} {
		l.RequestID, l.Clicks, l.LastClickAt, l.UsedClicks = "", 0, time.Time{}, 0
	}
	return reflect.DeepEqual(have, want)
}

// readArchived returns the link that in describes. The error names every invalid field.
func (a *API) readArchived(who *caller, in *archivedLink) (store.Link, error) {
	l := store.Link{
		Code: in.Code, URL: in.URL, Owner: who.owner(), Title: in.Title, Tags: in.Tags,
		Status: in.Status, ForwardQuery: parseForward(in.ForwardQuery),
		StartsAt: timeOrZero(in.StartsAt), ExpiresAt: timeOrZero(in.ExpiresAt),
		MaxClicks: int64(in.MaxClicks), UsedClicks: int64(in.UsedClicks), PasswordHash: in.PasswordHash,
		DisabledAt: timeOrZero(in.DisabledAt), DisabledReason: in.DisabledReason, DeletedAt: timeOrZero(in.DeletedAt),
		Clicks: int64(in.Clicks), LastClickAt: timeOrZero(in.LastClickAt),
		CreatedAt: timeOrZero(in.CreatedAt), UpdatedAt: timeOrZero(in.UpdatedAt), Version: max(1, in.Version),
	}
	if in.Owner != nil {
		l.Owner = *in.Owner
	}
	if l.Status == 0 {
		l.Status = store.DefaultStatus
	}
	if in.CreatedAt == nil {
		l.CreatedAt = cmp.Or(l.DeletedAt, a.now())
	}
	if in.UpdatedAt == nil {
		l.UpdatedAt = cmp.Or(l.DeletedAt, l.CreatedAt)
	}
	if !l.DeletedAt.IsZero() {
		l = l.Remains()
	}
	if l.Clicks > 0 && in.LastClickAt == nil {
		l.LastClickAt = l.CreatedAt
	}
	var alias error
	if problem, ok := errors.AsType[*store.FieldError](a.rules.Alias(l.Code)); ok && (!l.IsCanary() || !store.ValidCode(l.Code)) {
		alias = &store.FieldError{Field: "code", Reason: problem.Reason}
	}
	err := store.JoinInvalid(alias, a.checkArchived(&l), checkOwner(&l),
		store.CheckText("disabled_reason", l.DisabledReason, maxReasonLen), checkHash(l.PasswordHash),
		checkDates(&l, in, a.now()), checkHistory(&l))
	if err != nil {
		return store.Link{}, err
	}
	return l, nil
}

// checkArchived checks a link by the rules, and normalizes it as stores keep it. A
// tombstone has no target to check.
func (a *API) checkArchived(l *store.Link) error {
	if l.DeletedAt.IsZero() {
		return a.rules.Check(l)
	}
	return nil
}

// checkOwner rejects an invalid owner. The owner of canary links must have no other links.
func checkOwner(l *store.Link) error {
	if l.Owner == store.CanaryOwner && !l.IsCanary() {
		return &store.FieldError{Field: "owner", Reason: "is reserved for the links that nodes use to measure their caches"}
	}
	return store.CheckText("owner", l.Owner, maxOwnerLen)
}

// checkHash rejects a password hash that bcrypt cannot use or that costs too much.
func checkHash(hash string) error {
	if hash == "" {
		return nil
	}
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil || !bcryptForm.MatchString(hash) || cost > maxHashCost {
		return &store.FieldError{Field: "password_hash", Reason: fmt.Sprintf("must be a bcrypt hash with a cost of at most %d", maxHashCost)}
	}
	return nil
}

// clockSkew is the tolerated difference between the clocks of two systems.
const clockSkew = time.Minute

// checkDates rejects invalid dates, and converts the dates of l to UTC and microseconds. It
// checks the year only of dates that in contains: the others are defaults.
func checkDates(l *store.Link, in *archivedLink, now time.Time) error {
	var bad store.InvalidError
	refuse := func(field, reason string) {
		bad = append(bad, &store.FieldError{Field: field, Reason: reason})
	}
	for _, d := range []struct {
		field string
		sent  *time.Time
		at    *time.Time
	}{
		{"created_at", in.CreatedAt, &l.CreatedAt},
		{"updated_at", in.UpdatedAt, &l.UpdatedAt},
		{"disabled_at", in.DisabledAt, &l.DisabledAt},
		{"deleted_at", in.DeletedAt, &l.DeletedAt},
		{"last_click_at", in.LastClickAt, &l.LastClickAt},
	} {
		*d.at = d.at.UTC().Truncate(time.Microsecond)
		none := d.at.IsZero() && d.at != &l.CreatedAt
		if year := d.at.Year(); d.sent != nil && !none && (year < 1990 || year > 9999) {
			refuse(d.field, "must be in the years 1990 to 9999")
		}
	}
	latest := now.Add(clockSkew)
	if in.CreatedAt != nil && l.CreatedAt.After(latest) {
		refuse("created_at", "must not be in the future")
	}
	if in.UpdatedAt != nil && l.UpdatedAt.Before(l.CreatedAt) {
		refuse("updated_at", "must not be before created_at")
	}
	switch {
	case l.DeletedAt.IsZero():
	case l.DeletedAt.After(latest):
		refuse("deleted_at", "must not be in the future")
	case l.DeletedAt.Before(l.CreatedAt):
		refuse("deleted_at", "must not be before created_at")
	}
	if len(bad) == 0 {
		return nil
	}
	return bad
}

// checkHistory rejects invalid counts, and a disabled_reason without disabled_at.
func checkHistory(l *store.Link) error {
	var bad store.InvalidError
	for field, n := range map[string]int64{"clicks": l.Clicks, "used_clicks": l.UsedClicks} {
		if n < 0 || n > maxCount {
			bad = append(bad, &store.FieldError{Field: field, Reason: fmt.Sprintf("must be 0 to %d", int64(maxCount))})
		}
	}
	if l.DisabledReason != "" && l.DisabledAt.IsZero() {
		bad = append(bad, &store.FieldError{Field: "disabled_reason", Reason: "must be empty when disabled_at is"})
	}
	if len(bad) == 0 {
		return nil
	}
	return bad
}

// timeOrZero returns the time in UTC and microseconds, or the zero time for nil.
func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
