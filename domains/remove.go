package domains

import (
	"context"
	"errors"
	"slices"

	"github.com/terse/terse/store"
)

// Remove removes a domain. host must be its primary host. The domain keeps its ID, its hosts and
// its links. The links no longer redirect, and only the owner can add the domain again. If the
// domain has links, the error is an *InUseError unless force is set. A domain without a verified
// host and without links keeps nothing: its hosts are free. versions are as in Edit.
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
	claimOnly := d.VerifiedAt.IsZero() && len(d.unverified()) == len(d.names())
	if !force || claimOnly {
		err := s.checkUnused(ctx, &d)
		_, inUse := errors.AsType[*InUseError](err)
		if err != nil && (!inUse || !force) {
			return err
		}
		claimOnly = claimOnly && !inUse
	}
	if claimOnly {
		err = s.registry.discard(ctx, &d)
	} else {
		d.State = store.DomainRemoved
		_, err = s.registry.Update(ctx, d.Domain)
	}
	if conflicts(err) {
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
