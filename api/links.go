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

// editAttempts is how often an edit without If-Match is tried when others edit the same
// link at the same time. One of the edits succeeds each time.
const editAttempts = 100

// CodeParam is the {code} of a link resource. It is exported because huma only reads
// exported embedded structs.
type CodeParam struct {
	Code string `path:"code" doc:"The code or alias." example:"spring"`
}

// linkOutput is an answer with one link.
type linkOutput struct {
	ETag string `header:"ETag"`
	Body linkBody
}

func (a *API) linkOutput(l *store.Link) *linkOutput {
	return &linkOutput{ETag: etag(l.Version), Body: a.linkBody(l)}
}

// reader reads one link: the store's Get, or its Confirm.
type reader func(ctx context.Context, code string) (store.Link, error)

// readers returns the two ways to read a link before a write: Get, then Confirm. Get may
// return data that a failover can still lose. When Get finds nothing to write, the link is
// read again with Confirm, and the answer is based on Confirm.
func (a *API) readers() []reader { return []reader{a.opts.Store.Get, a.opts.Store.Confirm} }

// readLink returns a link or tombstone if the caller may see it. For a link of another
// owner it returns store.ErrNotFound, as for a code that does not exist.
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
	IfMatch string `header:"If-Match" doc:"The expected ETag of the link. The answer is 412 if it differs."`
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

// applyEdit applies an edit to l. The error names every invalid field. hash returns the
// hash of the new password.
func (a *API) applyEdit(l *store.Link, in *editInput, hash func() (string, error)) error {
	in.URL.into(&l.URL)
	in.apply(l)
	if err := store.JoinInvalid(a.rules.Check(l), in.check()); err != nil {
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

// change reads a link, calls edit and writes the result. If another edit came between, it
// starts again with the new version, so edit may run several times. If ifMatch names a
// version, it returns store.ErrVersion instead.
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
	return store.Link{}, fmt.Errorf("edit %q among many concurrent edits: %w", code, store.ErrUnavailable)
}

// changed returns the link after edit. write reports whether it must be written.
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

// editable returns store.ErrGone or store.ErrVersion if the link cannot be edited.
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
	IfMatch string `header:"If-Match" doc:"The expected ETag of the link. The answer is 412 if it differs."`
}

func (a *API) deleteLink(ctx context.Context, in *deleteLinkInput) (*struct{}, error) {
	if err := a.remove(ctx, in.Code, in.IfMatch); err != nil {
		return nil, a.problem(ctx, err)
	}
	return nil, nil
}

// remove deletes a link. If ifMatch names versions, the link must have one of them. The
// store returns the error for a link that was deleted before.
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
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Maximum number of links in the page."`
	Cursor string `query:"cursor" doc:"next_cursor of the previous page."`
	Tag    string `query:"tag" doc:"Only links with this tag."`
	Q      string `query:"q" maxLength:"200" doc:"Only links with this text in their code, target or title. The case of ASCII letters does not matter."`
}

type listOutput struct {
	Body struct {
		Links      []linkBody `json:"links" nullable:"false"`
		NextCursor string     `json:"next_cursor" doc:"Empty on the last page."`

		UnavailableShards []string `json:"unavailable_shards,omitempty" doc:"Shards that did not answer. Their links are missing from this page. Absent if the page is complete."`
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

// cursorProblem returns the 422 of an invalid cursor.
func cursorProblem(err error) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "A parameter is invalid. See errors.")
	reason := err.Error()
	if field, ok := errors.AsType[*store.FieldError](err); ok {
		reason = field.Reason
	}
	p.Errors = []*huma.ErrorDetail{{Location: "query.cursor", Message: reason}}
	return p
}
