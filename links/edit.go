package links

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/terse/terse/store"
)

// editAttempts is how often an edit without Versions is tried when other edits of the link
// conflict with it. One of the conflicting edits succeeds each time.
const editAttempts = 100

// Versions are the versions of a link that a write may replace. Nil allows any. If the link
// has another version, the write returns store.ErrVersion.
type Versions []int64

func (v Versions) allow(version int64) bool { return v == nil || slices.Contains(v, version) }

// Edit changes a link and returns it. An edit without changes keeps the version. Edit returns
// store.ErrGone for a deleted link. With e.Rename the link gets another code, see Rename.
func (s *Service) Edit(ctx context.Context, who *Caller, code string, e Edit) (store.Link, error) {
	c := change{who: who, do: Editing, code: code, versions: e.Versions, apply: s.applying(ctx, who, &e)}
	if e.Rename != nil {
		return s.rename(ctx, &e, c)
	}
	return s.change(ctx, c)
}

// applying returns the function that applies e to a link. The function hashes a new password
// once, however often it is called.
func (s *Service) applying(ctx context.Context, who *Caller, e *Edit) func(l *store.Link) error {
	hash := sync.OnceValues(func() (string, error) { return s.hashPassword(ctx, who, *e.Password) })
	return func(l *store.Link) (err error) {
		before := *l
		set(&l.URL, e.URL)
		e.apply(l)
		if err := store.JoinFound(e.Err, s.checkEdited(l, before.URL, e.Rules), e.checkPassword(), s.checkRename(&before, e.Rename)); err != nil {
			return err
		}
		switch {
		case e.hasPassword():
			l.PasswordHash, err = hash()
		case e.Password != nil:
			l.PasswordHash = ""
		}
		return err
	}
}

// change is a change of one link.
type change struct {
	who      *Caller
	do       Action
	code     string
	versions Versions                  // the versions that may be changed
	note     string                    // the reason, for the history
	apply    func(l *store.Link) error // may be called several times
}

// change reads a link, applies c and writes the result. If another edit succeeds in between,
// change starts again with the new version, or returns store.ErrVersion if c.versions is set.
// Every edit of an existing link uses this method.
func (s *Service) change(ctx context.Context, c change) (store.Link, error) {
	ctx = authored(ctx, c.who, c.note)
	for range editAttempts {
		changed, write, err := s.applied(ctx, &c)
		if err != nil {
			return store.Link{}, err
		}
		if !write {
			return changed, nil
		}
		changed.UpdatedAt = s.now()
		changed, err = s.opts.Store.Update(ctx, changed)
		if c.versions != nil || !errors.Is(err, store.ErrVersion) {
			return changed, err
		}
	}
	return store.Link{}, fmt.Errorf("edit %q: too many concurrent edits: %w", c.code, store.ErrUnavailable)
}

// applied returns the link after the change. write reports whether the link must be written.
func (s *Service) applied(ctx context.Context, c *change) (changed store.Link, write bool, err error) {
	var refused error
	for _, get := range s.readers() {
		l, err := s.read(ctx, c.who, c.do, get, c.code)
		if err != nil {
			return store.Link{}, false, err
		}
		if refused = c.refuses(&l); refused != nil {
			continue
		}
		changed = l
		if err := c.apply(&changed); err != nil {
			return store.Link{}, false, err
		}
		if !reflect.DeepEqual(l, changed) {
			return changed, true, nil
		}
	}
	return changed, false, refused
}

// refuses returns store.ErrGone or store.ErrVersion if the link must not be changed.
func (c *change) refuses(l *store.Link) error {
	switch {
	case !l.DeletedAt.IsZero():
		return store.ErrGone
	case !c.versions.allow(l.Version):
		return store.ErrVersion
	}
	return nil
}
