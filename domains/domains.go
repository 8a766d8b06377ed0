// Package domains knows the domains of short links besides the default one. Service has the use
// cases on them: it checks what a caller may do, and verifies that hosts lead here and belong to
// their owners. Registry does the writes. Map has all domains in memory, and finds the domain of a
// request's host.
//
// It depends neither on HTTP servers nor on a database.
package domains

import (
	"slices"

	"github.com/terse/terse/store"
)

// Domain is a domain with its hosts.
type Domain struct {
	store.Domain
	Hosts []store.DomainHost // all of them, the primary one included, sorted by host
}

// has reports whether the domain has a host.
func (d *Domain) has(host string) bool { return slices.Contains(d.names(), host) }

// verified reports whether a host of the domain is verified.
func (d *Domain) verified(host string) bool {
	return slices.ContainsFunc(d.Hosts, func(h store.DomainHost) bool { return h.Host == host && !h.VerifiedAt.IsZero() })
}

// names returns the hosts of the domain, the primary one first.
func (d *Domain) names() []string {
	names := []string{d.Host}
	for _, h := range d.Hosts {
		if h.Host != d.Host {
			names = append(names, h.Host)
		}
	}
	return names
}
