package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

var reservePromises = []promise{
	{"first reservation stands", firstStands},
	{"owners and keys are independent", reservationsApart},
	{"replaces exactly the named code", replacesReservation},
	{"stands for as long as promised", longReservation},
	{"one reservation stands under concurrency", oneReservation},
	{"creates the link with its reservation", createsOnce},
	{"creates nothing when another reservation stands", createsNothing},
	{"repeated create returns the link", repeatsCreate},
	{"completes a reservation without a link", completesReservation},
	{"reserves a code that is taken", reservesTaken},
	{"concurrent creates make one link", oneCreate},
}

// newReservation returns a reservation made now, so that it has not expired.
func (m maker) newReservation() store.Reservation {
	return store.Reservation{
		Owner: newOwner(), Key: "key", Fingerprint: "fingerprint", Code: m.newCode(),
		CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
}

// wantReserve checks that want is the standing reservation after r.
func (s suite) wantReserve(t *testing.T, r, want store.Reservation) {
	t.Helper()
	got, err := s.Reserve(t.Context(), r)
	if err != nil || got != want {
		t.Errorf("Reserve(%+v) = %+v, %v, want %+v", r, got, err, want)
	}
}

func firstStands(t *testing.T, s suite) {
	first := s.newReservation()
	s.wantReserve(t, first, first)
	second := first
	second.Fingerprint, second.Code = "other", s.newCode()
	second.CreatedAt = first.CreatedAt.Add(time.Second)
	s.wantReserve(t, second, first)
	s.wantReserve(t, first, first)
}

func reservationsApart(t *testing.T, s suite) {
	first := s.newReservation()
	otherOwner, otherKey, anonymous := s.newReservation(), s.newReservation(), s.newReservation()
	otherKey.Owner, otherKey.Key = first.Owner, "KEY"
	anonymous.Owner, anonymous.Key = "", newOwner()
	for _, r := range []store.Reservation{first, otherOwner, otherKey, anonymous} {
		s.wantReserve(t, r, r)
	}
}

func replacesReservation(t *testing.T, s suite) {
	first := s.newReservation()
	s.wantReserve(t, first, first)

	move := first
	move.Code, move.Replaces = s.newCode(), s.newCode()
	move.CreatedAt = first.CreatedAt.Add(time.Second)
	s.wantReserve(t, move, first)

	moved := first
	move.Replaces, moved.Code = first.Code, move.Code
	s.wantReserve(t, move, moved)
	s.wantReserve(t, first, moved)

	late := move
	late.Code = s.newCode()
	s.wantReserve(t, late, moved)

	alone := s.newReservation()
	alone.Replaces = s.newCode()
	want := alone
	want.Replaces = ""
	s.wantReserve(t, alone, want)
}

func longReservation(t *testing.T, s suite) {
	first := s.newReservation()
	s.wantReserve(t, first, first)
	late := first
	late.Code, late.CreatedAt = s.newCode(), first.CreatedAt.Add(store.ReservationTTL)
	s.wantReserve(t, late, first)
}

func oneReservation(t *testing.T, s suite) {
	r := s.newReservation()
	stood := make([]store.Reservation, 50)
	for _, err := range race(50, func(i int) (err error) {
		mine := r
		mine.Code = s.newCode()
		stood[i], err = s.Reserve(t.Context(), mine)
		return err
	}) {
		if err != nil {
			t.Errorf("Reserve() = %v, want nil", err)
		}
	}
	for _, got := range stood {
		if got != stood[0] {
			t.Errorf("Reserve() = %+v and %+v, want one reservation", got, stood[0])
		}
	}
}

// once returns a link and the reservation under which it is created.
func (m maker) once() (store.Link, store.Reservation) {
	l, r := m.newLink(), m.newReservation()
	l.Owner, l.RequestID, r.Code = r.Owner, r.Key, l.Code
	return l, r
}

// wantCreateOnce checks what a create answers, and what is stored then under its code.
func (s suite) wantCreateOnce(t *testing.T, l store.Link, r store.Reservation, made bool, stands store.Reservation, want error) {
	t.Helper()
	got, standing, err := s.CreateOnce(t.Context(), l, r)
	if !errors.Is(err, want) || standing != stands || (got.Version == 1 && got.Code == l.Code && got.URL == l.URL) != made {
		t.Errorf("CreateOnce(%q) = %q version %d, %+v, %v, want made %v, %+v, %v", l.Code, got.Code, got.Version, standing, err, made, stands, want)
	}
	stored, err := s.Get(t.Context(), l.Code)
	switch {
	case made && (err != nil || stored.URL != l.URL || stored.RequestID != l.RequestID):
		t.Errorf("Get(%q) = %q, %v, want %q", l.Code, stored.URL, err, l.URL)
	case !made && want == nil && !errors.Is(err, store.ErrNotFound):
		t.Errorf("Get(%q) = %q, %v, want %v", l.Code, stored.URL, err, store.ErrNotFound)
	}
}

func createsOnce(t *testing.T, s suite) {
	l, r := s.once()
	s.wantCreateOnce(t, l, r, true, r, nil)
	s.wantReserve(t, r, r)
}

func createsNothing(t *testing.T, s suite) {
	l, r := s.once()
	s.wantCreateOnce(t, l, r, true, r, nil)
	other, again := s.once()
	other.Owner, again.Owner = l.Owner, r.Owner
	s.wantCreateOnce(t, other, again, false, r, nil)

	otherBody := r // of the same code, as an alias is
	otherBody.Fingerprint = "other"
	got, stands, err := s.CreateOnce(t.Context(), l, otherBody)
	if err != nil || got.Version != 0 || stands != r {
		t.Errorf("CreateOnce() with another fingerprint = version %d, %+v, %v, want none, %+v, nil", got.Version, stands, err, r)
	}
}

func repeatsCreate(t *testing.T, s suite) {
	l, r := s.once()
	s.wantCreateOnce(t, l, r, true, r, nil)
	later := r
	later.CreatedAt = r.CreatedAt.Add(time.Second)
	s.wantCreateOnce(t, l, later, true, r, nil)
}

func completesReservation(t *testing.T, s suite) {
	l, r := s.once()
	s.wantReserve(t, r, r)
	s.wantCreateOnce(t, l, r, true, r, nil)
}

func reservesTaken(t *testing.T, s suite) {
	l, r := s.once()
	taken := l
	taken.Owner, taken.RequestID = newOwner(), ""
	if _, err := s.Create(t.Context(), taken); err != nil {
		t.Fatalf("Create() = %v, want nil", err)
	}
	s.wantCreateOnce(t, l, r, false, r, store.ErrExists)
}

func oneCreate(t *testing.T, s suite) {
	l, r := s.once()
	made, stood := make([]store.Link, 50), make([]store.Reservation, 50)
	for _, err := range race(50, func(i int) (err error) {
		mine, under := l, r
		mine.Code = s.newCode()
		under.Code = mine.Code
		made[i], stood[i], err = s.CreateOnce(t.Context(), mine, under)
		return err
	}) {
		if err != nil {
			t.Errorf("CreateOnce() = %v, want nil", err)
		}
	}
	var links int
	for i := range made {
		if made[i].Version == 0 {
			made[i].Code = "none"
		} else {
			links++
		}
		if stood[i] != stood[0] || made[i].Version > 0 && made[i].Code != stood[i].Code {
			t.Errorf("CreateOnce() = %q, %+v, want the link of the reservation that stands: %+v", made[i].Code, stood[i], stood[0])
		}
	}
	if links != 1 {
		t.Errorf("%d links were made under one key, want 1", links)
	}
}
