package domains

import (
	"context"
	"errors"
	"slices"

	"github.com/terse/terse/store"
)

// Edit is a change of a domain. A nil field stays unchanged.
type Edit struct {
	Versions []int64 // the versions that may be changed; nil: any

	Host    *string   // the primary host; the previous one becomes an alias unless Aliases is set
	Aliases *[]string // all further hosts; a host that is missing is released
	Off     *bool     // whether the domain is turned off
	Settings

	// Verified makes all hosts of the domain verified. Only an admin may set it.
	Verified bool

	Err error // invalid fields that were found before the call; reported with the others
}

// editAttempts is how often an edit without Versions is tried when other edits conflict with it.
const editAttempts = 10

// Update changes a domain and returns it. No link changes. The primary host of a verified domain
// can only become a host that is verified too, so that its links always work. For hosts,
// it returns the errors of Add. The error is ErrChanged if the domain has another version.
func (s *Service) Update(ctx context.Context, who Caller, host string, e Edit) (Domain, error) {
	if err := s.MayWrite(who); err != nil {
		return Domain{}, err
	}
	if e.Err != nil && !store.IsInvalid(e.Err) {
		return Domain{}, e.Err
	}
	defer s.refresh(ctx)
	for range editAttempts {
		d, err := s.updateOnce(ctx, who, host, &e)
		if !conflicts(err) {
			return d, err
		}
		if e.Versions != nil && errors.Is(err, store.ErrVersion) {
			break
		}
	}
	return Domain{}, ErrChanged
}

func (s *Service) updateOnce(ctx context.Context, who Caller, host string, e *Edit) (Domain, error) {
	before, err := s.change(ctx, who, host)
	if err != nil {
		return Domain{}, err
	}
	if e.Versions != nil && !slices.Contains(e.Versions, before.Version) {
		return Domain{}, ErrChanged
	}
	d := before.Domain
	names, wrongHosts := s.editedHosts(&before, e)
	wrong := store.JoinFound(e.Err, wrongHosts, s.apply(&e.Settings, &d, names.all), mayVerify(who, e.Verified))
	if wrong != nil {
		return Domain{}, wrong
	}
	added := slices.DeleteFunc(slices.Clone(names.all), before.has)
	proved, err := s.prove(ctx, owner{who, d.Owner}, added, e.Verified)
	if err != nil {
		return Domain{}, err
	}
	if _, err := s.free(ctx, owner{who, d.Owner}, hosts{all: added}, proved); err != nil {
		return Domain{}, err
	}
	for _, name := range added {
		if _, err := s.registry.AddHost(ctx, d.ID, name); err != nil {
			return Domain{}, s.taken(d.Owner, err)
		}
	}
	d.Host = names.primary
	if d.State = before.edited(e); e.Verified {
		d.VerifiedAt = s.opts.now()
	}
	updated := Domain{}
	if updated.Domain, err = s.registry.Update(ctx, d); err != nil {
		return Domain{}, s.taken(d.Owner, err)
	}
	for _, h := range before.Hosts {
		if !slices.Contains(names.all, h.Host) {
			err := s.registry.RemoveHost(ctx, d.ID, h.Host)
			if errors.Is(err, ErrPrimaryHost) { // another edit has made it the primary host in the meantime
				err = ErrChanged
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return Domain{}, err
			}
		}
	}
	if updated.Hosts, err = s.opts.Store.HostsOf(ctx, d.ID); err != nil || !e.Verified {
		return updated, err
	}
	return updated, s.markVerified(ctx, &updated, names.all...)
}

// owner is a caller who acts for the owner of a domain, which may be another key.
type owner struct {
	Caller
	id string
}

// Owner implements Caller.
func (o owner) Owner() string { return o.id }

// editedHosts returns the hosts of the domain after the edit.
func (s *Service) editedHosts(before *Domain, e *Edit) (hosts, error) {
	if e.Host == nil && e.Aliases == nil {
		return hosts{before.Host, before.names()}, nil
	}
	primary := before.Host
	if e.Host != nil {
		primary = *e.Host
	}
	var aliases []string
	if e.Aliases != nil {
		aliases = *e.Aliases
	} else if name, err := s.parseHost("host", primary); err == nil {
		aliases = slices.DeleteFunc(before.names(), func(h string) bool { return h == name })
	}
	names, err := s.parseHosts(primary, aliases)
	if err == nil && names.primary != before.Host && !before.VerifiedAt.IsZero() && !e.Verified && !before.verified(names.primary) {
		err = &store.FieldError{Field: "host", Reason: "must be verified first, so that the links continue to work. Add it to aliases, and wait until it is verified"}
	}
	return names, err
}

// edited returns the state of the domain after an edit.
func (d *Domain) edited(e *Edit) store.DomainState {
	off := d.State == store.DomainOff
	if e.Off != nil {
		off = *e.Off
	}
	switch {
	case off:
		return store.DomainOff
	case e.Verified, !d.VerifiedAt.IsZero():
		return store.DomainActive
	}
	return store.DomainPending
}
