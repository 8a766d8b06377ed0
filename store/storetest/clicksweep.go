package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// sweep sweeps until no step remains, and returns the number of steps.
func (s clickDaySuite) sweep(t *testing.T, r store.ClickRetention) (steps int) {
	t.Helper()
	for _, f := range s.folders {
		for more := true; more; steps++ {
			var err error
			if more, err = f.SweepClicks(t.Context(), r); err != nil {
				t.Fatalf("SweepClicks() = %v, want nil", err)
			}
			if steps > 1000 {
				t.Fatal("SweepClicks() never ends")
			}
		}
	}
	return steps
}

// day returns the ClickDay.Day of a date in 2026.
func day(month time.Month, of int) int32 {
	return store.DayOf(time.Date(2026, month, of, 0, 0, 0, 0, time.UTC))
}

// coarsen is a ClickRetention.Coarsen that shows that it ran, and how often.
func coarsen(d store.ClickDay) ([]byte, error) { return append(d.Data, '!'), nil }

func sweepsDays(t *testing.T, s clickDaySuite) {
	l := s.create(t, s.newLink())
	want := func(what string, texts ...string) {
		t.Helper()
		var got []string
		for _, row := range s.list(t, store.ClickLink, 0, store.MaxClickDay, l.Code) {
			got = append(got, strings.Fields(row)[2])
		}
		if !slices.Equal(got, texts) {
			t.Errorf("days %s = %q, want %q", what, got, texts)
		}
	}
	s.addDays(t, newOwner(), 1, dayOf(l.Code, day(1, 31), "jan"), dayOf(l.Code, day(2, 1), "feb"), dayOf(l.Code, day(2, 28), "feb"),
		dayOf(l.Code, day(3, 1), "mar"), dayOf(l.Code, day(4, 30), "apr"))
	s.fold(t)
	s.sweep(t, store.ClickRetention{})
	want("after a sweep without limits", "jan", "feb", "feb", "mar", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(2, 28), Coarsen: coarsen})
	want("before the end of February", "jan!", "feb", "feb", "mar", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(3, 1), Coarsen: coarsen})
	want("after the end of February", "jan!", "feb!", "feb!", "mar", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(3, 31), Coarsen: coarsen})
	want("after the same sweep", "jan!", "feb!", "feb!", "mar", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(4, 2), DropBefore: day(2, 20), Coarsen: coarsen})
	want("after January is dropped", "feb!", "feb!", "mar!", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(4, 2), DropBefore: day(4, 1), Coarsen: coarsen})
	want("after March is dropped", "apr")
	s.addDays(t, newOwner(), 1, dayOf(l.Code, day(3, 3), "late"))
	s.fold(t)
	want("after a late click", "late", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(5, 1), DropBefore: day(5, 1), Coarsen: coarsen})
	want("after all is dropped")
	if got := s.list(t, store.ClickOwner, 0, store.MaxClickDay, l.Owner); got != nil {
		t.Errorf("days of the owner after all is dropped = %q, want none", got)
	}
}

func sweepsInSteps(t *testing.T, s clickDaySuite) {
	const links, days = 30, 40
	r := newOwner()
	owner := newOwner()
	for i := range links {
		l := s.newLink()
		l.Owner = owner
		s.create(t, l)
		var batch []store.ClickDay
		for n := range int32(days) {
			batch = append(batch, dayOf(l.Code, day(1, 1)+n, "x"))
		}
		s.addDays(t, r, int64(i+1), batch...)
	}
	s.fold(t)
	retention := store.ClickRetention{CoarseBefore: day(2, 1), Coarsen: coarsen}
	failing, broken := retention, errors.New("broken")
	failing.Coarsen = func(store.ClickDay) ([]byte, error) { return nil, broken }
	for _, f := range s.folders {
		if _, err := f.SweepClicks(t.Context(), failing); !errors.Is(err, broken) && len(s.folders) == 1 {
			t.Errorf("SweepClicks() = %v, want %v", err, broken)
		}
	}
	if steps := s.sweep(t, retention); steps < links*days/1000 {
		t.Errorf("%d steps for %d rows, want short steps", steps, links*days)
	}
	for n, row := range s.list(t, store.ClickOwner, 0, store.MaxClickDay, owner) {
		// Each shard has a part of the sum.
		if coarse, january := strings.Count(row, "!"), n < 31; january != (coarse >= 1 && coarse <= len(s.folders)) {
			t.Errorf("row %d of the owner = %q, want one ! of each shard in January, and none later", n, row)
		}
	}
	s.sweep(t, store.ClickRetention{DropBefore: day(2, 1)})
	if got := s.list(t, store.ClickOwner, 0, store.MaxClickDay, owner); len(got) != days-31 {
		t.Errorf("%d days after January is dropped, want %d", len(got), days-31)
	}
}
