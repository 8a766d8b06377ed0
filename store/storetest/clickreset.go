package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

func strayDays(t *testing.T, s clickDaySuite) {
	unknown, live := s.newLink(), s.create(t, s.newLink())
	tombstone := s.create(t, s.newLink())
	s.remove(t, tombstone.Code)
	s.addDays(t, newOwner(), 1, dayOf(unknown.Code, testDay, "x"), dayOf(tombstone.Code, testDay, "x"), dayOf(live.Code, testDay, "x"))
	s.fold(t)
	s.wantDay(t, store.ClickLink, live.Code, "x")
	for _, l := range []store.Link{unknown, tombstone} {
		s.wantDay(t, store.ClickLink, l.Code, "")
		s.wantDay(t, store.ClickOwner, l.Owner, "")
	}
}

func deleteDropsDays(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"), dayOf(l.Code, testDay-400, "b"))
	s.fold(t)
	s.addDays(t, r, 2, dayOf(l.Code, testDay, "c"))
	s.remove(t, l.Code)
	s.addDays(t, r, 3, dayOf(l.Code, testDay, "d"))
	s.fold(t)
	if got := s.list(t, store.ClickLink, 0, store.MaxClickDay, l.Code); got != nil {
		t.Errorf("ListClickDays() of a deleted link = %q, want none", got)
	}
	// Another subtest may fold c before the delete.
	if got := s.list(t, store.ClickOwner, testDay, testDay+1, l.Owner); len(got) != 1 || !strings.Contains(got[0], " a") || strings.HasSuffix(got[0], "d") {
		t.Errorf("ListClickDays() of the owner = %q, want the clicks before the delete", got)
	}
}

func restoreStartsWithoutDays(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"))
	s.fold(t)
	s.addDays(t, r, 2, dayOf(l.Code, testDay, "b"))
	tombstone := s.remove(t, l.Code)
	l.Version = tombstone.Version
	if _, err := s.Restore(t.Context(), l); err != nil {
		t.Fatalf("Restore() = %v, want nil", err)
	}
	s.addDays(t, r, 3, dayOf(l.Code, testDay, "c"))
	s.fold(t)
	s.wantDay(t, store.ClickLink, l.Code, "c")
	s.wantTotals(t, l.Code, 1, after(1))
}

func resetsClicks(t *testing.T, s clickDaySuite) {
	l, r := s.newLink(), newOwner()
	other := s.newLink()
	other.Owner = l.Owner
	s.create(t, l)
	s.create(t, other)
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"), dayOf(l.Code, testDay-400, "b"), dayOf(other.Code, testDay, "c"))
	s.fold(t)
	s.addDays(t, r, 2, dayOf(l.Code, testDay, "d"), dayOf(other.Code, testDay, "e"))
	if err := s.days.ResetClicks(t.Context(), l.Code); err != nil {
		t.Fatalf("ResetClicks() = %v, want nil", err)
	}
	s.wantTotals(t, l.Code, 0, time.Time{})
	if got := s.list(t, store.ClickLink, 0, store.MaxClickDay, l.Code); got != nil {
		t.Errorf("ListClickDays() after a reset = %q, want none", got)
	}
	s.addDays(t, r, 3, dayOf(l.Code, testDay, "f"))
	s.fold(t)
	s.wantDay(t, store.ClickLink, l.Code, "f")
	s.wantDay(t, store.ClickLink, other.Code, "ce")
	s.wantTotals(t, l.Code, 1, after(1))
	if got := s.list(t, store.ClickOwner, testDay, testDay+1, l.Owner); len(got) != 1 || !strings.Contains(got[0], "a") {
		t.Errorf("ListClickDays() of the owner = %q, want a day that has the clicks before the reset", got)
	}
}

func resetsUnknown(t *testing.T, s clickDaySuite) {
	for _, code := range []string{s.newCode(), s.create(t, s.newLink()).Code} {
		if err := s.days.ResetClicks(t.Context(), code); err != nil {
			t.Errorf("ResetClicks(%q) = %v, want nil", code, err)
		}
	}
}
