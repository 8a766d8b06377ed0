package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// DomainsOutbox is a store of domains with its outbox.
type DomainsOutbox interface {
	store.Domains
	store.Outbox
}

// RunDomainEdits tests that edits of domains reach a CDN. open returns an empty store and closes it
// with tb.Cleanup.
func RunDomainEdits(t *testing.T, open func(tb testing.TB) DomainsOutbox) {
	t.Helper()
	for _, p := range []struct {
		name string
		test func(t *testing.T, s DomainsOutbox)
	}{
		{"every change of a domain and its hosts is delivered", deliversDomains},
		{"delivered again until acknowledged", retriesDomains},
		{"without a receiver edits of domains are removed", noReceiverOfDomains},
		{"the limit counts edits of domains", limitsDomains},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.test(t, open(t))
		})
	}
}

// deliverDomains delivers to the CDN once. It returns the ids of the edited domains, and how many of
// them were repeats.
func deliverDomains(t *testing.T, s DomainsOutbox, limit int, answer error) (ids []string, repeats int) {
	t.Helper()
	_, err := s.Deliver(t.Context(), store.CDN, limit, func(_ context.Context, edits []store.Edit) []error {
		errs := make([]error, len(edits))
		for i, e := range edits {
			if e.Domain == "" || e.Link.Code != "" || e.Age < 0 || e.Age > time.Minute {
				t.Errorf("edit = %+v, want one of a domain", e)
			}
			if e.Repeat {
				repeats++
			} else {
				ids = append(ids, e.Domain)
			}
			errs[i] = answer
		}
		return errs
	})
	if err != nil {
		t.Fatalf("Deliver() = %v, want nil", err)
	}
	return ids, repeats
}

func deliversDomains(t *testing.T, s DomainsOutbox) {
	d := newDomain()
	addDomain(t, s, d)
	h := newHost(d.ID)
	claim(t, s, h, h)
	if ids, _ := deliverDomains(t, s, 100, nil); len(ids) != 0 {
		t.Errorf("a new domain is an edit of %q, want no edit: nothing has its tag", ids)
	}
	stale := d
	stale.Version = 7
	if _, err := s.UpdateDomain(t.Context(), stale); !errors.Is(err, store.ErrVersion) {
		t.Fatalf("UpdateDomain() = %v, want ErrVersion", err)
	}
	for _, change := range []struct {
		name string
		make func() error
	}{
		{"UpdateDomain", func() error { _, err := s.UpdateDomain(t.Context(), d); return err }},
		{"UpdateHost", func() error { return s.UpdateHost(t.Context(), d.ID, h) }},
		{"ReleaseHost", func() error { return s.ReleaseHost(t.Context(), h.Host, d.ID) }},
	} {
		if ids, _ := deliverDomains(t, s, 100, nil); len(ids) != 0 {
			t.Fatalf("edits of %q before %s, want none", ids, change.name)
		}
		if err := change.make(); err != nil {
			t.Fatalf("%s() = %v, want nil", change.name, err)
		}
		if ids, _ := deliverDomains(t, s, 100, nil); len(ids) != 1 || ids[0] != d.ID {
			t.Errorf("%s() is an edit of %q, want %q", change.name, ids, d.ID)
		}
	}
	if b, err := s.Backlog(t.Context(), store.Caches); err != nil || b.Edits != 0 {
		t.Errorf("Backlog() of the caches = %+v, %v, want no edit", b, err)
	}
	repeats := 0
	for began := time.Now(); repeats == 0; time.Sleep(10 * time.Millisecond) {
		if _, repeats = deliverDomains(t, s, 100, nil); time.Since(began) > patience {
			t.Fatalf("no second delivery within %v", patience)
		}
	}
}

func retriesDomains(t *testing.T, s DomainsOutbox) {
	d := newDomain()
	addDomain(t, s, d)
	if _, err := s.UpdateDomain(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	failures := 0
	for began := time.Now(); failures < 2; time.Sleep(10 * time.Millisecond) {
		ids, _ := deliverDomains(t, s, 100, errors.New("unreachable"))
		if failures += len(ids); time.Since(began) > patience {
			t.Fatalf("a failed edit was delivered %d times within %v, want twice", failures, patience)
		}
	}
	if b, err := s.Backlog(t.Context(), store.CDN); err != nil || b.Edits != 1 || b.Oldest <= 0 {
		t.Errorf("Backlog() = %+v, %v, want one edit", b, err)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := s.Deliver(t.Context(), store.CDN, 100, func(_ context.Context, edits []store.Edit) []error { return make([]error, len(edits)) }); err != nil {
			t.Fatalf("Deliver() = %v, want nil", err)
		}
		if b, err := s.Backlog(t.Context(), store.CDN); err == nil && b.Edits == 0 {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("the edit was not removed within %v", patience)
		}
	}
}

func noReceiverOfDomains(t *testing.T, s DomainsOutbox) {
	d := newDomain()
	addDomain(t, s, d)
	if _, err := s.UpdateDomain(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Deliver(t.Context(), store.CDN, 100, nil); n != 1 || err != nil {
		t.Errorf("Deliver() to nil = %d, %v, want 1, nil", n, err)
	}
	if b, err := s.Backlog(t.Context(), store.CDN); err != nil || b.Edits != 0 {
		t.Errorf("Backlog() = %+v, %v, want an empty backlog", b, err)
	}
}

func limitsDomains(t *testing.T, s DomainsOutbox) {
	want := map[string]bool{}
	for range 3 {
		d := newDomain()
		addDomain(t, s, d)
		for range 2 { // two edits of one domain are delivered as one
			var err error
			if d, err = s.UpdateDomain(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		want[d.ID] = true
	}
	for range 3 {
		ids, _ := deliverDomains(t, s, 2, nil)
		if len(ids) != 1 || !want[ids[0]] {
			t.Fatalf("two edits are edits of %q, want one of %v", ids, want)
		}
		delete(want, ids[0])
	}
}
