package links

import (
	"errors"
	"slices"

	"github.com/terse/terse/store"
)

// Domains are the domains besides the default one. Implementations are safe for concurrent use
// and do no I/O.
type Domains interface {
	// Named returns the domain that has a host, in any state. It returns store.ErrNotFound if
	// no domain has the host, and store.ErrUnavailable while that is unknown.
	Named(host string) (store.Domain, error)

	// ByID returns the domain with an ID, in any state, with the errors of Named.
	ByID(id string) (store.Domain, error)
}

// noDomains are the Domains of a server with only the default domain.
type noDomains struct{}

func (noDomains) Named(string) (store.Domain, error) { return store.Domain{}, store.ErrNotFound }
func (noDomains) ByID(string) (store.Domain, error)  { return store.Domain{}, store.ErrNotFound }

// errNoDomain is the error for a host that the caller cannot use. It is the same for an unknown host
// and for a host that another owner has claimed.
var errNoDomain = &store.FieldError{Field: "domain", Reason: "must be the host of a domain that you may use, or of this server"}

// inactive are the reasons for rejecting a new link on a domain, by its state.
var inactive = [...]string{
	store.DomainPending: "must be an active domain: the hosts of this domain are not verified yet",
	store.DomainOff:     "must be an active domain: this domain is turned off",
	store.DomainRemoved: "must be an active domain: this domain was removed",
}

// Key returns the key of the link with a code on the domain of a host. An empty host is the default
// domain of the server. For a text that is not a code, Key returns "", which no link has: a caller
// must not name a link by its key. For an unknown host, and for the host of a domain that the caller
// must not know, it returns a *store.FieldError for "domain".
func (s *Service) Key(who *Caller, host, code string) (string, error) {
	var d store.Domain
	var err error
	if host != "" {
		d, err = s.namedFor(who, host)
	}
	if err != nil || !store.ValidCode(code) {
		return "", err
	}
	return store.LinkKey(d.ID, code), nil
}

// HostOf returns the primary host of the domain of a key, or the host of the base URL for the
// default domain. It is empty while the domain is unknown to this node.
func (s *Service) HostOf(key string) string {
	id, _ := store.SplitKey(key)
	if id == "" {
		return s.host
	}
	d, err := s.opts.Domains.ByID(id)
	if err != nil {
		return ""
	}
	return d.Host
}

// named returns the domain of a host, in any state, and the zero Domain for the default domain.
func (s *Service) named(host string) (store.Domain, error) {
	name, err := store.CanonicalHost(host)
	if err != nil {
		return store.Domain{}, &store.FieldError{Field: "domain", Reason: err.Error()}
	}
	if name == s.host {
		return store.Domain{}, nil
	}
	d, err := s.opts.Domains.Named(name)
	if errors.Is(err, store.ErrNotFound) {
		err = errNoDomain
	}
	return d, err
}

// namedFor is named for domains that the caller may know: domains that it may use, and every active
// domain, because visitors can see its links. For other hosts it returns errNoDomain.
func (s *Service) namedFor(who *Caller, host string) (store.Domain, error) {
	d, err := s.named(host)
	if err == nil && d.ID != "" && d.State != store.DomainActive && !who.uses(&d) {
		return store.Domain{}, errNoDomain
	}
	return d, err
}

// domainFor returns the ID of the domain for a new link of the caller. It returns a
// *store.FieldError for "domain" if the caller must not create links there.
func (s *Service) domainFor(who *Caller, host *string) (string, error) {
	var d store.Domain
	var err error
	switch id := who.defaultDomain(); {
	case host != nil:
		d, err = s.named(*host)
	case id != "":
		if d, err = s.opts.Domains.ByID(id); errors.Is(err, store.ErrNotFound) {
			err = errNoDomain
		}
	}
	if err != nil {
		return "", err
	}
	switch {
	case d.ID != "" && !who.uses(&d):
		return "", errNoDomain
	case who.Key != nil && len(who.Key.Domains) > 0 && !slices.Contains(who.Key.Domains, d.ID):
		return "", &store.FieldError{Field: "domain", Reason: "must be a domain of the API key: the key may create links only on its own domains"}
	case d.ID == "":
		return "", nil
	case d.State != store.DomainActive:
		return "", &store.FieldError{Field: "domain", Reason: inactive[d.State]}
	}
	return d.ID, nil
}

// uses reports whether the caller may create links on a domain while it is active.
func (c *Caller) uses(d *store.Domain) bool {
	k := c.Key
	return c.system != "" ||
		k != nil && (d.Shared && d.State != store.DomainRemoved || k.Can(store.ScopeAdmin) || d.Owner == k.Owner() || k.DefaultDomain == d.ID || slices.Contains(k.Domains, d.ID))
}

// defaultDomain returns the ID of the domain of creates that name none.
func (c *Caller) defaultDomain() string {
	if c.Key == nil {
		return ""
	}
	return c.Key.DefaultDomain
}
