package links

import (
	"context"
	"time"

	"github.com/terse/terse/store"
)

// Get returns a link with the changes of all acknowledged writes. It returns store.ErrGone for
// a deleted link.
func (s *Service) Get(ctx context.Context, who *Caller, code string) (store.Link, error) {
	l, err := s.read(ctx, who, Reading, s.opts.Store.Get, code)
	if err == nil && !l.DeletedAt.IsZero() {
		err = store.ErrGone
	}
	return l, err
}

// AllOwners is the Query.Owner that selects the links of every owner.
const AllOwners = "*"

// Query selects links for List. A link must meet all conditions.
type Query struct {
	Owner  *string // links of this owner, or AllOwners; nil: the caller's links
	Domain string  // links on the domain of this host; empty: on all domains
	Tag    string  // links with this tag; empty for any
	Search string  // links with this text in the code (without its domain), target or title, ignoring ASCII case; empty for any
	Limit  int     // maximum number of links in the page, see store.Query
	Cursor string  // store.Page.Next of the previous page as text; empty for the first page

	CreatedFrom time.Time    // links created at this time or later; the zero time for any
	CreatedTo   time.Time    // links created before this time; the zero time for any
	State       *store.State // links with this state now; nil for any
}

// List returns the links that match q, newest first. A page ends early when its links are long,
// see maxPageBytes. Only a caller with store.ScopeAdmin may list the links of others. For an
// invalid cursor List returns a *store.FieldError for "cursor".
func (s *Service) List(ctx context.Context, who *Caller, q Query) (store.Page, error) {
	if err := s.May(who, Reading); err != nil {
		return store.Page{}, err
	}
	after, err := store.ParseCursor(q.Cursor)
	if err != nil {
		return store.Page{}, err
	}
	query := store.Query{
		Owner: who.Owner(), Tag: q.Tag, Search: q.Search, Limit: q.Limit, After: after,
		CreatedFrom: q.CreatedFrom, CreatedTo: q.CreatedTo, State: q.State, Now: s.now(),
	}
	if q.Domain != "" {
		d, err := s.namedFor(who, q.Domain)
		if err != nil {
			return store.Page{}, err
		}
		query.Domain = &d.ID
	}
	if q.Owner != nil && *q.Owner != query.Owner {
		if err := who.Require(store.ScopeAdmin); err != nil {
			return store.Page{}, err
		}
		if query.Owner = *q.Owner; query.Owner == AllOwners {
			query.Owner, query.AllOwners = "", true
		}
	}
	page, err := s.opts.Store.List(ctx, query)
	if n := fitting(page.Links); n < len(page.Links) {
		page.Links = page.Links[:n]
		page.Next = store.Cursor{CreatedAt: page.Links[n-1].CreatedAt, Code: page.Links[n-1].Code}
	}
	return page, err
}

// maxPageBytes is the size of a page of links above which the page ends, in bytes of text. A
// page of 1000 links with the longest targets would have more than 8 MB.
const maxPageBytes = 1 << 20

// fitting returns how many of the links fit into a page, at least one.
func fitting(links []store.Link) int {
	size := 0
	for i := range links {
		l := &links[i]
		size += len(l.URL) + len(l.Title) + len(l.DisabledReason) + len(l.Rules)
		for _, tag := range l.Tags {
			size += len(tag)
		}
		if size > maxPageBytes && i > 0 {
			return i
		}
	}
	return len(links)
}

// reader reads one link: the store's Get, or its Confirm.
type reader func(ctx context.Context, code string) (store.Link, error)

// readers returns the two ways to read a link before a write: Get, then Confirm. Get may
// return data that a failover can still lose. When Get finds nothing to write, the link is
// read again with Confirm, and the answer is based on Confirm.
func (s *Service) readers() []reader { return []reader{s.opts.Store.Get, s.opts.Store.Confirm} }

// read returns a link or tombstone if the caller may do the action and may see the link.
func (s *Service) read(ctx context.Context, who *Caller, do Action, get reader, code string) (store.Link, error) {
	if err := s.May(who, do); err != nil {
		return store.Link{}, err
	}
	if !store.ValidKey(code) {
		return store.Link{}, store.ErrNotFound
	}
	l, err := get(ctx, code)
	switch {
	case err != nil:
		return store.Link{}, err
	case !who.Sees(&l):
		return store.Link{}, store.ErrNotFound
	}
	return l, nil
}

// ListTags returns a page of the tags of an owner's links, sorted bytewise. owner is as in Query, but
// not AllOwners: a tag belongs to one owner. after and limit are as in store.TagQuery.
func (s *Service) ListTags(ctx context.Context, who *Caller, owner *string, after string, limit int) (store.TagPage, error) {
	if err := s.May(who, Reading); err != nil {
		return store.TagPage{}, err
	}
	q := store.TagQuery{Owner: who.Owner(), After: after, Limit: limit}
	if owner != nil && *owner != q.Owner {
		if err := who.Require(store.ScopeAdmin); err != nil {
			return store.TagPage{}, err
		}
		q.Owner = *owner
	}
	if q.Owner == AllOwners {
		return store.TagPage{}, &store.FieldError{Field: "owner", Reason: "must be one owner"}
	}
	return s.opts.Tags.ListTags(ctx, q)
}
