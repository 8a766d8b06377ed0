package domains_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// TestConcurrentChanges adds, changes and removes domains of several admins at the same time, by two
// processes. The admins take hosts from each other. Afterwards each host belongs to a domain, and each
// domain has its primary host. Every call succeeds, or says that the domain has changed.
func TestConcurrentChanges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	services := []*domains.Service{b.Service}
	b.open()
	services = append(services, b.Service)
	admins := []*links.Caller{caller("key_a", store.ScopeAdmin), caller("key_b", store.ScopeAdmin), caller("key_c", store.ScopeAdmin)}
	var changing sync.WaitGroup
	for i := range 8 {
		changing.Go(func() {
			for range testenv.Rounds(150) {
				if err := changeAny(t, services[i%2], admins[i%3]); !expected(err) {
					t.Errorf("a change = %v, want an error that says that the domain has changed", err)
				}
			}
		})
	}
	changing.Wait()
	all, err := b.store.ListDomains(t.Context(), "", 10_000)
	must(t, err)
	hosts, err := b.store.ListHosts(t.Context(), "", 10_000)
	must(t, err)
	owners, byID := map[string]string{}, map[string]store.Domain{}
	for _, d := range all {
		byID[d.ID] = d
	}
	for _, h := range hosts {
		owners[h.Host] = h.DomainID
		if byID[h.DomainID].Host == "" {
			t.Errorf("host %s belongs to no domain", h.Host)
		}
	}
	for _, d := range all {
		if d.State != store.DomainRemoved && owners[d.Host] != d.ID {
			t.Errorf("domain %+v has lost its primary host to %q", d, owners[d.Host])
		}
	}
}

// changeAny does one random change of the domains with a few hosts.
func changeAny(t *testing.T, s *domains.Service, who *links.Caller) (err error) {
	t.Helper()
	host := func() string { return fmt.Sprintf("h%d.example", rand.IntN(4)) }
	verified := rand.IntN(2) == 0
	switch rand.IntN(5) {
	case 0, 1:
		_, err = s.Add(t.Context(), who, domains.Addition{Host: host(), Verified: verified})
	case 2:
		_, err = s.Update(t.Context(), who, host(), domains.Edit{Host: new(host()), Verified: verified})
	case 3:
		_, err = s.Update(t.Context(), who, host(), domains.Edit{Aliases: &[]string{host()}, Verified: verified})
	case 4:
		err = s.Remove(t.Context(), who, host(), nil, true)
	}
	return err
}

// expected reports whether an error says that other changes came first.
func expected(err error) bool {
	_, claimed := errors.AsType[*domains.ClaimedError](err)
	_, wrong := errors.AsType[*store.FieldError](err)
	return err == nil || claimed || wrong || store.IsInvalid(err) || errors.Is(err, domains.ErrChanged) || errors.Is(err, domains.ErrUnknown) ||
		errors.Is(err, domains.ErrRemoved) || errors.Is(err, store.ErrUnavailable)
}
