package idgen

import (
	"errors"
	"testing"
	"time"
)

// TestLimit checks the last line of defence, which no clock makes a Minter reach: no
// id is minted beyond the limit recorded with the lease.
func TestLimit(t *testing.T) {
	t.Parallel()
	ids, err := newGenerator(1, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l := &lease{node: 1, ids: ids, since: time.Now(), limit: lastOf(time.Now().Add(-time.Second))}
	if id, err := l.next(time.Hour); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("next() = %d, %v, want %v", id, err, ErrLeaseLost)
	}
}

// TestLastIDIsNotMintedAgain checks that an id equal to the latest one is rejected. Only
// the next id of the same millisecond is known in advance, so the test uses that id.
func TestLastIDIsNotMintedAgain(t *testing.T) {
	t.Parallel()
	ids, err := newGenerator(1, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range 100_000 {
		before, now := ids.next()
		last := before + 1
		l := &lease{node: 1, ids: ids, since: now, last: last, limit: lastOf(now.Add(time.Hour))}
		switch id, err := l.next(time.Hour); {
		case err == nil && id == last:
			t.Fatalf("next() = %d, equal to the latest id, want %v", id, ErrClockBehind)
		case errors.Is(err, ErrClockBehind):
			return
		case err != nil:
			t.Fatalf("next() = %v, want an id or %v", err, ErrClockBehind)
		}
	}
	t.Error("no two ids of the same millisecond in 100,000 attempts")
}

// TestLastOf checks that lastOf is the highest id of its millisecond, and lower than
// every id of the next one.
func TestLastOf(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(epochMilli + 123_456_789).UTC()
	highest := ID(123_456_789<<timeShift | (Nodes-1)<<stepBits | stepMask)
	for _, tt := range []struct {
		name string
		t    time.Time
		want ID
	}{
		{"a millisecond", at, highest},
		{"within a millisecond", at.Add(time.Millisecond - 1), highest},
		{"the next millisecond", at.Add(time.Millisecond), highest + 1<<timeShift},
		{"the epoch", time.UnixMilli(epochMilli), 1<<timeShift - 1},
		{"before the epoch", time.UnixMilli(epochMilli - 1), -1},
		{"no time", time.Time{}, -1},
		{"beyond all ids", time.UnixMilli(epochMilli + maxMilli + 1), 1<<63 - 1},
	} {
		if got := lastOf(tt.t); got != tt.want {
			t.Errorf("lastOf(%s) = %d, want %d", tt.name, got, tt.want)
		}
	}
	if got := highest.Time(); !got.Equal(at) {
		t.Errorf("Time() of the highest id = %v, want %v", got, at)
	}
}
