package domains_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/store"
)

// broken is a store. A test can make the next call of one of its methods fail, or do something
// else first.
type broken struct {
	store.Domains

	mu      sync.Mutex
	fail    string // the method
	applied bool   // whether the failing call does its work

	before map[string]func() // what the next call of a method does first
}

// interrupt runs what a test does before the call of a method.
func (b *broken) interrupt(method string) {
	if first := b.before[method]; first != nil {
		delete(b.before, method)
		first()
	}
}

func (b *broken) ReleaseHost(ctx context.Context, host, domainID string) error {
	b.interrupt("ReleaseHost")
	return b.Domains.ReleaseHost(ctx, host, domainID)
}

var errBroken = fmt.Errorf("%w: broken by the test", store.ErrUnavailable)

// broke reports whether this call of a method has to fail, and whether it does its work first.
func (b *broken) broke(method string) (fails, applied bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != method {
		return false, true
	}
	b.fail = ""
	return true, b.applied
}

func (b *broken) AddDomain(ctx context.Context, d store.Domain) (store.Domain, error) {
	fails, applied := b.broke("AddDomain")
	if !applied {
		return store.Domain{}, errBroken
	}
	added, err := b.Domains.AddDomain(ctx, d)
	if fails {
		return store.Domain{}, errBroken
	}
	return added, err
}

func (b *broken) UpdateDomain(ctx context.Context, d store.Domain) (store.Domain, error) {
	b.interrupt("UpdateDomain")
	fails, applied := b.broke("UpdateDomain")
	if !applied {
		return store.Domain{}, errBroken
	}
	updated, err := b.Domains.UpdateDomain(ctx, d)
	if fails {
		return store.Domain{}, errBroken
	}
	return updated, err
}

func newRegistry(tb testing.TB) (*domains.Registry, *broken) {
	tb.Helper()
	b := &broken{Domains: openStore(tb)}
	return domains.NewRegistry(b, func() time.Time { return epoch }), b
}

// hostsOf returns the names of the hosts of a domain.
func hostsOf(tb testing.TB, r *domains.Registry, id string) (names []string) {
	tb.Helper()
	d, err := r.Get(tb.Context(), id)
	must(tb, err)
	for _, h := range d.Hosts {
		names = append(names, h.Host)
	}
	return names
}

func TestAdd(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	id := newID()
	added, err := r.Add(t.Context(), store.Domain{ID: id, Host: "Go.Example.COM.", Owner: "a", Shared: true}, "www.go.example.com", "*.bücher.example")
	must(t, err)
	want := []string{"*.xn--bcher-kva.example", "go.example.com", "www.go.example.com"}
	if got := hostsOf(t, r, id); !slices.Equal(got, want) {
		t.Errorf("hosts = %q, want %q", got, want)
	}
	for _, name := range []string{id, "go.example.com", "WWW.go.example.com.", "*.bücher.example"} {
		got, err := r.Get(t.Context(), name)
		if err != nil || got.Domain != added.Domain || !slices.Equal(got.Hosts, added.Hosts) {
			t.Errorf("Get(%q) = %+v, %v, want %+v", name, got, err, added)
		}
	}
	if added.Host != "go.example.com" || !added.CreatedAt.Equal(epoch) || added.Version != 1 || added.State != store.DomainPending {
		t.Errorf("Add() = %+v, want a pending domain", added)
	}
	for _, name := range []string{newID(), "unknown.example", "go.example.com:80", "a b", "", "\x00"} {
		if _, err := r.Get(t.Context(), name); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get(%q) = %v, want %v", name, err, store.ErrNotFound)
		}
	}
}

// TestTakenHost checks that a refused Add claims nothing, whichever of its hosts is taken. A
// removed domain keeps its hosts.
func TestTakenHost(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	taken := newHost()
	first, err := r.Add(t.Context(), store.Domain{ID: newID(), Host: newHost(), Owner: "a"}, taken)
	must(t, err)
	first.State = store.DomainRemoved
	removed, err := r.Update(t.Context(), first.Domain)
	must(t, err)
	for _, owner := range []string{"a", "b", ""} {
		free := newHost()
		_, err := r.Add(t.Context(), store.Domain{ID: newID(), Host: free, Owner: owner}, taken)
		var problem *domains.TakenError
		if !errors.As(err, &problem) || !errors.Is(err, store.ErrExists) || problem.Host != taken || problem.DomainID != first.ID || problem.Owner != "a" {
			t.Errorf("Add() of a taken host by %q = %v, want a TakenError for %q", owner, err, taken)
		}
		if _, err := r.Get(t.Context(), free); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get() of a host of a refused Add = %v, want %v", err, store.ErrNotFound)
		}
		_, err = r.Add(t.Context(), store.Domain{ID: newID(), Host: free, Owner: "c"})
		must(t, err)
	}
	if got, err := r.Get(t.Context(), taken); err != nil || got.Domain != removed {
		t.Errorf("Get(%q) = %+v, %v, want %+v", taken, got, err, removed)
	}
}

// TestAbandonedAdd interrupts an Add before and after its last write. Its owner can then add the
// hosts again under another id, unless the domain was added. Another owner cannot.
func TestAbandonedAdd(t *testing.T) {
	t.Parallel()
	r, b := newRegistry(t)
	for _, applied := range []bool{false, true} {
		one, two := newHost(), newHost()
		first := store.Domain{ID: newID(), Host: one, Owner: "a"}
		b.fail, b.applied = "AddDomain", applied
		if _, err := r.Add(t.Context(), first, two); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("interrupted Add() = %v, want %v", err, store.ErrUnavailable)
		}
		if _, err := r.Add(t.Context(), store.Domain{ID: newID(), Host: two, Owner: "b"}); !errors.Is(err, store.ErrExists) {
			t.Errorf("Add() by another owner = %v, want %v", err, store.ErrExists)
		}
		second := store.Domain{ID: newID(), Host: two, Owner: "a"}
		_, err := r.Add(t.Context(), second, one)
		if applied {
			if got := hostsOf(t, r, first.ID); !errors.Is(err, store.ErrExists) || len(got) != 2 {
				t.Errorf("Add() again = %v, hosts of the first domain = %q, want %v and two hosts", err, got, store.ErrExists)
			}
			continue
		}
		must(t, err)
		if got := hostsOf(t, r, second.ID); len(got) != 2 {
			t.Errorf("hosts = %q, want two", got)
		}
		// The interrupted process continues.
		if _, err := b.AddDomain(t.Context(), first); !errors.Is(err, store.ErrExists) {
			t.Errorf("AddDomain() of the abandoned id = %v, want %v", err, store.ErrExists)
		}
		if _, err := r.Get(t.Context(), first.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get() of the abandoned id = %v, want %v", err, store.ErrNotFound)
		}
	}
}

// TestConcurrentAdds adds the same hosts in different orders at the same time. At most one of the
// Adds wins, and all claims belong to domains that exist.
func TestConcurrentAdds(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	for range 20 {
		hosts := []string{newHost(), newHost(), newHost()}
		var adding sync.WaitGroup
		won := make([]bool, 6)
		for i := range won {
			names := slices.Concat(hosts[i%3:], hosts[:i%3])
			adding.Go(func() {
				_, err := r.Add(t.Context(), store.Domain{ID: newID(), Host: names[0], Owner: "a"}, names[1:]...)
				won[i] = err == nil
				if err != nil && !errors.Is(err, store.ErrExists) && !errors.Is(err, domains.ErrChanged) && !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("Add() = %v, want nil, %v, %v or %v", err, store.ErrExists, domains.ErrChanged, store.ErrUnavailable)
				}
			})
		}
		adding.Wait()
		winners := 0
		for _, w := range won {
			if w {
				winners++
			}
		}
		if winners > 1 {
			t.Errorf("%d domains have the same hosts", winners)
		}
		if winners == 0 { // all gave way: the next one wins
			_, err := r.Add(t.Context(), store.Domain{ID: newID(), Host: hosts[0], Owner: "a"}, hosts[1:]...)
			must(t, err)
		}
		d, err := r.Get(t.Context(), hosts[0])
		if err != nil || len(d.Hosts) != 3 {
			t.Errorf("Get() = %+v, %v, want a domain with three hosts", d, err)
		}
	}
}

// TestReplaceHost replaces the primary host of a domain. Its id, and so the keys of its links,
// stay.
func TestReplaceHost(t *testing.T) {
	t.Parallel()
	r, b := newRegistry(t)
	before, after, other := newHost(), newHost(), newHost()
	d, err := r.Add(t.Context(), store.Domain{ID: newID(), Host: before, Owner: "a"})
	must(t, err)
	_, err = r.Add(t.Context(), store.Domain{ID: newID(), Host: other, Owner: "b"})
	must(t, err)

	if err := r.RemoveHost(t.Context(), d.ID, before); !errors.Is(err, domains.ErrPrimaryHost) {
		t.Errorf("RemoveHost() of the primary host = %v, want %v", err, domains.ErrPrimaryHost)
	}
	changed := d.Domain
	changed.Host = other
	if _, err := r.Update(t.Context(), changed); !errors.Is(err, store.ErrExists) {
		t.Errorf("Update() to a taken host = %v, want %v", err, store.ErrExists)
	}
	changed.Host = after
	b.fail, b.applied = "UpdateDomain", false
	if _, err := r.Update(t.Context(), changed); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("interrupted Update() = %v, want %v", err, store.ErrUnavailable)
	}
	updated, err := r.Update(t.Context(), changed)
	if err != nil || updated.ID != d.ID || updated.Host != after || updated.Version != 2 {
		t.Fatalf("Update() = %+v, %v, want the host %q", updated, err, after)
	}
	if _, err := r.Update(t.Context(), changed); !errors.Is(err, store.ErrVersion) {
		t.Errorf("Update() of an old version = %v, want %v", err, store.ErrVersion)
	}
	must(t, r.RemoveHost(t.Context(), d.ID, before))
	if err := r.RemoveHost(t.Context(), d.ID, before); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("RemoveHost() again = %v, want %v", err, store.ErrNotFound)
	}
	if got := hostsOf(t, r, d.ID); !slices.Equal(got, []string{after}) {
		t.Errorf("hosts = %q, want %q", got, after)
	}
	_, err = r.Add(t.Context(), store.Domain{ID: newID(), Host: before, Owner: "b"})
	must(t, err)

	for range 2 {
		h, err := r.AddHost(t.Context(), d.ID, "WWW."+after)
		if err != nil || h.Host != "www."+after || h.DomainID != d.ID {
			t.Errorf("AddHost() = %+v, %v, want the host of the domain", h, err)
		}
	}
	if _, err := r.AddHost(t.Context(), d.ID, other); !errors.Is(err, store.ErrExists) {
		t.Errorf("AddHost() of a taken host = %v, want %v", err, store.ErrExists)
	}
	if _, err := r.AddHost(t.Context(), newID(), newHost()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("AddHost() to an unknown domain = %v, want %v", err, store.ErrNotFound)
	}
}

// TestPrimaryHostStaysClaimed makes a host the primary one while it is removed, and the other way
// round.
func TestPrimaryHostStaysClaimed(t *testing.T) {
	t.Parallel()
	r, b := newRegistry(t)
	for _, method := range []string{"ReleaseHost", "UpdateDomain"} {
		next := newHost()
		d, err := r.Add(t.Context(), store.Domain{ID: newID(), Host: newHost(), Owner: "a"}, next)
		must(t, err)
		changed := d.Domain
		changed.Host = next
		update := func() error {
			_, err := r.Update(t.Context(), changed)
			return err
		}
		remove := func() error { return r.RemoveHost(t.Context(), d.ID, next) }
		if method == "ReleaseHost" {
			b.before = map[string]func(){method: func() { must(t, update()) }}
			if err := remove(); !errors.Is(err, domains.ErrPrimaryHost) {
				t.Errorf("RemoveHost() during an Update = %v, want %v", err, domains.ErrPrimaryHost)
			}
		} else {
			b.before = map[string]func(){method: func() { must(t, remove()) }}
			must(t, update())
		}
		if got, err := r.Get(t.Context(), next); err != nil || got.ID != d.ID || got.Host != next {
			t.Errorf("Get(%q) = %+v, %v, want the domain with this primary host", next, got, err)
		}
	}
}
