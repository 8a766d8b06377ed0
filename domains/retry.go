package domains

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/terse/terse/store"
)

// The interval between two verifications of a domain grows with the time since its last change.
const (
	firstInterval = 10 * time.Second
	lastInterval  = 10 * time.Minute
	patience      = 30 // the interval is the time since the last change, divided by this number
)

const (
	claimName    = "domains"
	claimTTL     = time.Minute
	claimTimeout = 2 * time.Second
	retryTimeout = 30 * time.Second // of one verification
)

// Run retries the verification of domains with unverified hosts, until ctx ends. Only one process
// at a time does this work.
func (s *Service) Run(ctx context.Context) {
	r := retrier{s: s, holder: rand.Text(), tried: map[string]time.Time{}}
	defer r.release(ctx)
	tick := time.NewTicker(s.opts.Retry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.round(ctx)
		}
	}
}

// retrier is the state of Run.
type retrier struct {
	s      *Service
	holder string
	tried  map[string]time.Time // by the ID of the domain
	held   bool                 // whether this process has had the claim
	failed bool                 // whether the previous round failed
}

// round verifies the domains that are due.
func (r *retrier) round(ctx context.Context) {
	due := r.due()
	if len(due) == 0 || !r.claim(ctx) {
		return
	}
	keys, err := r.s.opts.Keys.ListKeys(ctx)
	if err != nil {
		r.report(ctx, err)
		return
	}
	admins := map[string]bool{} // by owner: whether every key of the owner is an admin key
	for i := range keys {
		before, known := admins[keys[i].Owner()]
		admins[keys[i].Owner()] = keys[i].Can(store.ScopeAdmin) && (before || !known)
	}
	var verifying sync.WaitGroup
	errs := make([]error, len(due))
	for i, d := range due {
		r.tried[d.ID] = r.s.opts.now()
		verifying.Go(func() { errs[i] = r.verify(ctx, d, admins[d.Owner]) })
	}
	verifying.Wait()
	r.report(ctx, errors.Join(errs...))
}

// report logs the first failure in a row.
func (r *retrier) report(ctx context.Context, err error) {
	if err != nil && !r.failed && ctx.Err() == nil {
		r.s.opts.Logger.WarnContext(ctx, "domains could not be verified, retrying", "err", err)
	}
	r.failed = err != nil
}

// maxRound is the largest number of domains that a round verifies.
const maxRound = 64

// due returns the domains to verify now.
func (r *retrier) due() []*Domain {
	now := r.s.opts.now()
	var due []*Domain
	known := map[string]bool{}
	for _, d := range r.s.opts.Map.All() {
		if d.State != store.DomainPending && d.State != store.DomainActive || len(d.unverified()) == 0 {
			continue
		}
		known[d.ID] = true
		if len(due) < maxRound && !now.Before(r.tried[d.ID].Add(interval(d, now))) {
			due = append(due, d)
		}
	}
	for id := range r.tried {
		if !known[id] {
			delete(r.tried, id)
		}
	}
	return due
}

// interval returns the time between two verifications of d.
func interval(d *Domain, now time.Time) time.Duration {
	changed := d.UpdatedAt
	for _, h := range d.Hosts {
		if h.VerifiedAt.IsZero() && h.ClaimedAt.After(changed) {
			changed = h.ClaimedAt
		}
	}
	return min(max(now.Sub(changed)/patience, firstInterval), lastInterval)
}

// verify verifies a domain as it is in the database now.
func (r *retrier) verify(ctx context.Context, known *Domain, vouched bool) error {
	ctx, cancel := context.WithTimeout(ctx, retryTimeout)
	defer cancel()
	d, err := r.s.registry.Get(ctx, known.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case len(d.unverified()) == 0 || d.State != store.DomainPending && d.State != store.DomainActive:
		return nil
	}
	_, _, err = r.s.verify(ctx, d, vouched)
	return err
}

// claim reports whether this process does the work. If a database is unreachable, the next one
// decides; two processes may then do the same work, which is harmless.
func (r *retrier) claim(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	for _, c := range r.s.opts.Claimers {
		_, err := c.ClaimScan(ctx, claimName, r.holder, claimTTL)
		if err == nil || errors.Is(err, store.ErrBusy) {
			r.held = r.held || err == nil
			return err == nil
		}
	}
	return len(r.s.opts.Claimers) == 0
}

// release gives up the claims, so that another process can continue at once.
func (r *retrier) release(ctx context.Context) {
	if !r.held {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTimeout)
	defer cancel()
	for _, c := range r.s.opts.Claimers {
		_, _ = c.ClaimScan(ctx, claimName, r.holder, 0) // after a failure, the claim expires
	}
}
