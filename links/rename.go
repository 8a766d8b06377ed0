package links

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// Rename is a change of the code of a link. A code never changes: a rename creates a link with
// the new code and the fields of the old link, and then changes the old link. These are two
// writes, maybe on two shards. If the second write fails, a repeated rename completes it.
//
// The new link has no clicks and a new history. It has the UsedClicks of the old link. Clicks,
// history and reports of the old code stay there.
type Rename struct {
	Alias string // the new code
	Old   OldCode
}

// OldCode is what happens to the old code of a renamed link.
type OldCode uint8

// The ways to treat an old code.
const (
	OldRedirects OldCode = iota // it redirects to the new short URL
	OldGone                     // it becomes a tombstone
)

// pendingStart is the StartsAt of a new link with a click limit until the old link has stopped
// counting clicks. Two links that count at the same time would exceed the limit.
var pendingStart = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// RenamePending reports whether l is the new link of a rename that is not complete. Such a link
// will redirect: it is unavailable, not unknown.
func RenamePending(l *store.Link) bool {
	_, _, renamed := renamedFrom(l)
	return renamed && l.StartsAt.Equal(pendingStart)
}

// renamePrefix begins the RequestID of links that a rename created. No idempotency key leads to
// such an id, see idempotencyKey.reserved.
const renamePrefix = "rename/"

// renameID returns the RequestID of the link that a rename of a version of code creates.
func renameID(code string, version int64) string {
	return renamePrefix + code + "/" + strconv.FormatInt(version, 10)
}

// renamedFrom returns the code and the version of the link that was renamed, if l is its new link.
func renamedFrom(l *store.Link) (code string, version int64, ok bool) {
	rest, renamed := strings.CutPrefix(l.RequestID, renamePrefix)
	code, digits, _ := strings.Cut(rest, "/") // only links of the default domain are renamed
	version, err := strconv.ParseInt(digits, 10, 64)
	return code, version, renamed && err == nil
}

// shortURL returns the short URL of a code.
func (s *Service) shortURL(code string) string { return s.opts.BaseURL + "/" + code }

// RenamedTo returns the new code of a renamed link: l redirects to its short URL. It returns "" if
// l was not renamed.
func (s *Service) RenamedTo(l *store.Link) string {
	code, ours := strings.CutPrefix(l.URL, s.opts.BaseURL+"/")
	if !ours || !store.ValidCode(code) || code == l.Code || l.DomainID() != "" {
		return ""
	}
	return code
}

// checkEdited checks the fields of an edited link. before is its target before the edit, and sent are
// its new rules, see check. The
// target must not lead to our own host, because links could then redirect in a circle. The only
// exception is an unchanged target that a rename has set.
func (s *Service) checkEdited(l *store.Link, before string, sent *[]rules.Rule) error {
	if l.URL == before && s.RenamedTo(l) != "" {
		return store.JoinInvalid(s.rules.CheckRenamed(l), s.checkRules(l, sent))
	}
	return s.check(l, sent)
}

// checkRename returns a *store.FieldError if the link old must not be renamed in this way.
func (s *Service) checkRename(old *store.Link, r *Rename) error {
	if r == nil {
		return nil
	}
	if err := s.rules.Alias(r.Alias); err != nil {
		return err
	}
	reason := ""
	switch {
	case r.Alias == old.Code:
		reason = "is the code of the link already"
	case old.DomainID() != "":
		reason = "must not be changed on this domain"
	case !old.DisabledAt.IsZero():
		reason = "must not be changed while the link is disabled"
	case s.RenamedTo(old) != "":
		reason = "must not be changed: the link was renamed, and redirects to " + old.URL
	default:
		return nil
	}
	return &store.FieldError{Field: "alias", Reason: reason}
}

// renaming is a rename that is being done.
type renaming struct {
	*Service
	change
	edit *Edit

	made store.Link // the new link; its Version is 0 while it does not exist
	own  bool       // this call has created it
}

// rename renames a link. c applies the other changes of e.
func (s *Service) rename(ctx context.Context, e *Edit, c change) (store.Link, error) {
	r := &renaming{Service: s, change: c, edit: e}
	ctx = authored(ctx, c.who, "renamed to "+e.Rename.Alias)
	for range editAttempts {
		l, again, err := r.attempt(ctx)
		if !again {
			return l, r.undo(ctx, err)
		}
	}
	return store.Link{}, fmt.Errorf("rename %q: too many concurrent edits: %w", c.code, store.ErrUnavailable)
}

// attempt tries the rename once. again reports that another edit of the old link succeeded in
// between.
func (r *renaming) attempt(ctx context.Context) (l store.Link, again bool, err error) {
	old, err := r.read(ctx, r.who, r.do, r.opts.Store.Confirm, r.code)
	if err != nil {
		return store.Link{}, false, err
	}
	if made, ok, err := r.earlier(ctx, &old); err != nil || ok {
		if err != nil {
			return store.Link{}, false, err
		}
		l, err = r.complete(ctx, &old, &made)
		return l, errors.Is(err, store.ErrVersion), err
	}
	if err := r.refuses(&old); err != nil {
		return store.Link{}, false, err
	}
	want := old
	if err := r.apply(&want); err != nil {
		return store.Link{}, false, err
	}
	if err := r.create(ctx, want); err != nil {
		return store.Link{}, false, err
	}
	old, err = r.leave(ctx, &old)
	if errors.Is(err, store.ErrVersion) || errors.Is(err, store.ErrGone) {
		return store.Link{}, true, nil
	}
	if err != nil {
		return store.Link{}, false, err
	}
	r.own = false // the old link leads to the new one: nothing must delete it
	l, err = r.finish(ctx, &old, &r.made, want.StartsAt)
	return l, errors.Is(err, store.ErrVersion), err
}

// create creates the new link with the fields of want, which is the old link with the edit. If
// the link exists because of an earlier attempt, create updates it.
func (r *renaming) create(ctx context.Context, want store.Link) error {
	now := r.now()
	if want.MaxClicks > 0 {
		want.StartsAt = pendingStart
	}
	if r.made.Version == 0 {
		l := want
		l.Code, l.RequestID = r.edit.Rename.Alias, renameID(want.Code, want.Version)
		l.CreatedAt, l.UpdatedAt = now, now
		made, err := r.createFresh(ctx, r.who, l, "")
		if err != nil {
			return err
		}
		r.made, r.own = made, made.UpdatedAt.Equal(now)
	}
	l := r.made
	l.URL, l.Title, l.Tags, l.Status, l.ForwardQuery = want.URL, want.Title, want.Tags, want.Status, want.ForwardQuery
	l.StartsAt, l.ExpiresAt, l.MaxClicks = want.StartsAt, want.ExpiresAt, want.MaxClicks
	l.PasswordHash, l.Confirm, l.NoVisitors, l.Rules, l.ForwardPath = want.PasswordHash, want.Confirm, want.NoVisitors, want.Rules, want.ForwardPath
	if reflect.DeepEqual(l, r.made) {
		return nil
	}
	l.UpdatedAt = now
	made, err := r.opts.Store.Update(ctx, l)
	if err == nil {
		r.made = made
	}
	return err
}

// leave does the second write of a rename: it changes the old link, unless its version has
// changed since the read. A link with a click limit first becomes a redirect, even if finish then
// deletes it: the redirect keeps the number of used clicks.
func (r *renaming) leave(ctx context.Context, old *store.Link) (store.Link, error) {
	if r.edit.Rename.Old == OldGone && !r.made.StartsAt.Equal(pendingStart) {
		return r.opts.Store.Delete(ctx, r.code, old.Version, r.now())
	}
	l := *old
	l.URL, l.ForwardQuery, l.ForwardPath = r.shortURL(r.edit.Rename.Alias), store.ForwardAppend, r.made.ForwardPath
	l.StartsAt, l.ExpiresAt, l.MaxClicks, l.PasswordHash, l.Confirm, l.Rules = time.Time{}, time.Time{}, 0, "", false, ""
	l.UpdatedAt = r.now()
	return r.opts.Store.Update(ctx, l)
}

// finish does what follows the second write: it makes a pending new link live at starts, and
// deletes the old link for OldGone. It returns the new link.
func (r *renaming) finish(ctx context.Context, old, made *store.Link, starts time.Time) (l store.Link, err error) {
	l = *made
	if l.StartsAt.Equal(pendingStart) {
		l, err = r.Service.change(ctx, change{who: r.who, do: r.do, code: l.Code, note: "renamed from " + r.code, apply: func(l *store.Link) error {
			if l.StartsAt.Equal(pendingStart) {
				l.StartsAt, l.UsedClicks = starts, max(l.UsedClicks, old.UsedClicks)
			}
			return nil
		}})
		if err != nil {
			return store.Link{}, err
		}
	}
	if r.edit.Rename.Old == OldGone && old.DeletedAt.IsZero() {
		_, err = r.opts.Store.Delete(ctx, r.code, old.Version, r.now())
	}
	if errors.Is(err, store.ErrGone) { // another call has deleted it
		err = nil
	}
	return l, err
}

// earlier returns the new link if an earlier call has done both writes of this rename.
func (r *renaming) earlier(ctx context.Context, old *store.Link) (made store.Link, ok bool, err error) {
	alias, leads := r.edit.Rename.Alias, r.edit.Rename.Old == OldGone
	if old.DeletedAt.IsZero() {
		leads = old.URL == r.shortURL(alias)
	}
	if !leads || !store.ValidCode(alias) {
		return store.Link{}, false, nil
	}
	made, err = r.opts.Store.Confirm(ctx, alias)
	if errors.Is(err, store.ErrNotFound) {
		return store.Link{}, false, nil
	}
	from, version, renamed := renamedFrom(&made)
	ok = renamed && from == r.code && r.versions.allow(version) && made.Owner == old.Owner && made.DeletedAt.IsZero()
	return made, ok, err
}

// complete finishes an earlier call, and applies the edit to the new link.
func (r *renaming) complete(ctx context.Context, old, made *store.Link) (store.Link, error) {
	var starts time.Time
	if made.StartsAt.Equal(pendingStart) {
		_, version, _ := renamedFrom(made)
		before, err := r.opts.History.Revisions(ctx, r.code, version+1, 1)
		if err != nil {
			return store.Link{}, err
		}
		if len(before) > 0 {
			starts = before[0].Link.StartsAt
		}
	}
	if _, err := r.finish(ctx, old, made, starts); err != nil {
		return store.Link{}, err
	}
	e := *r.edit
	e.Rename, e.Versions = nil, nil
	return r.Edit(ctx, r.who, made.Code, e)
}

// undo deletes the new link that this call has created if the rename was refused with err. After
// any other error the link stays, so that a repeated rename can complete. undo returns the error
// of the rename.
func (r *renaming) undo(ctx context.Context, err error) error {
	refused := store.IsInvalid(err) || errors.Is(err, store.ErrVersion) || errors.Is(err, store.ErrGone) || errors.Is(err, store.ErrNotFound)
	if !refused || !r.own || r.made.Version == 0 {
		return err
	}
	ctx = store.WithAuthor(ctx, store.Author{ID: r.made.Owner, Note: "the rename of " + r.code + " was refused"})
	if _, undoErr := r.opts.Store.Delete(ctx, r.made.Code, r.made.Version, r.now()); undoErr != nil && !errors.Is(undoErr, store.ErrVersion) {
		return undoErr
	}
	return err
}
