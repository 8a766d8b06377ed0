package domains

import (
	"context"
	"errors"
	"sync"

	"github.com/terse/terse/store"
)

// Verify checks the hosts of a domain that are not verified. If all are verified, it checks all of
// them. It returns the domain after the checks. A host is verified when all its checks succeed. A
// pending domain becomes active when its primary host is verified. A failed check changes nothing.
//
// For a caller who is no admin, the TXT record of each host must prove the owner. It is checked
// first: no request is sent to the host of another owner.
func (s *Service) Verify(ctx context.Context, who Caller, host string) (Domain, []Check, error) {
	if err := s.MayWrite(who); err != nil {
		return Domain{}, nil, err
	}
	d, err := s.change(ctx, who, host)
	if err != nil {
		return Domain{}, nil, err
	}
	return s.verify(ctx, d, isAdmin(who))
}

// verify is Verify for a domain. If vouched is true, no TXT record is needed.
func (s *Service) verify(ctx context.Context, d Domain, vouched bool) (Domain, []Check, error) {
	select {
	case s.checking <- struct{}{}:
		defer func() { <-s.checking }()
	case <-ctx.Done():
		return Domain{}, nil, ctx.Err()
	}
	pending := d.unverified()
	if len(pending) == 0 {
		pending = d.names()
	}
	results := make([][]Check, len(pending))
	var checks sync.WaitGroup
	for i, name := range pending {
		checks.Go(func() { results[i] = s.checkHost(ctx, &d, name, vouched) })
	}
	checks.Wait()
	var (
		all    []Check
		proved []string
	)
	for i, name := range pending {
		all = append(all, results[i]...)
		if passed(results[i]) {
			proved = append(proved, name)
			s.metrics.right.Inc()
		} else {
			s.metrics.wrong.Inc()
		}
	}
	d, err := s.accept(ctx, d, proved)
	return d, all, err
}

// checkHost checks one host.
func (s *Service) checkHost(ctx context.Context, d *Domain, name string, vouched bool) []Check {
	var checks []Check
	if !vouched {
		proof := s.probes.txt(ctx, s.txt(d.Owner, name))
		if checks = append(checks, proof); !proof.OK {
			return checks
		}
	}
	token, answer := s.secrets.challenge(d.ID, name)
	return append(checks, s.probes.host(ctx, s.address(name), token, answer)...)
}

// passed reports whether all checks succeeded.
func passed(checks []Check) bool {
	for i := range checks {
		if !checks[i].OK {
			return false
		}
	}
	return true
}

// accept records that hosts of a domain are verified, and activates the domain.
func (s *Service) accept(ctx context.Context, d Domain, names []string) (Domain, error) {
	if len(names) == 0 {
		return d, nil
	}
	defer s.refresh(ctx)
	if err := s.markVerified(ctx, &d, names...); errors.Is(err, store.ErrNotFound) { // another owner has the host now
		return Domain{}, ErrChanged
	} else if err != nil {
		return Domain{}, err
	}
	for range editAttempts {
		if !d.VerifiedAt.IsZero() || !d.verified(d.Host) {
			return d, nil
		}
		activated := d.Domain
		activated.VerifiedAt = s.opts.now()
		if activated.State == store.DomainPending {
			activated.State = store.DomainActive
		}
		activated, err := s.registry.Update(ctx, activated)
		switch {
		case err == nil:
			d.Domain = activated
			s.opts.Logger.InfoContext(ctx, "domain is verified", "host", d.Host, "owner", d.Owner)
			return d, nil
		case !errors.Is(err, store.ErrVersion):
			return Domain{}, err
		}
		if d, err = s.registry.Get(ctx, d.ID); err != nil {
			return Domain{}, err
		}
	}
	return Domain{}, ErrChanged
}

// unverified returns the hosts of the domain that are not verified, the primary one first.
func (d *Domain) unverified() []string {
	var names []string
	for _, name := range d.names() {
		if !d.verified(name) {
			names = append(names, name)
		}
	}
	return names
}
