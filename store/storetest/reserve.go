package storetest

import (
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
}

// newReservation returns a reservation made now, so that it has not expired.
func newReservation() store.Reservation {
	return store.Reservation{
		Owner: newOwner(), Key: "key", Fingerprint: "fingerprint", Code: newCode(),
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
	first := newReservation()
	s.wantReserve(t, first, first)
	second := first
	second.Fingerprint, second.Code = "other", newCode()
	second.CreatedAt = first.CreatedAt.Add(time.Second)
	s.wantReserve(t, second, first)
	s.wantReserve(t, first, first)
}

func reservationsApart(t *testing.T, s suite) {
	first := newReservation()
	otherOwner, otherKey, anonymous := newReservation(), newReservation(), newReservation()
	otherKey.Owner, otherKey.Key = first.Owner, "KEY"
	anonymous.Owner, anonymous.Key = "", newOwner()
	for _, r := range []store.Reservation{first, otherOwner, otherKey, anonymous} {
		s.wantReserve(t, r, r)
	}
}

func replacesReservation(t *testing.T, s suite) {
	first := newReservation()
	s.wantReserve(t, first, first)

	move := first
	move.Code, move.Replaces = newCode(), newCode()
	move.CreatedAt = first.CreatedAt.Add(time.Second)
	s.wantReserve(t, move, first)

	moved := first
	move.Replaces, moved.Code = first.Code, move.Code
	s.wantReserve(t, move, moved)
	s.wantReserve(t, first, moved)

	late := move
	late.Code = newCode()
	s.wantReserve(t, late, moved)

	alone := newReservation()
	alone.Replaces = newCode()
	want := alone
	want.Replaces = ""
	s.wantReserve(t, alone, want)
}

func longReservation(t *testing.T, s suite) {
	first := newReservation()
	s.wantReserve(t, first, first)
	late := first
	late.Code, late.CreatedAt = newCode(), first.CreatedAt.Add(store.ReservationTTL)
	s.wantReserve(t, late, first)
}

func oneReservation(t *testing.T, s suite) {
	r := newReservation()
	stood := make([]store.Reservation, 50)
	for _, err := range race(50, func(i int) (err error) {
		mine := r
		mine.Code = newCode()
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
