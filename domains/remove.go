package domains

import (
	"context"
	"errors"
	"slices"

	"github.com/terse/terse/store"
)

// Remove removes a domain. host must be its primary host. The domain keeps its ID, its hosts and
// its links. The links no longer redirect, and only the owner can add the domain again. If the
// domain has links, the error is an *InUseError unless force is set. versions are as in Edit.
func (s *Service) Remove(ctx context.Context, who Caller, host string, versions []int64, force bool) error {
	if err := s.MayWrite(who); err != nil {
		return err
	}
	d, err := s.change(ctx, who, host)
	if err != nil {
		return err
	}
	if name, err := store.ParseDomainHost(host); err == nil && name != d.Host {
		return &store.FieldError{Field: "host", Reason: "is an alias of " + d.Host + ". Remove the domain by that name, or only the alias by an edit of aliases"}
	}
	if versions != nil && !slices.Contains(versions, d.Version) {
		return ErrChanged
	}
	if !force {
		if err := s.checkUnused(ctx, &d); err != nil {
			return err
		}
	}
	d.State = store.DomainRemoved
	if _, err = s.registry.Update(ctx, d.Domain); errors.Is(err, store.ErrVersion) {
		err = ErrChanged
	}
	s.refresh(ctx)
	return err
}

// checkUnused returns an *InUseError if the domain has a link that is not deleted.
func (s *Service) checkUnused(ctx context.Context, d *Domain) error {
	q := store.Query{AllOwners: true, Domain: &d.ID, Limit: 1}
	for {
		page, err := s.opts.Links.List(ctx, q)
		if err != nil {
			return err
		}
		if len(page.Unavailable) > 0 {
			return store.ErrUnavailable
		}
		if len(page.Links) > 0 {
			return &InUseError{Host: d.Host}
		}
		if q.After = page.Next; q.After.IsZero() {
			return nil
		}
	}
}
