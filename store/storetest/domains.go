package storetest

import (
	"context"
	"crypto/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// RunDomains tests all promises of store.Domains. open returns an empty store and closes it with
// tb.Cleanup.
func RunDomains(t *testing.T, open func(tb testing.TB) store.Domains) {
	t.Helper()
	domains := open(t)
	for _, p := range []struct {
		name string
		test func(t *testing.T, domains store.Domains)
	}{
		{"keeps every field", keepsDomain},
		{"an id is used once", oneDomainOfAnID},
		{"updates one version", updatesDomain},
		{"unknown domains and hosts are not found", unknownDomain},
		{"a host has one claim", oneClaim},
		{"one of many claims wins", racesClaims},
		{"a claim is changed by its domain only", changesClaim},
		{"a released host is free", releasesHost},
		{"hosts of a domain", listsHostsOf},
		{"pages are sorted and complete", pagesDomains},
		{"ended context writes nothing", endedDomain},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.test(t, domains)
		})
	}
}

// RunDomainsSource tests all promises of store.DomainsSource. See RunDomains for open.
func RunDomainsSource(t *testing.T, open func(tb testing.TB) store.DomainsSource) {
	t.Helper()
	RunDomains(t, func(tb testing.TB) store.Domains { return open(tb) })
	t.Run("version grows with every change", func(t *testing.T) { growsDomainsVersion(t, open(t)) })
}

// newHostName returns a host that no other subtest uses.
func newHostName() string { return strings.ToLower(rand.Text()[:20]) + ".example" }

// newDomain returns a domain with every field set.
func newDomain() store.Domain {
	return store.Domain{
		ID: newDomainID(), Host: newHostName(), Owner: newOwner(), Shared: true,
		State: store.DomainRemoved, Robots: store.RobotsDisallow,
		Root:     store.DomainRedirect{URL: "https://example.com/?a=%25&b='", Status: 301},
		NotFound: store.DomainRedirect{URL: "https://example.com/404", Status: 302},
		Ended:    store.DomainRedirect{URL: "https://example.com/ended", Status: 307},

		AppleAssociation: `{"applinks": {"details": []}}` + "\n", AssetLinks: `[{"ü": "\u0000"}]`,

		CreatedAt: after(1), UpdatedAt: after(2), VerifiedAt: after(3), Version: 1,
	}
}

// newHost returns a claim of a domain with every field set, on a host of its own.
func newHost(domainID string) store.DomainHost {
	return store.DomainHost{Host: newHostName(), DomainID: domainID, Owner: newOwner(), ClaimedAt: after(1), VerifiedAt: after(2)}
}

func addDomain(t *testing.T, domains store.Domains, d store.Domain) {
	t.Helper()
	got, err := domains.AddDomain(t.Context(), d)
	if d.Version = 1; err != nil || got != d {
		t.Fatalf("AddDomain() = %+v, %v, want %+v", got, err, d)
	}
}

func claim(t *testing.T, domains store.Domains, h, want store.DomainHost) {
	t.Helper()
	if got, err := domains.ClaimHost(t.Context(), h); err != nil || got != want {
		t.Fatalf("ClaimHost(%+v) = %+v, %v, want %+v", h, got, err, want)
	}
}

func wantDomain(t *testing.T, domains store.Domains, want store.Domain) {
	t.Helper()
	if got, err := domains.Domain(t.Context(), want.ID); err != nil || got != want {
		t.Errorf("Domain(%q) = %+v, %v, want %+v", want.ID, got, err, want)
	}
}

func wantHost(t *testing.T, domains store.Domains, want store.DomainHost) {
	t.Helper()
	if got, err := domains.Host(t.Context(), want.Host); err != nil || got != want {
		t.Errorf("Host(%q) = %+v, %v, want %+v", want.Host, got, err, want)
	}
}

func keepsDomain(t *testing.T, domains store.Domains) {
	whole := newDomain()
	for _, v := range []reflect.Value{reflect.ValueOf(whole), reflect.ValueOf(newHost("x"))} {
		for field, value := range v.Fields() {
			if value.IsZero() {
				t.Errorf("%s is a new field: give it a value in newDomain or newHost", field.Name)
			}
		}
	}
	for _, d := range []store.Domain{whole, {ID: newDomainID(), CreatedAt: after(1), UpdatedAt: after(1)}} {
		addDomain(t, domains, d)
		d.Version = 1
		wantDomain(t, domains, d)
	}
	plain := store.DomainHost{Host: "*." + newHostName(), DomainID: whole.ID, ClaimedAt: after(1)}
	for _, h := range []store.DomainHost{newHost(whole.ID), plain} {
		claim(t, domains, h, h)
		wantHost(t, domains, h)
	}
}

func oneDomainOfAnID(t *testing.T, domains store.Domains) {
	first := newDomain()
	addDomain(t, domains, first)
	second := newDomain()
	second.ID = first.ID
	_, err := domains.AddDomain(t.Context(), second)
	wantError(t, "AddDomain() of a used id", err, store.ErrExists)
	wantDomain(t, domains, first)

	raced := newDomain()
	wantOneWinner(t, "AddDomain()", race(10, func(int) error {
		_, err := domains.AddDomain(t.Context(), raced)
		return err
	}), store.ErrExists)
}

func updatesDomain(t *testing.T, domains store.Domains) {
	first := newDomain()
	addDomain(t, domains, first)
	want := newDomain()
	want.ID, want.Version, want.State, want.VerifiedAt, want.Root = first.ID, 1, store.DomainActive, time.Time{}, store.DomainRedirect{}
	got, err := domains.UpdateDomain(t.Context(), want)
	if want.Version = 2; err != nil || got != want {
		t.Errorf("UpdateDomain() = %+v, %v, want %+v", got, err, want)
	}
	for _, version := range []int64{-1, 0, 1, 3} {
		stale := first
		stale.Version = version
		_, err := domains.UpdateDomain(t.Context(), stale)
		wantError(t, "UpdateDomain() of another version", err, store.ErrVersion)
	}
	wantDomain(t, domains, want)
	wantOneWinner(t, "UpdateDomain()", race(10, func(int) error {
		_, err := domains.UpdateDomain(t.Context(), want)
		return err
	}), store.ErrVersion)
}

func unknownDomain(t *testing.T, domains store.Domains) {
	d := newDomain()
	for _, id := range []string{d.ID, "", "\x00", "\xff", "a/b"} {
		_, err := domains.Domain(t.Context(), id)
		wantError(t, "Domain()", err, store.ErrNotFound)
		_, err = domains.Host(t.Context(), id)
		wantError(t, "Host()", err, store.ErrNotFound)
	}
	_, err := domains.UpdateDomain(t.Context(), d)
	wantError(t, "UpdateDomain()", err, store.ErrNotFound)
	h := newHost(d.ID)
	wantError(t, "UpdateHost()", domains.UpdateHost(t.Context(), d.ID, h), store.ErrNotFound)
	wantError(t, "ReleaseHost()", domains.ReleaseHost(t.Context(), h.Host, d.ID), store.ErrNotFound)
	if hosts, err := domains.HostsOf(t.Context(), d.ID); err != nil || len(hosts) > 0 {
		t.Errorf("HostsOf() = %+v, %v, want no host", hosts, err)
	}
}

func oneClaim(t *testing.T, domains store.Domains) {
	first := newHost(newDomainID())
	claim(t, domains, first, first)
	again, other := first, newHost(newDomainID())
	again.ClaimedAt, again.VerifiedAt, other.Host = after(50), time.Time{}, first.Host
	claim(t, domains, again, first)
	claim(t, domains, other, first)
	wantHost(t, domains, first)
}

func racesClaims(t *testing.T, domains store.Domains) {
	name := newHostName()
	stood := make([]store.DomainHost, 20)
	for _, err := range race(len(stood), func(i int) (err error) {
		h := newHost(newDomainID())
		h.Host = name
		stood[i], err = domains.ClaimHost(t.Context(), h)
		return err
	}) {
		if err != nil {
			t.Errorf("ClaimHost() = %v, want nil", err)
		}
	}
	for _, got := range stood {
		if got != stood[0] {
			t.Errorf("ClaimHost() = %+v and %+v, want one claim", got, stood[0])
		}
	}
	wantHost(t, domains, stood[0])
}

func changesClaim(t *testing.T, domains store.Domains) {
	first := newHost(newDomainID())
	claim(t, domains, first, first)
	moved := newHost(newDomainID())
	moved.Host, moved.VerifiedAt = first.Host, time.Time{}
	wantError(t, "UpdateHost() by another domain", domains.UpdateHost(t.Context(), moved.DomainID, moved), store.ErrNotFound)
	wantError(t, "ReleaseHost() by another domain", domains.ReleaseHost(t.Context(), first.Host, moved.DomainID), store.ErrNotFound)
	wantHost(t, domains, first)
	if err := domains.UpdateHost(t.Context(), first.DomainID, moved); err != nil {
		t.Errorf("UpdateHost() = %v, want nil", err)
	}
	wantHost(t, domains, moved)
	wantError(t, "UpdateHost() by the domain before", domains.UpdateHost(t.Context(), first.DomainID, first), store.ErrNotFound)
}

func releasesHost(t *testing.T, domains store.Domains) {
	first := newHost(newDomainID())
	claim(t, domains, first, first)
	if err := domains.ReleaseHost(t.Context(), first.Host, first.DomainID); err != nil {
		t.Fatalf("ReleaseHost() = %v, want nil", err)
	}
	_, err := domains.Host(t.Context(), first.Host)
	wantError(t, "Host() of a released host", err, store.ErrNotFound)
	next := newHost(newDomainID())
	next.Host = first.Host
	claim(t, domains, next, next)
}

func listsHostsOf(t *testing.T, domains store.Domains) {
	id, other := newDomainID(), newHost(newDomainID())
	claim(t, domains, other, other)
	var want []store.DomainHost
	for range 10 {
		h := newHost(id)
		claim(t, domains, h, h)
		want = append(want, h)
	}
	slices.SortFunc(want, func(a, b store.DomainHost) int { return strings.Compare(a.Host, b.Host) })
	if got, err := domains.HostsOf(t.Context(), id); err != nil || !slices.Equal(got, want) {
		t.Errorf("HostsOf() = %+v, %v, want %+v", got, err, want)
	}
}

func pagesDomains(t *testing.T, domains store.Domains) {
	ids, hosts := map[string]bool{}, map[string]bool{}
	for range 15 {
		d := newDomain()
		addDomain(t, domains, d)
		h := newHost(d.ID)
		claim(t, domains, h, h)
		ids[d.ID], hosts[h.Host] = true, true
	}
	wantPages(t, "ListDomains", ids, func(d store.Domain) string { return d.ID }, func(after string) ([]store.Domain, error) {
		return domains.ListDomains(t.Context(), after, 4)
	})
	wantPages(t, "ListHosts", hosts, func(h store.DomainHost) string { return h.Host }, func(after string) ([]store.DomainHost, error) {
		return domains.ListHosts(t.Context(), after, 4)
	})
}

// wantPages reads pages of 4 rows, and checks that their keys are sorted and contain want.
func wantPages[T any](t *testing.T, op string, want map[string]bool, key func(T) string, read func(after string) ([]T, error)) {
	t.Helper()
	after, found := "", 0
	for {
		page, err := read(after)
		if err != nil || len(page) > 4 {
			t.Fatalf("%s(%q) = %d rows, %v, want 4 at most", op, after, len(page), err)
		}
		for _, row := range page {
			if key(row) <= after {
				t.Errorf("%s() returned %q after %q, want them sorted", op, key(row), after)
			}
			if after = key(row); want[after] {
				found++
			}
		}
		if len(page) < 4 {
			break
		}
	}
	if found != len(want) {
		t.Errorf("%s() returned %d of %d rows", op, found, len(want))
	}
}

func endedDomain(t *testing.T, domains store.Domains) {
	ctx := ended(t)
	d, h := newDomain(), newHost(newDomainID())
	_, err := domains.AddDomain(ctx, d)
	wantError(t, "AddDomain()", err, context.Canceled)
	_, err = domains.ClaimHost(ctx, h)
	wantError(t, "ClaimHost()", err, context.Canceled)
	_, err = domains.Domain(t.Context(), d.ID)
	wantError(t, "Domain() of a domain that was not added", err, store.ErrNotFound)
	_, err = domains.Host(t.Context(), h.Host)
	wantError(t, "Host() of a host that was not claimed", err, store.ErrNotFound)
}

func growsDomainsVersion(t *testing.T, domains store.DomainsSource) {
	last := int64(-1)
	grown := func(after string) {
		t.Helper()
		v, err := domains.DomainsVersion(t.Context())
		if err != nil || v <= last {
			t.Errorf("version after %s = %d, %v, want more than %d", after, v, err, last)
		}
		if same, err := domains.DomainsVersion(t.Context()); err != nil || same != v {
			t.Errorf("version without a change = %d, %v, want %d", same, err, v)
		}
		last = v
	}
	grown("the start")
	d := newDomain()
	addDomain(t, domains, d)
	grown("AddDomain()")
	if _, err := domains.UpdateDomain(t.Context(), d); err != nil {
		t.Fatalf("UpdateDomain() = %v, want nil", err)
	}
	grown("UpdateDomain()")
	h := newHost(d.ID)
	claim(t, domains, h, h)
	grown("ClaimHost()")
	if err := domains.UpdateHost(t.Context(), d.ID, h); err != nil {
		t.Fatalf("UpdateHost() = %v, want nil", err)
	}
	grown("UpdateHost()")
	if err := domains.ReleaseHost(t.Context(), h.Host, d.ID); err != nil {
		t.Fatalf("ReleaseHost() = %v, want nil", err)
	}
	grown("ReleaseHost()")
}
