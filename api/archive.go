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

// archivePath is where links are taken out and put in whole.
const archivePath = "/api/v1/archive"

const (
	// maxOwnerLen is the longest owner of a link in characters.
	maxOwnerLen = 64

	// maxHashCost is the highest work factor of a password hash that is taken over:
	// whoever asks for the link makes this server do the work.
	maxHashCost = 14

	// maxCount is the most clicks that a link may bring along, which leaves room for
	// all that come.
	maxCount = 1 << 60
)

// bcryptForm is a hash that can be compared with: Cost looks at its beginning alone.
var bcryptForm = regexp.MustCompile(`^\$2[aby]?\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// archivedLink is a link whole, as an administrator takes it out of one system and
// puts it into another. An export has every member. Of an import all but the code
// and the target may be absent, or zero.
type archivedLink struct {
	Code           string     `json:"code" doc:"The code or alias." example:"spring"`
	URL            string     `json:"url" doc:"The target; empty for a link that was deleted." example:"https://example.com/a/long/path?with=query"`
	Owner          *string    `json:"owner,omitempty" doc:"Id of the API key that the link belongs to; empty for an anonymous one. Yours when absent." example:"key_2vj6r3h4kq5w"`
	Title          string     `json:"title" required:"false" example:"Spring catalogue"`
	Tags           []string   `json:"tags" required:"false" nullable:"false" example:"[\"print\",\"2026\"]"`
	Status         int        `json:"status" required:"false" enum:"0,301,302,307,308" doc:"Status of the redirect; 0 stands for 302." example:"302"`
	ForwardQuery   string     `json:"forward_query" required:"false" enum:"off,append,override" example:"off"`
	StartsAt       *time.Time `json:"starts_at" required:"false"`
	ExpiresAt      *time.Time `json:"expires_at" required:"false" doc:"May be over." example:"2027-06-01T00:00:00Z"`
	MaxClicks      count      `json:"max_clicks" required:"false" doc:"0 means any number." example:"0"`
	UsedClicks     count      `json:"used_clicks" required:"false" doc:"Redirects counted against max_clicks." example:"0"`
	PasswordHash   string     `json:"password_hash" required:"false" doc:"bcrypt; empty when no password is asked." example:""`
	DisabledAt     *time.Time `json:"disabled_at" required:"false" doc:"When it was taken down for abuse."`
	DisabledReason string     `json:"disabled_reason" required:"false" example:""`
	DeletedAt      *time.Time `json:"deleted_at" required:"false" doc:"When it was deleted, not before created_at: its code stays taken, and nothing leads anywhere. Of such a link only code, owner, status, created_at, updated_at and version are kept, and url is empty."`
	Clicks         count      `json:"clicks" required:"false" doc:"Redirects in all." example:"17"`
	LastClickAt    *time.Time `json:"last_click_at" required:"false" doc:"When there are clicks and this is absent, created_at stands for it." example:"2026-05-01T12:00:00.123456Z"`
	CreatedAt      *time.Time `json:"created_at" required:"false" doc:"Now when absent, and of a deleted link deleted_at." example:"2026-03-01T08:30:00.5Z"`
	UpdatedAt      *time.Time `json:"updated_at" required:"false" doc:"created_at when absent, and of a deleted link deleted_at." example:"2026-03-02T08:30:00Z"`
	Version        int64      `json:"version" required:"false" minimum:"0" maximum:"1000000000" doc:"0 stands for 1." example:"2"`
}

// archived returns l as an administrator takes it out.
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
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"500" doc:"Most links in the page." example:"100"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
}

type exportOutput struct {
	Body struct {
		Links      []archivedLink `json:"links" nullable:"false"`
		NextCursor string         `json:"next_cursor" doc:"Empty on the last page." example:"spring"`
	}
}

// exportLinks answers a page of everybody's links.
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
		Results []batchResult `json:"results" nullable:"false" doc:"One result per item, in order: 201, 200 for a link that was imported before, or the status of an error."`
	}
}

// importLinks puts links in as they are. It is for administrators alone, who may
// set what no owner can: dates, counts, hashes, owners. A repetition changes
// nothing.
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
	for i, item := range links {
		group.Go(func() error {
			l, found, err := a.importLink(ctx, who, item)
			out.Body.Results[i] = a.batchResult(ctx, &l, found, err)
			return nil
		})
	}
	_ = group.Wait() // every item has its own result
	return out, nil
}

// importLink puts one link in, or finds that it is there as it would be.
func (a *API) importLink(ctx context.Context, who *caller, item batchItem[archivedLink]) (l store.Link, found bool, err error) {
	in, err := item.input(a.schemas)
	if err != nil {
		return store.Link{}, false, err
	}
	want, err := a.readArchived(who, &in)
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
	case in.CreatedAt == nil: // then it was made up
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

// sameArchived reports whether have is what an import of want has made. Its counts
// may have grown since.
func sameArchived(have, want store.Link) bool {
	for _, l := range []*store.Link{&have, &want} {
		l.RequestID, l.Clicks, l.LastClickAt, l.UsedClicks = "", 0, time.Time{}, 0
	}
	return reflect.DeepEqual(have, want)
}

// readArchived returns the link that in describes, or everything that is wrong with
// it.
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
		l.Status = defaultStatus
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
	err := joinInvalid(alias, a.checkArchived(&l), checkOwner(&l),
		store.CheckText("disabled_reason", l.DisabledReason, maxReasonLen), checkHash(l.PasswordHash),
		checkDates(&l, in, a.now()), checkHistory(&l))
	if err != nil {
		return store.Link{}, err
	}
	return l, nil
}

// checkArchived returns what no rule allows of a link, and brings it into its stored
// form. A tombstone leads nowhere.
func (a *API) checkArchived(l *store.Link) error {
	if l.DeletedAt.IsZero() {
		return a.rules.Check(l)
	}
	return nil
}

// checkOwner returns what is wrong with an owner. That of canaries has no other links.
func checkOwner(l *store.Link) error {
	if l.Owner == store.CanaryOwner && !l.IsCanary() {
		return &store.FieldError{Field: "owner", Reason: "must not be that of the links by which nodes measure their caches"}
	}
	return store.CheckText("owner", l.Owner, maxOwnerLen)
}

// checkHash returns what is wrong with a password hash.
func checkHash(hash string) error {
	if hash == "" {
		return nil
	}
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil || !bcryptForm.MatchString(hash) || cost > maxHashCost {
		return &store.FieldError{Field: "password_hash", Reason: fmt.Sprintf("must be a bcrypt hash of a cost of at most %d", maxHashCost)}
	}
	return nil
}

// clockSkew is how far the clocks of two systems may differ.
const clockSkew = time.Minute

// checkDates returns what is wrong with the dates of l, of which those that in lacks were
// made up, and brings them into their stored form.
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

// checkHistory returns what is wrong with counts and with what goes together.
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

// timeOrZero returns the time, or the zero time for none.
func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
