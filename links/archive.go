package links

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// Export returns a page of the links of all owners, with every field. next is the cursor of
// the next page, and empty on the last page. A page ends early as in List. For an invalid cursor Export returns a
// *store.FieldError for "cursor".
func (s *Service) Export(ctx context.Context, who *Caller, cursor string, limit int) (links []store.Link, next string, err error) {
	if err := s.May(who, Archiving); err != nil {
		return nil, "", err
	}
	if cursor != "" && !store.ValidKey(cursor) {
		return nil, "", store.ErrCursor
	}
	links, err = s.opts.Archive.Export(ctx, cursor, limit)
	n := fitting(links)
	if err == nil && (n < len(links) || n == limit) {
		links = links[:n]
		next = links[n-1].Code
	}
	return links, next, err
}

// Archived is a link to import, with every field. Only the code and the target are required.
type Archived struct {
	// Link is the link, without the fields below. Its code has no domain. Status 0 means
	// store.DefaultStatus, Version 0 means 1.
	Link store.Link

	Domain      string     // a host of the domain; empty: the default domain of the server
	Owner       *string    // nil: the caller
	CreatedAt   *time.Time // nil: DeletedAt of a deleted link, now for others
	UpdatedAt   *time.Time // nil: DeletedAt of a deleted link, CreatedAt for others
	LastClickAt *time.Time // nil: CreatedAt if there are clicks

	// RenamedTo is the RenamedTo of the link on the exporting server. Link.URL is the short URL
	// of this code there, and becomes the one of this server. Default: no rename.
	RenamedTo string

	Rules []rules.Rule // of the link; Link.Rules is ignored

	Err error // see Draft.Err
}

// Import creates links with every field and returns one result for each, in the same order.
// Importing the same links again changes nothing: Result.Found is then true. If links have the
// same code, the first one is imported, see inTurns. With dryRun it imports nothing, and returns
// the results that an import would have now. Import may change archived, and itself returns only errors of May.
func (s *Service) Import(ctx context.Context, who *Caller, archived []Archived, dryRun bool) ([]Result, error) {
	if err := s.May(who, Archiving); err != nil {
		return nil, err
	}
	results := make([]Result, len(archived))
	for i := range archived {
		in := &archived[i]
		var d store.Domain
		var unknown error
		if in.Domain != "" {
			d, unknown = s.named(in.Domain)
		}
		if !store.ValidCode(in.Link.Code) {
			in.Link.Code = "" // no key
		}
		in.Link.Code, in.Err = store.LinkKey(d.ID, in.Link.Code), store.JoinFound(in.Err, unknown)
	}
	code := func(i int) string { return archived[i].Link.Code }
	write := s.opts.Archive.Import
	if dryRun {
		write = func(ctx context.Context, l store.Link) (store.Link, error) { return l, s.checkFree(ctx, l.Code) }
	}
	inTurns(results, code, func(i int) (r Result) {
		r.Link, r.Found, r.Err = s.importOne(ctx, who, &archived[i], write)
		return r
	})
	if dryRun {
		refuseRepeated(results, code)
	}
	return results, nil
}

// importOne imports one link by write. found reports that an equal link existed before.
func (s *Service) importOne(ctx context.Context, who *Caller, in *Archived, write func(context.Context, store.Link) (store.Link, error)) (l store.Link, found bool, err error) {
	want, err := s.archivedLink(who, in)
	if err != nil {
		return store.Link{}, false, err
	}
	l, err = write(ctx, want)
	if !errors.Is(err, store.ErrExists) {
		return l, false, err
	}
	have, getErr := s.opts.Store.Confirm(ctx, want.Code)
	switch {
	case getErr != nil:
		return store.Link{}, false, getErr
	case in.CreatedAt == nil: // archivedLink used the time of this request
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

// sameArchived reports whether have equals want. It ignores the clicks, which may have
// changed since the import, and the request id, which imports do not set.
func sameArchived(have, want store.Link) bool {
	for _, l := range []*store.Link{&have, &want} {
		l.RequestID, l.Clicks, l.Robots, l.LastClickAt, l.UsedClicks = "", 0, 0, time.Time{}, 0
	}
	return reflect.DeepEqual(have, want)
}

// archivedLink returns the link that in describes. The error names every invalid field.
func (s *Service) archivedLink(who *Caller, in *Archived) (store.Link, error) {
	if in.Err != nil && !store.IsInvalid(in.Err) {
		return store.Link{}, in.Err
	}
	now := s.now()
	l := in.Link
	l.Version = max(1, l.Version)
	if l.Status == 0 {
		l.Status = store.DefaultStatus
	}
	l.Owner = who.Owner()
	set(&l.Owner, in.Owner)
	l.CreatedAt = cmp.Or(l.DeletedAt, now)
	set(&l.CreatedAt, in.CreatedAt)
	l.UpdatedAt = cmp.Or(l.DeletedAt, l.CreatedAt)
	set(&l.UpdatedAt, in.UpdatedAt)
	l.LastClickAt = time.Time{}
	set(&l.LastClickAt, in.LastClickAt)
	if !l.DeletedAt.IsZero() {
		l = l.Remains()
	}
	if l.Clicks > 0 && in.LastClickAt == nil {
		l.LastClickAt = l.CreatedAt
	}
	if err := s.checkArchived(&l, in, now); err != nil {
		return store.Link{}, err
	}
	return l, nil
}
