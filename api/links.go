package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/terse/terse/store"
)

// editAttempts is how often an edit without If-Match is tried against others
// that edit the same link at the same time. One of them wins each time.
const editAttempts = 100

// CodeParam is the {code} of a link resource. It is exported because huma looks
// into exported embedded structs only.
type CodeParam struct {
	Code string `path:"code" doc:"The code or alias." example:"spring"`
}

// linkOutput is an answer that holds one link.
type linkOutput struct {
	ETag string `header:"ETag"`
	Body linkBody
}

func (a *API) linkOutput(l *store.Link) *linkOutput {
	return &linkOutput{ETag: etag(l.Version), Body: a.linkBody(l)}
}

// reader reads one link: the store's Get, or its Confirm.
type reader func(ctx context.Context, code string) (store.Link, error)

// readers are how a link is read for a write. An answer from Get may rely on a write that
// a failover can lose. So Get alone never answers a write: when nothing has to be
// written, the link is read again by Confirm, and that decides.
func (a *API) readers() []reader { return []reader{a.opts.Store.Get, a.opts.Store.Confirm} }

// readLink returns the link, also a tombstone, when the caller may see it. Another owner's
// link is as unknown as one that never was.
func readLink(ctx context.Context, read reader, code string, scope store.Scope) (store.Link, error) {
	who := callerOf(ctx)
	if err := who.require(scope); err != nil {
		return store.Link{}, err
	}
	if !store.ValidCode(code) {
		return store.Link{}, store.ErrNotFound
	}
	l, err := read(ctx, code)
	switch {
	case err != nil:
		return store.Link{}, err
	case !who.sees(&l):
		return store.Link{}, store.ErrNotFound
	}
	return l, nil
}

func (a *API) getLink(ctx context.Context, in *CodeParam) (*linkOutput, error) {
	l, err := readLink(ctx, a.opts.Store.Get, in.Code, store.ScopeLinksRead)
	if err == nil && !l.DeletedAt.IsZero() {
		err = store.ErrGone
	}
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.linkOutput(&l), nil
}

type editLinkInput struct {
	CodeParam
	IfMatch string `header:"If-Match" doc:"The ETag that the link must still have; 412 when it has another."`
	Body    editInput
}

func (a *API) editLink(ctx context.Context, in *editLinkInput) (*linkOutput, error) {
	hash := sync.OnceValues(func() (string, error) { return a.hashPassword(ctx, callerOf(ctx), in.Body.Password.value) })
	l, err := a.change(ctx, in.Code, in.IfMatch, store.ScopeLinksWrite, func(l *store.Link) error {
		return a.applyEdit(l, &in.Body, hash)
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.linkOutput(&l), nil
}

// applyEdit changes l as the client asked, or returns every reason why not. hash
// returns the hash of the new password.
func (a *API) applyEdit(l *store.Link, in *editInput, hash func() (string, error)) error {
	in.URL.into(&l.URL)
	in.apply(l)
	if err := joinInvalid(a.rules.Check(l), in.check()); err != nil {
		return err
	}
	var err error
	switch {
	case in.Password.given():
		l.PasswordHash, err = hash()
	case in.Password.set:
		l.PasswordHash = ""
	}
	return err
}

// change edits a link by edit, which may run several times: an edit that meets
// another one starts again from what that one left, unless the client said
// which version it means.
func (a *API) change(ctx context.Context, code, ifMatch string, scope store.Scope, edit func(*store.Link) error) (store.Link, error) {
	for range editAttempts {
		changed, write, err := a.changed(ctx, code, ifMatch, scope, edit)
		if err != nil {
			return store.Link{}, err
		}
		if !write {
			return changed, nil
		}
		changed.UpdatedAt = a.now()
		changed, err = a.opts.Store.Update(ctx, changed)
		if namesVersion(ifMatch) || !errors.Is(err, store.ErrVersion) {
			return changed, err
		}
	}
	return store.Link{}, fmt.Errorf("edit %q against many others: %w", code, store.ErrUnavailable)
}

// changed returns the link as edit leaves it, and whether it has to be written.
func (a *API) changed(ctx context.Context, code, ifMatch string, scope store.Scope, edit func(*store.Link) error) (changed store.Link, write bool, err error) {
	var refused error
	for _, read := range a.readers() {
		l, err := readLink(ctx, read, code, scope)
		if err != nil {
			return store.Link{}, false, err
		}
		if refused = editable(&l, ifMatch); refused != nil {
			continue
		}
		changed = l
		if err := edit(&changed); err != nil {
			return store.Link{}, false, err
		}
		if !reflect.DeepEqual(l, changed) {
			return changed, true, nil
		}
	}
	return changed, false, refused
}

// editable returns why a link cannot be edited, or nil.
func editable(l *store.Link, ifMatch string) error {
	switch {
	case !l.DeletedAt.IsZero():
		return store.ErrGone
	case !matches(ifMatch, l.Version):
		return store.ErrVersion
	}
	return nil
}

type deleteLinkInput struct {
	CodeParam
	IfMatch string `header:"If-Match" doc:"The ETag that the link must still have; 412 when it has another."`
}

func (a *API) deleteLink(ctx context.Context, in *deleteLinkInput) (*struct{}, error) {
	if err := a.remove(ctx, in.Code, in.IfMatch); err != nil {
		return nil, a.problem(ctx, err)
	}
	return nil, nil
}

// remove deletes a link that has a version which ifMatch names, if it names any. The
// store knows whether the link was deleted before.
func (a *API) remove(ctx context.Context, code, ifMatch string) error {
	for _, read := range a.readers() {
		l, err := readLink(ctx, read, code, store.ScopeLinksWrite)
		if err != nil {
			return err
		}
		var version int64
		if namesVersion(ifMatch) && l.DeletedAt.IsZero() {
			if !matches(ifMatch, l.Version) {
				continue
			}
			version = l.Version
		}
		_, err = a.opts.Store.Delete(ctx, code, version, a.now())
		return err
	}
	return store.ErrVersion
}

type listInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Most links in the page."`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
	Tag    string `query:"tag" doc:"Only links with this tag."`
	Q      string `query:"q" maxLength:"200" doc:"Only links whose code, target or title contains this, in any ASCII case."`
}

type listOutput struct {
	Body struct {
		Links      []linkBody `json:"links" nullable:"false"`
		NextCursor string     `json:"next_cursor" doc:"Empty on the last page."`

		UnavailableShards []string `json:"unavailable_shards,omitempty" doc:"Shards that did not answer: their links are missing from this page. Absent when the page is whole."`
	}
}

func (a *API) listLinks(ctx context.Context, in *listInput) (*listOutput, error) {
	who := callerOf(ctx)
	if err := who.require(store.ScopeLinksRead); err != nil {
		return nil, err
	}
	after, err := store.ParseCursor(in.Cursor)
	if err != nil {
		return nil, cursorProblem(err)
	}
	page, err := a.opts.Store.List(ctx, store.Query{
		Owner: who.owner(), Tag: in.Tag, Search: in.Q, Limit: in.Limit, After: after,
	})
	if err != nil {
		return nil, a.problem(ctx, err)
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

// cursorProblem returns the 422 of a cursor that nobody was given.
func cursorProblem(err error) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "See errors for the parameter that must change.")
	reason := err.Error()
	if field, ok := errors.AsType[*store.FieldError](err); ok {
		reason = field.Reason
	}
	p.Errors = []*huma.ErrorDetail{{Location: "query.cursor", Message: reason}}
	return p
}
