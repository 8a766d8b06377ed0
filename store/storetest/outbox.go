package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// patience is how long a delivery may take. Only a broken store needs longer.
const patience = 2 * time.Minute

// OutboxOptions say what to test.
type OutboxOptions struct {
	// Open returns an empty store and its outbox, and closes both with tb.Cleanup.
	// Required.
	Open func(tb testing.TB) (store.Store, store.Outbox)

	// Repeats says that the store has replicas: the outbox then delivers each edit
	// to caches a second time, once all replicas show it.
	Repeats bool
}

// outboxSuite is the outbox under test. Each subtest has its own.
type outboxSuite struct {
	suite
	store.Outbox
	repeats bool
}

// RunOutbox tests all promises of store.Outbox.
func RunOutbox(t *testing.T, opts OutboxOptions) {
	t.Helper()
	onDomains(t, func(t *testing.T, m maker) { runOutbox(t, opts, m) })
}

func runOutbox(t *testing.T, opts OutboxOptions, m maker) {
	t.Helper()
	for _, p := range []struct {
		name string
		test func(t *testing.T, s outboxSuite)
	}{
		{"delivers edits with the link as stored", deliversEdits},
		{"delivers restored links", deliversRestored},
		{"delivers nothing but edits", deliversNothingElse},
		{"each audience gets every edit", audiencesApart},
		{"delivers again what was not acknowledged", retries},
		{"a CDN gets each edit twice", repeatsToCDN},
		{"without a receiver edits are removed", noReceiver},
		{"several edits of a link are delivered as one", mergesEdits},
		{"the limit is kept", keepsTheLimit},
		{"the limit counts edits, not links", limitsEdits},
		{"one delivery at a time", deliversAlone},
		{"a canceled delivery loses nothing", losesNothing},
		{"the backlog is counted", countsBacklog},
		{"the latest edits are repeated", repeatsTheLatest},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			links, outbox := opts.Open(t)
			p.test(t, outboxSuite{suite{Store: links, maker: m}, outbox, opts.Repeats})
		})
	}
}

// drain delivers all edits, repeats included, until the backlog is empty. It returns
// the delivered edits.
func (s outboxSuite) drain(t *testing.T, to store.Audience) (delivered []store.Edit) {
	t.Helper()
	acknowledge := func(_ context.Context, edits []store.Edit) []error {
		delivered = append(delivered, edits...)
		return make([]error, len(edits))
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, err := s.Deliver(t.Context(), to, 100, acknowledge)
		if err != nil && !errors.Is(err, store.ErrBusy) { // a canceled delivery may still be running
			t.Fatalf("Deliver = %v, want nil", err)
		}
		switch b, err := s.Backlog(t.Context(), to); {
		case err != nil:
			t.Fatalf("Backlog = %v, want nil", err)
		case b.Edits == 0:
			return delivered
		case time.Since(began) > patience:
			t.Fatalf("%d edits are still in the backlog after %v", b.Edits, patience)
		}
	}
}

// wantDelivered checks that the edits, without repeats, are the links in want.
// It also checks whether there were repeats.
func (s outboxSuite) wantDelivered(t *testing.T, to store.Audience, delivered []store.Edit, want ...store.Link) {
	t.Helper()
	var repeats int
	var first []store.Link
	for _, e := range delivered {
		if e.Repeat {
			repeats++
			continue
		}
		if e.Age < 0 || e.Age > time.Minute {
			t.Errorf("age of the edit of %q = %v, want less than a minute", e.Link.Code, e.Age)
		}
		e.Link.Clicks, e.Link.Robots, e.Link.LastClickAt = 0, 0, time.Time{}
		first = append(first, e.Link)
	}
	if len(first) != len(want) {
		t.Fatalf("delivered %d links, want %d: %+v", len(first), len(want), first)
	}
	for i := range want {
		wantLink(t, "Deliver", first[i], nil, want[i])
	}
	if again := s.repeats || to == store.CDN; again != (repeats > 0) && len(want) > 0 {
		t.Errorf("delivered %d repeats, want repeats: %t", repeats, again)
	}
}

func deliversEdits(t *testing.T, s outboxSuite) {
	l := s.create(t, s.newLink())
	l.URL = "https://example.com/edited"
	edited := s.update(t, l)
	other := s.create(t, s.newLink())
	tombstone := s.remove(t, other.Code)
	s.wantDelivered(t, store.Caches, s.drain(t, store.Caches), edited, tombstone)
	s.wantDelivered(t, store.Caches, s.drain(t, store.Caches))
}

func deliversRestored(t *testing.T, s outboxSuite) {
	l := s.newLink()
	tombstone := s.deleted(t, l)
	for _, a := range store.Audiences() {
		s.drain(t, a)
	}
	l.Version = tombstone.Version
	l, err := s.Restore(t.Context(), l)
	if err != nil {
		t.Fatalf("Restore = %v, want nil", err)
	}
	for _, a := range store.Audiences() {
		s.wantDelivered(t, a, s.drain(t, a), l)
	}
}

func deliversNothingElse(t *testing.T, s outboxSuite) {
	l := s.newLink()
	l.MaxClicks = 3
	l = s.create(t, l)
	if _, err := s.Consume(t.Context(), l.Code, after(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), l); !errors.Is(err, store.ErrExists) {
		t.Fatalf("Create = %v, want ErrExists", err)
	}
	l.Version = 7
	if _, err := s.Update(t.Context(), l); !errors.Is(err, store.ErrVersion) {
		t.Fatalf("Update = %v, want ErrVersion", err)
	}
	if _, err := s.Delete(t.Context(), l.Code, 7, after(1)); !errors.Is(err, store.ErrVersion) {
		t.Fatalf("Delete = %v, want ErrVersion", err)
	}
	s.wantDelivered(t, store.Caches, s.drain(t, store.Caches))
}

func audiencesApart(t *testing.T, s outboxSuite) {
	edited := s.update(t, s.create(t, s.newLink()))
	for _, a := range store.Audiences() {
		s.wantDelivered(t, a, s.drain(t, a), edited)
	}
}

func retries(t *testing.T, s outboxSuite) {
	one, other := s.update(t, s.create(t, s.newLink())), s.update(t, s.create(t, s.newLink()))
	n, err := s.Deliver(t.Context(), store.Caches, 100, func(_ context.Context, edits []store.Edit) []error {
		errs := make([]error, len(edits))
		for i := range edits {
			if edits[i].Link.Code == other.Code {
				errs[i] = errors.New("unreachable")
			}
		}
		return errs
	})
	if n != 2 || err != nil {
		t.Fatalf("Deliver = %d, %v, want 2, nil", n, err)
	}
	delivered := s.drain(t, store.Caches)
	delivered = slices.DeleteFunc(delivered, func(e store.Edit) bool { return e.Link.Code == one.Code && e.Repeat })
	s.wantDelivered(t, store.Caches, delivered, other)
}

// repeatsToCDN checks that a CDN gets an edit at once, and again after
// store.AgainAfter.
func repeatsToCDN(t *testing.T, s outboxSuite) {
	edited := s.update(t, s.create(t, s.newLink()))
	type delivery struct {
		edit         store.Edit
		began, ended time.Time // of the delivery, by this process's clock
	}
	delivered := map[string][]delivery{}
	deliver := func() {
		t.Helper()
		began := time.Now()
		_, err := s.Deliver(t.Context(), store.CDN, 100, func(_ context.Context, edits []store.Edit) []error {
			for _, e := range edits {
				delivered[e.Link.Code] = append(delivered[e.Link.Code], delivery{e, began, time.Now()})
			}
			return make([]error, len(edits))
		})
		if err != nil {
			t.Fatalf("Deliver = %v, want nil", err)
		}
	}
	deliver()
	other := s.update(t, s.create(t, s.newLink()))
	deliver()
	if len(delivered[edited.Code]) == 0 || len(delivered[other.Code]) == 0 {
		t.Fatalf("delivered %v, want both links at once", delivered)
	}
	for _, code := range []string{edited.Code, other.Code} {
		for began := time.Now(); len(delivered[code]) < 2; time.Sleep(10 * time.Millisecond) {
			if deliver(); time.Since(began) > patience {
				t.Fatalf("no second delivery to the CDN within %v", patience)
			}
		}
		first, second := delivered[code][0], delivered[code][1]
		const tolerance = 200 * time.Millisecond // the store may use the clock of its database
		if after := second.ended.Sub(first.began); first.edit.Repeat || !second.edit.Repeat || after < store.AgainAfter-tolerance {
			t.Errorf("second delivery after %v, Repeat %t and %t, want false and true, after %v",
				after, first.edit.Repeat, second.edit.Repeat, store.AgainAfter)
		}
	}
	s.wantDelivered(t, store.CDN, s.drain(t, store.CDN))
}

// noReceiver checks that a nil function removes all edits of an audience.
func noReceiver(t *testing.T, s outboxSuite) {
	s.update(t, s.create(t, s.newLink()))
	for _, a := range store.Audiences() {
		if n, err := s.Deliver(t.Context(), a, 100, nil); n != 1 || err != nil {
			t.Errorf("Deliver to nil = %d, %v, want 1, nil", n, err)
		}
		if b, err := s.Backlog(t.Context(), a); err != nil || b.Edits != 0 {
			t.Errorf("Backlog = %+v, %v, want an empty backlog", b, err)
		}
	}
}

func mergesEdits(t *testing.T, s outboxSuite) {
	l := s.create(t, s.newLink())
	for range 3 {
		l = s.update(t, l)
	}
	s.wantDelivered(t, store.Caches, s.drain(t, store.Caches), l)
}

func keepsTheLimit(t *testing.T, s outboxSuite) {
	var want []store.Link
	for range 5 {
		want = append(want, s.update(t, s.create(t, s.newLink())))
	}
	var delivered []store.Edit
	n, err := s.Deliver(t.Context(), store.CDN, 2, func(_ context.Context, edits []store.Edit) []error {
		delivered = append(delivered, edits...)
		return make([]error, len(edits))
	})
	if n != 2 || err != nil || len(delivered) != 2 {
		t.Errorf("Deliver = %d, %v, with %d links, want 2", n, err, len(delivered))
	}
	s.wantDelivered(t, store.CDN, append(delivered, s.drain(t, store.CDN)...), want...)
}

func limitsEdits(t *testing.T, s outboxSuite) {
	l := s.create(t, s.newLink())
	for range 3 {
		l = s.update(t, l)
	}
	n, err := s.Deliver(t.Context(), store.Caches, 2, func(_ context.Context, edits []store.Edit) []error {
		if len(edits) != 1 || edits[0].Link.Version != l.Version {
			t.Errorf("delivered %+v, want version %d of one link", edits, l.Version)
		}
		return make([]error, len(edits))
	})
	if n != 2 || err != nil {
		t.Errorf("Deliver = %d, %v, want 2, the limit", n, err)
	}
}

func deliversAlone(t *testing.T, s outboxSuite) {
	edited := s.update(t, s.create(t, s.newLink()))
	_, err := s.Deliver(t.Context(), store.Caches, 100, func(ctx context.Context, edits []store.Edit) []error {
		_, err := s.Deliver(ctx, store.Caches, 100, func(context.Context, []store.Edit) []error {
			t.Error("two deliveries run at the same time")
			return make([]error, 1)
		})
		if !errors.Is(err, store.ErrBusy) {
			t.Errorf("second Deliver = %v, want ErrBusy", err)
		}
		return []error{errors.New("later")}
	})
	if err != nil {
		t.Errorf("Deliver = %v, want nil", err)
	}
	s.wantDelivered(t, store.Caches, s.drain(t, store.Caches), edited)
}

func losesNothing(t *testing.T, s outboxSuite) {
	edited := s.update(t, s.create(t, s.newLink()))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Deliver(ctx, store.Caches, 100, func(_ context.Context, edits []store.Edit) []error {
		cancel()
		return make([]error, len(edits))
	})
	if err == nil {
		t.Error("Deliver with a canceled context = nil, want an error")
	}
	s.wantDelivered(t, store.Caches, s.drain(t, store.Caches), edited)
}

func countsBacklog(t *testing.T, s outboxSuite) {
	for range 3 {
		s.update(t, s.create(t, s.newLink()))
	}
	if b, err := s.Backlog(t.Context(), store.CDN); err != nil || b.Edits != 3 || b.Oldest <= 0 {
		t.Errorf("Backlog = %+v, %v, want 3 edits with an age", b, err)
	}
	s.drain(t, store.CDN)
	if b, err := s.Backlog(t.Context(), store.CDN); err != nil || b != (store.Backlog{}) {
		t.Errorf("Backlog = %+v, %v, want an empty backlog", b, err)
	}
}

// repeatsTheLatest checks that Repeat makes acknowledged edits due again: edits within
// the given time only, each link once, and no link whose edit is due anyway.
func repeatsTheLatest(t *testing.T, s outboxSuite) {
	l := s.update(t, s.create(t, s.newLink()))
	edited, removed := s.update(t, l), s.remove(t, s.create(t, s.newLink()).Code)
	s.drain(t, store.Caches)
	began := time.Now()
	for _, within := range []time.Duration{0, time.Minute} {
		if err := s.Repeat(t.Context(), store.Caches, within); err != nil {
			t.Fatalf("Repeat within %v = %v, want nil", within, err)
		}
		told := s.drain(t, store.Caches)
		if within == 0 {
			if len(told) != 0 {
				t.Errorf("Repeat within no time made %d edits due, want none", len(told))
			}
			continue
		}
		versions := map[string]int64{}
		for _, e := range told {
			if versions[e.Link.Code] != 0 {
				t.Errorf("%q was repeated twice", e.Link.Code)
			}
			versions[e.Link.Code] = e.Link.Version
			if s.repeats && !e.Repeat {
				t.Errorf("the edit of %q is not marked as a repeat", e.Link.Code)
			}
		}
		if time.Since(began) < within && (len(versions) != 2 || versions[edited.Code] != edited.Version || versions[removed.Code] != removed.Version) {
			t.Errorf("repeated versions = %v, want the latest of both links", versions)
		}
	}

	s.update(t, edited)
	for range 2 {
		if err := s.Repeat(t.Context(), store.CDN, time.Minute); err != nil {
			t.Fatalf("Repeat = %v, want nil", err)
		}
	}
	if b, err := s.Backlog(t.Context(), store.CDN); err != nil || b.Edits != 4 {
		t.Errorf("Backlog after Repeat of unacknowledged edits = %+v, %v, want the 4 edits alone", b, err)
	}
}
