package links

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/store"
)

// parallelReads is how many links of one call are read at the same time.
const parallelReads = 16

// MayCount checks for each key whether the caller may read the statistics of the link. The errors
// are in the order of keys, nil if the caller may. An error for a link is store.ErrNotFound,
// store.ErrGone or store.ErrUnavailable. Links may come from a cache.
func (s *Service) MayCount(ctx context.Context, who *Caller, keys []string) ([]error, error) {
	if err := s.May(who, Counting); err != nil {
		return nil, err
	}
	errs := make([]error, len(keys))
	var group errgroup.Group
	group.SetLimit(parallelReads)
	for i, key := range keys {
		group.Go(func() error {
			l, err := s.read(ctx, who, Counting, s.opts.Store.Resolve, key)
			if err == nil && !l.DeletedAt.IsZero() {
				err = store.ErrGone
			}
			errs[i] = err
			return nil
		})
	}
	_ = group.Wait() // every link has its own error
	return errs, nil
}

// MayReset checks whether the caller may set the clicks of the link to zero. The error is that of
// Delete.
func (s *Service) MayReset(ctx context.Context, who *Caller, key string) error {
	l, err := s.read(ctx, who, Editing, s.opts.Store.Get, key)
	if err == nil && !l.DeletedAt.IsZero() {
		err = store.ErrGone
	}
	return err
}

// ClickSet selects links. Their clicks are added up. A link must meet all conditions.
type ClickSet struct {
	Owner  *string // links of this owner, or AllOwners for all links; nil: the caller's links
	Domain string  // links on the domain of this host; empty: on all domains
	Tag    string  // links with this tag; empty for any
}

// Stored returns the kind and the key of the stored days of a set. Only a caller with
// store.ScopeAdmin may name other owners. Domain and Tag cannot be combined, and neither can
// be combined with AllOwners: the store has no days of such sets.
func (s *Service) Stored(who *Caller, set ClickSet) (kind store.ClickKind, key string, err error) {
	if err := s.May(who, Counting); err != nil {
		return 0, "", err
	}
	owner := who.Owner()
	if set.Owner != nil && *set.Owner != owner {
		if err := who.Require(store.ScopeAdmin); err != nil {
			return 0, "", err
		}
		owner = *set.Owner
	}
	switch {
	case set.Domain != "" && set.Tag != "":
		return 0, "", &store.FieldError{Field: "tag", Reason: "cannot be combined with domain"}
	case set.Owner != nil && owner == AllOwners && set.Domain != "":
		return 0, "", &store.FieldError{Field: "domain", Reason: "needs one owner"}
	case set.Owner != nil && owner == AllOwners && set.Tag != "":
		return 0, "", &store.FieldError{Field: "tag", Reason: "needs one owner"}
	case set.Owner != nil && owner == AllOwners:
		return store.ClickAll, "", nil
	case set.Tag != "":
		return store.ClickTag, store.ClickTagKey(owner, set.Tag), nil
	case set.Domain == "":
		return store.ClickOwner, owner, nil
	}
	d, err := s.namedFor(who, set.Domain)
	return store.ClickDomain, store.ClickDomainKey(owner, d.ID), err
}
