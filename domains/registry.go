package domains

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// ErrPrimaryHost is the error for removing the primary host of a domain.
var ErrPrimaryHost = errors.New("the primary host of a domain cannot be removed")

// TakenError is the error for a host that another domain has. It wraps store.ErrExists.
type TakenError struct {
	Host     string
	DomainID string // of the domain that has it
	Owner    string // of that domain when it claimed the host
}

func (e *TakenError) Error() string { return fmt.Sprintf("host %q: another domain has it", e.Host) }

// Unwrap returns store.ErrExists.
func (e *TakenError) Unwrap() error { return store.ErrExists }

// Registry adds and changes domains. A domain and its hosts are in several databases, so an
// operation is several writes, and the process may die between two of them. Hosts are claimed
// before the domain is written. A claim without a domain is recovered when its owner claims the
// host again. Safe for concurrent use, also by several processes.
type Registry struct {
	store store.Domains
	now   func() time.Time
}

// NewRegistry returns a Registry over a store. now is the time of the database.
func NewRegistry(s store.Domains, now func() time.Time) *Registry { return &Registry{s, now} }

// Add claims the hosts of a new domain and adds it. The caller has minted d.ID. hosts are the
// hosts besides the primary one, d.Host. CreatedAt and UpdatedAt become the present time. Add
// returns a *store.FieldError for an invalid host, and a *TakenError if another domain, even a
// removed one, has one of the hosts. It then claims no host. The error is ErrChanged if another
// call takes a host at the same time. The hosts of a domain that is added as active are verified.
// After an outage, Add may be repeated with another ID.
func (r *Registry) Add(ctx context.Context, d store.Domain, hosts ...string) (Domain, error) {
	verified := time.Time{}
	if d.State == store.DomainActive {
		verified = r.now()
	}
	names := append([]string{d.Host}, hosts...)
	for i := range names {
		name, err := store.ParseDomainHost(names[i])
		if err != nil {
			return Domain{}, err
		}
		names[i] = name
	}
	d.Host, d.CreatedAt = names[0], r.now()
	d.UpdatedAt = d.CreatedAt
	var all Domain
	for i, name := range names {
		h, err := r.claim(ctx, &d, name, verified)
		if err != nil {
			r.release(ctx, d.ID, names[:i])
			return Domain{}, err
		}
		all.Hosts = append(all.Hosts, h)
	}
	var err error
	if all.Domain, err = r.store.AddDomain(ctx, d); errors.Is(err, store.ErrExists) { // see abandoned
		r.release(ctx, d.ID, names)
		err = ErrChanged
	}
	sortHosts(all.Hosts)
	return all, err
}

// releaseTimeout limits the release of hosts after a failed Add.
const releaseTimeout = 5 * time.Second

// release releases the hosts of a domain that does not exist. A claim that stays because of a
// failure is recovered later.
func (r *Registry) release(ctx context.Context, id string, names []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	for _, name := range names {
		_ = r.store.ReleaseHost(ctx, name, id)
	}
}

// claimAttempts is how often claim tries again because another process changed the claim in the
// meantime.
const claimAttempts = 3

// claim claims a host for a domain, and returns the claim.
func (r *Registry) claim(ctx context.Context, d *store.Domain, host string, verified time.Time) (store.DomainHost, error) {
	h := store.DomainHost{Host: host, DomainID: d.ID, Owner: d.Owner, ClaimedAt: r.now(), VerifiedAt: verified}
	if !verified.IsZero() {
		if err := r.uncover(ctx, d.ID, host); err != nil {
			return store.DomainHost{}, err
		}
	}
	for range claimAttempts {
		standing, err := r.store.ClaimHost(ctx, h)
		if err != nil || standing.DomainID == d.ID {
			return standing, err
		}
		taken := &TakenError{Host: host, DomainID: standing.DomainID, Owner: standing.Owner}
		if standing.Owner != d.Owner {
			return store.DomainHost{}, taken
		}
		gone, err := r.abandoned(ctx, standing.DomainID)
		if err != nil {
			return store.DomainHost{}, err
		}
		if !gone {
			return store.DomainHost{}, taken
		}
		if err := r.store.UpdateHost(ctx, standing.DomainID, h); !errors.Is(err, store.ErrNotFound) {
			return h, err
		}
	}
	return store.DomainHost{}, fmt.Errorf("host %q: %w: its claim changes all the time", host, store.ErrUnavailable)
}

// verify records that a host of a domain is verified.
func (r *Registry) verify(ctx context.Context, id string, h store.DomainHost) error {
	if err := r.uncover(ctx, id, h.Host); err != nil {
		return err
	}
	return r.store.UpdateHost(ctx, id, h)
}

// uncover purges the CDN for the domain that served host by a wildcard until now. It updates that
// domain without a change, which adds an edit to the store.Outbox. Call it before the host is
// verified: after a failure, the verification is repeated.
func (r *Registry) uncover(ctx context.Context, id, host string) error {
	over, err := r.store.Host(ctx, wildcardOf(host))
	if errors.Is(err, store.ErrNotFound) || err == nil && (over.DomainID == id || over.VerifiedAt.IsZero()) {
		return nil
	}
	if err != nil {
		return err
	}
	d, err := r.store.Domain(ctx, over.DomainID)
	if err == nil {
		_, err = r.store.UpdateDomain(ctx, d)
	}
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrVersion) { // it was edited in the meantime, which is enough
		return nil
	}
	return err
}

// abandoned reports whether there is no domain with this ID, and never will be: abandoned adds a
// removed domain without hosts under the ID, so that an Add that is still running fails.
func (r *Registry) abandoned(ctx context.Context, id string) (bool, error) {
	now := r.now()
	_, err := r.store.AddDomain(ctx, store.Domain{ID: id, State: store.DomainRemoved, CreatedAt: now, UpdatedAt: now})
	if err == nil || !errors.Is(err, store.ErrExists) {
		return err == nil, err
	}
	d, err := r.store.Domain(ctx, id)
	return err == nil && buried(&d), err
}

// discard ends a domain and releases its hosts. Its ID is not used again.
func (r *Registry) discard(ctx context.Context, d *Domain) error {
	_, err := r.store.UpdateDomain(ctx, store.Domain{ID: d.ID, State: store.DomainRemoved, CreatedAt: d.CreatedAt, UpdatedAt: r.now(), Version: d.Version})
	if err == nil {
		r.release(ctx, d.ID, d.names())
	}
	return err
}

// buried reports whether d has ended: abandoned has added it, or discard has changed it.
func buried(d *store.Domain) bool { return d.Host == "" }

// Get returns a domain by its ID or by one of its hosts, in any state, or store.ErrNotFound.
func (r *Registry) Get(ctx context.Context, hostOrID string) (Domain, error) {
	id := hostOrID
	if strings.Contains(hostOrID, ".") {
		name, err := store.ParseDomainHost(hostOrID)
		if err != nil {
			return Domain{}, store.ErrNotFound
		}
		h, err := r.store.Host(ctx, name)
		if err != nil {
			return Domain{}, err
		}
		id = h.DomainID
	}
	d, err := r.domain(ctx, id)
	if err != nil {
		return Domain{}, err
	}
	hosts, err := r.store.HostsOf(ctx, id)
	return Domain{d, hosts}, err
}

// domain returns a domain by its ID.
func (r *Registry) domain(ctx context.Context, id string) (store.Domain, error) {
	d, err := r.store.Domain(ctx, id)
	if err == nil && buried(&d) {
		return store.Domain{}, store.ErrNotFound
	}
	return d, err
}

// Update replaces the fields of a domain as store.Domains.UpdateDomain does. UpdatedAt becomes
// the present time. A new primary host is claimed first, and the previous one stays a host of
// the domain. Update returns a *TakenError if another domain has the host.
func (r *Registry) Update(ctx context.Context, d store.Domain) (store.Domain, error) {
	host, err := store.ParseDomainHost(d.Host)
	if err != nil {
		return store.Domain{}, err
	}
	before, err := r.domain(ctx, d.ID)
	if err != nil {
		return store.Domain{}, err
	}
	d.Host, d.UpdatedAt = host, r.now()
	if d.Host == before.Host {
		return r.store.UpdateDomain(ctx, d)
	}
	if _, err := r.claim(ctx, &d, d.Host, time.Time{}); err != nil {
		return store.Domain{}, err
	}
	updated, err := r.store.UpdateDomain(ctx, d)
	if err != nil {
		return store.Domain{}, err
	}
	// A RemoveHost or an Evict may have released the host before the update.
	if _, err = r.claim(ctx, &d, d.Host, time.Time{}); err != nil {
		err = errors.Join(err, r.replaceLost(ctx, d.ID, d.Host))
	}
	return updated, err
}

// AddHost claims a further host for a domain. Repeating it changes nothing. It returns the errors
// of Add, and store.ErrNotFound for an unknown domain.
func (r *Registry) AddHost(ctx context.Context, id, host string) (store.DomainHost, error) {
	name, err := store.ParseDomainHost(host)
	if err != nil {
		return store.DomainHost{}, err
	}
	d, err := r.domain(ctx, id)
	if err != nil {
		return store.DomainHost{}, err
	}
	return r.claim(ctx, &d, name, time.Time{})
}

// RemoveHost releases a host of a domain: every owner may claim it then. It returns
// ErrPrimaryHost for the primary host, and store.ErrNotFound if the domain does not have the host.
func (r *Registry) RemoveHost(ctx context.Context, id, host string) error {
	name, err := store.ParseDomainHost(host)
	if err != nil {
		return store.ErrNotFound
	}
	d, err := r.domain(ctx, id)
	if err == nil && d.Host == name {
		err = ErrPrimaryHost
	}
	if err != nil {
		return err
	}
	if err := r.store.ReleaseHost(ctx, name, id); err != nil {
		return err
	}
	d, err = r.domain(ctx, id)
	if err != nil || d.Host != name {
		return err
	}
	if _, err := r.claim(ctx, &d, name, time.Time{}); err != nil { // an Update has made it the primary host in the meantime
		return errors.Join(err, r.replaceLost(ctx, id, name))
	}
	return ErrPrimaryHost
}

// Evict releases a host of a domain, also its primary one, for another owner who has proved it.
// If the domain has other hosts, one of them becomes the primary host: the first verified one, or
// else the first. Otherwise the domain becomes removed.
func (r *Registry) Evict(ctx context.Context, id, host string) error {
	for range claimAttempts {
		err := r.evict(ctx, id, host)
		if !errors.Is(err, store.ErrVersion) {
			return err
		}
	}
	return fmt.Errorf("host %q: %w: its domain changes all the time", host, store.ErrUnavailable)
}

func (r *Registry) evict(ctx context.Context, id, host string) error {
	d, err := r.domain(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		var gone bool
		if gone, err = r.abandoned(ctx, id); err == nil && !gone { // an Add has just added it
			err = store.ErrVersion
		}
	case err == nil && d.Host == host:
		err = r.demote(ctx, d)
	}
	if err != nil {
		return err
	}
	if err := r.store.ReleaseHost(ctx, host, id); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return r.replaceLost(ctx, id, host) // an Update may have made it the primary host in the meantime
}

// replaceLost takes the primary host from a domain if it is host, and the domain no longer has it.
func (r *Registry) replaceLost(ctx context.Context, id, host string) error {
	for range claimAttempts {
		d, err := r.domain(ctx, id)
		if errors.Is(err, store.ErrNotFound) || err == nil && d.Host != host {
			return nil
		}
		if err != nil {
			return err
		}
		claim, err := r.store.Host(ctx, host)
		if err == nil && claim.DomainID == id {
			return nil
		}
		if err == nil || errors.Is(err, store.ErrNotFound) {
			err = r.demote(ctx, d)
		}
		if !errors.Is(err, store.ErrVersion) {
			return err
		}
	}
	return fmt.Errorf("host %q: %w: its domain changes all the time", host, store.ErrUnavailable)
}

// demote takes the primary host from a domain.
func (r *Registry) demote(ctx context.Context, d store.Domain) error {
	hosts, err := r.store.HostsOf(ctx, d.ID)
	if err != nil {
		return err
	}
	next := store.DomainHost{}
	for _, h := range hosts {
		usable := h.Host != d.Host && !strings.HasPrefix(h.Host, store.WildcardLabel)
		if usable && (next.Host == "" || next.VerifiedAt.IsZero() && !h.VerifiedAt.IsZero()) {
			next = h
		}
	}
	switch {
	case next.Host == "":
		d.State = store.DomainRemoved
	case next.VerifiedAt.IsZero() && d.State == store.DomainActive:
		d.Host, d.State, d.VerifiedAt = next.Host, store.DomainPending, time.Time{}
	default:
		d.Host = next.Host
	}
	d.UpdatedAt = r.now()
	if _, err = r.store.UpdateDomain(ctx, d); err != nil || next.Host == "" {
		return err
	}
	return r.replaceLost(ctx, d.ID, next.Host) // an Evict may have released it before the update
}
