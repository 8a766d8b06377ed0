// Package domains knows the domains of short links besides the default one. Service has the use
// cases on them: it checks what a caller may do, and verifies that hosts lead here and belong to
// their owners. Registry does the writes. Map has all domains in memory, and finds the domain of a
// request's host.
//
// It depends neither on HTTP servers nor on a database.
package domains

import "github.com/terse/terse/store"

// Domain is a domain with its hosts.
type Domain struct {
	store.Domain
	Hosts []store.DomainHost // all of them, the primary one included, sorted by host
}
