package domains

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/terse/terse/store"
)

// Addition is a domain to add.
type Addition struct {
	Host    string   // the primary host
	Aliases []string // further hosts
	Settings

	// Verified adds the domain as active, without verification. It also takes hosts over from
	// other owners. Only an admin may set it.
	Verified bool

	Err error // invalid fields that were found before the call; reported with the others
}

// Add adds a domain. It is pending until its primary host is verified, see Verify. If the caller
// removed a domain with this host before, Add restores that domain with its ID, its hosts and its
// links. For a host of another domain, or under its verified wildcard host, the error is a
// *ClaimedError. If the TXT record proves that the host belongs to the caller, the caller gets the
// host, but not the links of the other domain. The error is ErrChanged if other calls change the
// domain all the time.
func (s *Service) Add(ctx context.Context, who Caller, a Addition) (Domain, error) {
	if err := s.MayWrite(who); err != nil {
		return Domain{}, err
	}
	if a.Err != nil && !store.IsInvalid(a.Err) {
		return Domain{}, a.Err
	}
	for range editAttempts {
		d, err := s.addOnce(ctx, who, &a)
		if !conflicts(err) {
			return d, err
		}
	}
	return Domain{}, ErrChanged
}

// conflicts reports whether an operation failed because another one has changed its domain in the
// meantime.
func conflicts(err error) bool {
	return errors.Is(err, store.ErrVersion) || errors.Is(err, store.ErrNotFound) && !errors.Is(err, ErrUnknown)
}

func (s *Service) addOnce(ctx context.Context, who Caller, a *Addition) (Domain, error) {
	names, err := s.parseHosts(a.Host, a.Aliases)
	d := store.Domain{Host: names.primary, Owner: who.Owner()}
	if err := store.JoinFound(a.Err, err, s.apply(&a.Settings, &d, names.all), mayVerify(who, a.Verified)); err != nil {
		return Domain{}, err
	}
	if a.Verified {
		d.State, d.VerifiedAt = store.DomainActive, s.opts.now()
	}
	proved, err := s.prove(ctx, who, names.all, a.Verified)
	if err != nil {
		return Domain{}, err
	}
	if !isAdmin(who) {
		select {
		case s.adding <- struct{}{}:
			defer func() { <-s.adding }()
		case <-ctx.Done():
			return Domain{}, ctx.Err()
		}
		n, err := s.count(ctx, who)
		if err == nil && n >= s.opts.PerOwner {
			err = s.tooMany(n)
		}
		if err != nil {
			return Domain{}, err
		}
	}
	removed, err := s.free(ctx, who, names, proved)
	if err != nil {
		return Domain{}, err
	}
	defer s.refresh(ctx)
	if removed != nil {
		restored, err := s.restore(ctx, removed, d, a, names)
		if err != nil {
			return restored, err
		}
		return restored, s.checkAdded(ctx, who, &restored, true)
	}
	if d.ID, err = s.opts.Minter.NextCode(); err != nil {
		return Domain{}, fmt.Errorf("%w: mint the id of a domain: %w", store.ErrUnavailable, err)
	}
	added, err := s.registry.Add(ctx, d, names.all[1:]...)
	if err != nil {
		return Domain{}, s.taken(who.Owner(), err)
	}
	return added, s.checkAdded(ctx, who, &added, false)
}

// mayVerify returns a *store.FieldError if a caller who is no admin wants to add hosts as verified.
func mayVerify(who Caller, verified bool) error {
	if verified && !isAdmin(who) {
		return &store.FieldError{Field: "verified", Reason: "needs an admin key"}
	}
	return nil
}

// checkAdded removes the domain d again if the caller now has more domains than allowed, because
// another process added one at the same time. Then it returns a *store.FieldError. Both processes
// may do so. If the domains cannot be counted, d stays.
func (s *Service) checkAdded(ctx context.Context, who Caller, d *Domain, restored bool) error {
	if isAdmin(who) {
		return nil
	}
	n, err := s.count(ctx, who)
	if err != nil || n <= s.opts.PerOwner {
		return nil
	}
	if restored {
		d.State = store.DomainRemoved
		_, err = s.registry.Update(ctx, d.Domain)
	} else {
		err = s.registry.discard(ctx, d)
	}
	if err != nil {
		return err
	}
	return s.tooMany(n - 1)
}

// tooMany returns the error for the addition of a domain by a caller who has n domains.
func (s *Service) tooMany(n int) error {
	return &store.FieldError{Field: "host", Reason: fmt.Sprintf("must not be added: you have %d domains, and the limit is %d. Remove one, or ask an administrator", n, s.opts.PerOwner)}
}

// count returns how many domains the caller has, removed ones not counted.
func (s *Service) count(ctx context.Context, who Caller) (n int, err error) {
	all, err := readAll(func(after string) ([]store.Domain, error) { return s.opts.Store.ListDomains(ctx, after, pageLen) },
		func(d *store.Domain) string { return d.ID })
	if err != nil {
		return 0, err
	}
	for i := range all {
		if all[i].Owner == who.Owner() && all[i].State != store.DomainRemoved && !buried(&all[i]) {
			n++
		}
	}
	return n, nil
}

// prove returns the hosts that the caller may take from other owners. If vouched is true, these
// are all hosts. Otherwise they need the TXT record. prove ends at the first host without it.
func (s *Service) prove(ctx context.Context, who Caller, names []string, vouched bool) (proved []string, err error) {
	if vouched {
		return names, nil
	}
	for _, name := range names {
		claim, _, err := s.holder(ctx, who, name)
		switch {
		case err != nil:
			return nil, err
		case claim == nil:
			continue
		case !s.probes.txt(ctx, s.txt(who.Owner(), name)).OK:
			return proved, nil
		}
		proved = append(proved, name)
	}
	return proved, nil
}

// free makes the hosts free for the caller. proved is the result of prove. If a removed domain of the caller has the primary
// host, free returns it. It changes nothing if one of the hosts cannot become free.
func (s *Service) free(ctx context.Context, who Caller, names hosts, proved []string) (removed *Domain, err error) {
	var foreign []store.DomainHost
	for _, name := range names.all {
		claim, own, err := s.holder(ctx, who, name)
		switch {
		case err != nil:
			return nil, err
		case own != nil && own.State == store.DomainRemoved && name == names.primary:
			removed = own
		case own != nil && (removed == nil || own.ID != removed.ID):
			return nil, &ClaimedError{Host: name, Own: own.Host}
		case claim != nil && !slices.Contains(proved, name):
			record := s.txt(who.Owner(), name)
			return nil, &ClaimedError{Host: name, TXT: &record}
		case claim != nil && claim.Host == name:
			foreign = append(foreign, *claim)
		}
	}
	for _, claim := range foreign {
		if err := s.registry.Evict(ctx, claim.DomainID, claim.Host); err != nil {
			return nil, err
		}
		s.opts.Logger.InfoContext(ctx, "host was taken over by its proved owner", "host", claim.Host, "from", claim.Owner, "by", who.Owner())
	}
	return removed, nil
}

// holder returns the claim on a host if it belongs to another owner, and the domain if it belongs
// to the caller. For a host without a claim, it returns the claim on the verified wildcard host
// of another owner that applies to it. Both are nil for a free host.
func (s *Service) holder(ctx context.Context, who Caller, name string) (foreign *store.DomainHost, own *Domain, err error) {
	claim, err := s.opts.Store.Host(ctx, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		claim, err = s.opts.Store.Host(ctx, wildcardOf(name))
		if errors.Is(err, store.ErrNotFound) || err == nil && (claim.Owner == who.Owner() || claim.VerifiedAt.IsZero()) {
			return nil, nil, nil
		}
		return &claim, nil, err
	case err != nil:
		return nil, nil, err
	case claim.Owner != who.Owner():
		return &claim, nil, nil
	}
	d, err := s.registry.Get(ctx, claim.DomainID)
	if errors.Is(err, store.ErrNotFound) { // the registry recovers the claim
		return nil, nil, nil
	}
	return nil, &d, err
}

// taken turns the error of the registry for a host that was claimed in the meantime into a
// *ClaimedError.
func (s *Service) taken(owner string, err error) error {
	taken, ok := errors.AsType[*TakenError](err)
	if !ok {
		return err
	}
	if taken.Owner == owner {
		return &ClaimedError{Host: taken.Host, Own: taken.Host}
	}
	record := s.txt(owner, taken.Host)
	return &ClaimedError{Host: taken.Host, TXT: &record}
}

// restore makes a removed domain pending again, or active if the addition is verified. The domain
// keeps its hosts and its settings, except for the changes of the addition.
func (s *Service) restore(ctx context.Context, removed *Domain, as store.Domain, a *Addition, names hosts) (Domain, error) {
	d := removed.Domain
	for _, name := range names.all {
		if _, err := s.registry.AddHost(ctx, d.ID, name); err != nil {
			return Domain{}, s.taken(as.Owner, err)
		}
	}
	d.Host, d.State, d.VerifiedAt = as.Host, as.State, as.VerifiedAt
	if err := s.apply(&a.Settings, &d, names.all); err != nil {
		return Domain{}, err
	}
	// The DNS may have changed since the hosts were verified.
	for _, h := range removed.Hosts {
		h.VerifiedAt = as.VerifiedAt
		if err := s.opts.Store.UpdateHost(ctx, d.ID, h); err != nil {
			return Domain{}, err
		}
	}
	restored, err := s.registry.Update(ctx, d)
	if err != nil {
		return Domain{}, s.taken(as.Owner, err)
	}
	all := Domain{Domain: restored}
	if all.Hosts, err = s.opts.Store.HostsOf(ctx, d.ID); err != nil || !a.Verified {
		return all, err
	}
	return all, s.markVerified(ctx, &all, names.all...)
}

// markVerified records that hosts of a domain are verified.
func (s *Service) markVerified(ctx context.Context, d *Domain, names ...string) error {
	for i := range d.Hosts {
		h := &d.Hosts[i]
		if !slices.Contains(names, h.Host) || !h.VerifiedAt.IsZero() {
			continue
		}
		h.VerifiedAt = s.opts.now()
		if err := s.registry.verify(ctx, d.ID, *h); err != nil {
			return err
		}
	}
	return nil
}
