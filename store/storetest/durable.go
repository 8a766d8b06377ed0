package storetest

import (
	"slices"
	"testing"

	"github.com/terse/terse/store"
)

// RunDurable tests that a store keeps everything when it is closed and opened
// again. open returns an empty store, and a function that closes this store and
// opens it again. Both stores are closed with tb.Cleanup.
func RunDurable(t *testing.T, open func(tb testing.TB) (s store.Store, reopen func() store.Store)) {
	t.Helper()
	onDomains(t, func(t *testing.T, m maker) {
		links, reopen := open(t)
		runDurable(t, suite{Store: links, maker: m}, reopen)
	})
}

func runDurable(t *testing.T, s suite, reopen func() store.Store) {
	t.Helper()
	created := s.create(t, s.fresh())
	edited := s.create(t, s.fresh())
	edited.URL, edited.Owner = "https://example.org/", created.Owner
	edited = s.update(t, edited)
	used := s.newLink()
	used.MaxClicks = 1
	used = s.create(t, used)
	used, err := s.Consume(t.Context(), used.Code, epoch)
	if err != nil {
		t.Fatalf("Consume() = %v, want nil", err)
	}
	deleted := s.remove(t, s.create(t, s.newLink()).Code)
	reserved := s.newReservation()
	s.wantReserve(t, reserved, reserved)

	s.Store = reopen()
	for _, want := range []store.Link{created, edited, used, deleted} {
		s.wantStored(t, want)
	}
	other := reserved
	other.Code = s.newCode()
	s.wantReserve(t, other, reserved)
	page, err := s.List(t.Context(), store.Query{Owner: created.Owner, Limit: 1})
	if got := codes(page.Links); err != nil || !slices.Equal(got, []string{created.Code}) {
		t.Errorf("List() = %q, %v, want %q", got, err, created.Code)
	}
}
