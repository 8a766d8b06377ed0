// Package domains knows the domains of short links besides the default one. Registry adds and
// changes them. Map has all of them in memory, and finds the domain of a request's host.
//
// It serves no requests, and knows no adapter.
package domains

import "github.com/terse/terse/store"

// Domain is a domain with its hosts.
type Domain struct {
	store.Domain
	Hosts []store.DomainHost // all of them, the primary one included, sorted by host
}
