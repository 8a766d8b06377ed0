package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// OutboxOptions say what to test.
type OutboxOptions struct {
	// Open returns an empty store and its outbox, and sees to their end with
	// tb.Cleanup. Required.
	Open func(tb testing.TB) (store.Store, store.Outbox)

	// Repeats says that the store has replicas, so that caches are told twice, too.
	Repeats bool
}

// outboxSuite is the outbox under test. Each subtest has one of its own.
type outboxSuite struct {
	suite
	store.Outbox
	repeats bool
}

// RunOutbox tests all promises of store.Outbox.
func RunOutbox(t *testing.T, opts OutboxOptions) {
	t.Helper()
	for _, p := range []struct {
		name string
		test func(t *testing.T, s outboxSuite)
	}{
		{"edits are told of as they are in the store", tellsOfEdits},
		{"what is no edit is not told of", tellsOfNothingElse},
		{"audiences are told by themselves", tellsAudiencesApart},
		{"what was not acknowledged is told of again", retries},
		{"a CDN is told again", tellsCDNAgain},
		{"nobody is not told", tellsNobody},
		{"several edits of a link are one", tellsOnceOfALink},
		{"the limit holds", keepsTheLimit},
		{"the limit is one of edits", limitsEdits},
		{"one delivers at a time", deliversAlone},
		{"a delivery that was cut off loses nothing", losesNothing},
		{"what waits is counted", countsBacklog},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			links, outbox := opts.Open(t)
			p.test(t, outboxSuite{suite{Store: links}, outbox, opts.Repeats})
		})
	}
}

// drain delivers all that is due, repeats included, and returns it.
func (s outboxSuite) drain(t *testing.T, to store.Audience) (told []store.Edit) {
	t.Helper()
	acknowledge := func(_ context.Context, edits []store.Edit) []error {
		told = append(told, edits...)
		return make([]error, len(edits))
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, err := s.Deliver(t.Context(), to, 100, acknowledge)
		if err != nil && !errors.Is(err, store.ErrBusy) { // one that was cut off may not be over at once
			t.Fatalf("Deliver = %v, want nil", err)
		}
		switch b, err := s.Backlog(t.Context(), to); {
		case err != nil:
			t.Fatalf("Backlog = %v, want nil", err)
		case b.Edits == 0:
			return told
		case time.Since(began) > 20*time.Second:
			t.Fatalf("%d edits still wait after 20 s", b.Edits)
		}
	}
}

// wantTold compares what an audience was told, without repeats, with links.
func (s outboxSuite) wantTold(t *testing.T, to store.Audience, told []store.Edit, want ...store.Link) {
	t.Helper()
	var repeats int
	var first []store.Link
	for _, e := range told {
		if e.Repeat {
			repeats++
			continue
		}
		if e.Age < 0 || e.Age > time.Minute {
			t.Errorf("age of the edit of %q = %v, want a moment", e.Link.Code, e.Age)
		}
		e.Link.Clicks, e.Link.LastClickAt = 0, time.Time{}
		first = append(first, e.Link)
	}
	if len(first) != len(want) {
		t.Fatalf("told of %d links, want %d: %+v", len(first), len(want), first)
	}
	for i := range want {
		wantLink(t, "Deliver", first[i], nil, want[i])
	}
	if again := s.repeats || to == store.CDN; again != (repeats > 0) && len(want) > 0 {
		t.Errorf("told again of %d links, want any: %v", repeats, again)
	}
}

func tellsOfEdits(t *testing.T, s outboxSuite) {
	l := s.create(t, newLink())
	l.URL = "https://example.com/edited"
	edited := s.update(t, l)
	other := s.create(t, newLink())
	tombstone := s.remove(t, other.Code)
	s.wantTold(t, store.Caches, s.drain(t, store.Caches), edited, tombstone)
	s.wantTold(t, store.Caches, s.drain(t, store.Caches))
}

func tellsOfNothingElse(t *testing.T, s outboxSuite) {
	l := newLink()
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
	s.wantTold(t, store.Caches, s.drain(t, store.Caches))
}

func tellsAudiencesApart(t *testing.T, s outboxSuite) {
	edited := s.update(t, s.create(t, newLink()))
	for _, a := range store.Audiences() {
		s.wantTold(t, a, s.drain(t, a), edited)
	}
}

func retries(t *testing.T, s outboxSuite) {
	one, other := s.update(t, s.create(t, newLink())), s.update(t, s.create(t, newLink()))
	n, err := s.Deliver(t.Context(), store.Caches, 100, func(_ context.Context, edits []store.Edit) []error {
		errs := make([]error, len(edits))
		for i := range edits {
			if edits[i].Link.Code == other.Code {
				errs[i] = errors.New("is not there")
			}
		}
		return errs
	})
	if n != 2 || err != nil {
		t.Fatalf("Deliver = %d, %v, want 2, nil", n, err)
	}
	told := s.drain(t, store.Caches)
	told = slices.DeleteFunc(told, func(e store.Edit) bool { return e.Link.Code == one.Code && e.Repeat })
	s.wantTold(t, store.Caches, told, other)
}

// tellsCDNAgain holds that a CDN is told again after a while, and of what is new at
// once.
func tellsCDNAgain(t *testing.T, s outboxSuite) {
	edited := s.update(t, s.create(t, newLink()))
	type telling struct {
		edit store.Edit
		at   time.Time
	}
	told := map[string][]telling{}
	deliver := func() {
		t.Helper()
		_, err := s.Deliver(t.Context(), store.CDN, 100, func(_ context.Context, edits []store.Edit) []error {
			for _, e := range edits {
				told[e.Link.Code] = append(told[e.Link.Code], telling{e, time.Now()})
			}
			return make([]error, len(edits))
		})
		if err != nil {
			t.Fatalf("Deliver = %v, want nil", err)
		}
	}
	deliver()
	other := s.update(t, s.create(t, newLink()))
	deliver()
	if len(told[edited.Code]) == 0 || len(told[other.Code]) == 0 {
		t.Fatalf("told of %v, want both links at once", told)
	}
	for _, code := range []string{edited.Code, other.Code} {
		for began := time.Now(); len(told[code]) < 2; time.Sleep(10 * time.Millisecond) {
			if deliver(); time.Since(began) > 30*time.Second {
				t.Fatal("a CDN was not told again in 30 s")
			}
		}
		first, second := told[code][0], told[code][1]
		const exact = 200 * time.Millisecond // clocks differ
		if after := second.at.Sub(first.at); first.edit.Repeat || !second.edit.Repeat || after < store.AgainAfter-exact {
			t.Errorf("told again after %v, repeats %v and %v, want the second alone to be one, after %v",
				after, first.edit.Repeat, second.edit.Repeat, store.AgainAfter)
		}
	}
	s.wantTold(t, store.CDN, s.drain(t, store.CDN))
}

// tellsNobody holds that edits of which nobody is told are gone at once.
func tellsNobody(t *testing.T, s outboxSuite) {
	s.update(t, s.create(t, newLink()))
	for _, a := range store.Audiences() {
		if n, err := s.Deliver(t.Context(), a, 100, nil); n != 1 || err != nil {
			t.Errorf("Deliver to nobody = %d, %v, want 1, nil", n, err)
		}
		if b, err := s.Backlog(t.Context(), a); err != nil || b.Edits != 0 {
			t.Errorf("Backlog = %+v, %v, want nothing", b, err)
		}
	}
}

func tellsOnceOfALink(t *testing.T, s outboxSuite) {
	l := s.create(t, newLink())
	for range 3 {
		l = s.update(t, l)
	}
	s.wantTold(t, store.Caches, s.drain(t, store.Caches), l)
}

func keepsTheLimit(t *testing.T, s outboxSuite) {
	var want []store.Link
	for range 5 {
		want = append(want, s.update(t, s.create(t, newLink())))
	}
	var told []store.Edit
	n, err := s.Deliver(t.Context(), store.CDN, 2, func(_ context.Context, edits []store.Edit) []error {
		told = append(told, edits...)
		return make([]error, len(edits))
	})
	if n != 2 || err != nil || len(told) != 2 {
		t.Errorf("Deliver = %d, %v, and told of %d, want 2", n, err, len(told))
	}
	s.wantTold(t, store.CDN, append(told, s.drain(t, store.CDN)...), want...)
}

func limitsEdits(t *testing.T, s outboxSuite) {
	l := s.create(t, newLink())
	for range 3 {
		l = s.update(t, l)
	}
	n, err := s.Deliver(t.Context(), store.Caches, 2, func(_ context.Context, edits []store.Edit) []error {
		if len(edits) != 1 || edits[0].Link.Version != l.Version {
			t.Errorf("told of %+v, want version %d of one link", edits, l.Version)
		}
		return make([]error, len(edits))
	})
	if n != 2 || err != nil {
		t.Errorf("Deliver = %d, %v, want 2, as many edits as the limit", n, err)
	}
}

func deliversAlone(t *testing.T, s outboxSuite) {
	edited := s.update(t, s.create(t, newLink()))
	_, err := s.Deliver(t.Context(), store.Caches, 100, func(ctx context.Context, edits []store.Edit) []error {
		_, err := s.Deliver(ctx, store.Caches, 100, func(context.Context, []store.Edit) []error {
			t.Error("two deliver at the same time")
			return make([]error, 1)
		})
		if !errors.Is(err, store.ErrBusy) {
			t.Errorf("Deliver meanwhile = %v, want ErrBusy", err)
		}
		return []error{errors.New("later")}
	})
	if err != nil {
		t.Errorf("Deliver = %v, want nil", err)
	}
	s.wantTold(t, store.Caches, s.drain(t, store.Caches), edited)
}

func losesNothing(t *testing.T, s outboxSuite) {
	edited := s.update(t, s.create(t, newLink()))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Deliver(ctx, store.Caches, 100, func(_ context.Context, edits []store.Edit) []error {
		cancel()
		return make([]error, len(edits))
	})
	if err == nil {
		t.Error("Deliver with an ended context = nil, want an error")
	}
	s.wantTold(t, store.Caches, s.drain(t, store.Caches), edited)
}

func countsBacklog(t *testing.T, s outboxSuite) {
	for range 3 {
		s.update(t, s.create(t, newLink()))
	}
	if b, err := s.Backlog(t.Context(), store.CDN); err != nil || b.Edits != 3 || b.Oldest <= 0 {
		t.Errorf("Backlog = %+v, %v, want 3 edits with an age", b, err)
	}
	s.drain(t, store.CDN)
	if b, err := s.Backlog(t.Context(), store.CDN); err != nil || b != (store.Backlog{}) {
		t.Errorf("Backlog = %+v, %v, want nothing", b, err)
	}
}
