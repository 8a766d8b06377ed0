package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/store"
)

// servedHosts are the hosts that may have certificates: the hosts of the base URL and of the console, and the hosts of
// active domains. A name that only matches a wildcard gets no certificate, because strangers could
// request any number of such names.
type servedHosts struct {
	base    string
	app     string // empty: the console has no host of its own
	domains *domains.Map
}

// Allowed implements certificates.Hosts.
func (s servedHosts) Allowed(host string) bool {
	if host == s.base || host != "" && host == s.app {
		return true
	}
	d, known := s.domains.Find(host)
	return known && !strings.HasPrefix(host, store.WildcardLabel) && d.State == store.DomainActive &&
		slices.ContainsFunc(d.Hosts, func(h store.DomainHost) bool { return h.Host == host && !h.VerifiedAt.IsZero() })
}

// isDefault reports whether an unknown host is the default domain, as package api decides.
func (s servedHosts) isDefault(host string) bool {
	_, known := s.domains.Find(host)
	return !known && s.domains.Complete() && !s.domains.AnyVerified()
}

// obtainEvery is the time between two searches for new hosts of domains.
const obtainEvery = 2 * time.Second

// obtain obtains certificates for all hosts until ctx ends, before visitors need them.
func (s servedHosts) obtain(ctx context.Context, manage func(hosts ...string)) {
	managed := map[string]bool{}
	tick := time.NewTicker(obtainEvery)
	defer tick.Stop()
	for {
		allowed := map[string]bool{s.base: true}
		if s.app != "" {
			allowed[s.app] = true
		}
		for _, d := range s.domains.All() {
			for _, h := range d.Hosts {
				allowed[h.Host] = s.Allowed(h.Host)
			}
		}
		var added []string
		for host, ok := range allowed {
			if ok && !managed[host] {
				added = append(added, host)
			}
		}
		if managed = allowed; len(added) > 0 {
			manage(added...)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
