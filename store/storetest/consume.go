package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

var consumePromises = []promise{
	{"counts until the limit", countsUntilLimit},
	{"counts without a limit", countsWithoutLimit},
	{"limits of the time in which a link is live", liveEdges},
	{"not live for other reasons", notLive},
	{"limit holds under concurrency", limitHolds},
}

func countsUntilLimit(t *testing.T, s suite) {
	l := s.newLink()
	l.MaxClicks = 2
	want := s.create(t, l)
	for range 2 {
		want.UsedClicks++
		got, err := s.Consume(t.Context(), l.Code, epoch)
		wantLink(t, "Consume", got, err, want)
	}
	got, err := s.Consume(t.Context(), l.Code, epoch)
	wantError(t, "Consume() of a link that is used up", err, store.ErrNotLive)
	wantLink(t, "Consume", got, nil, want)
	s.wantStored(t, want)
}

func countsWithoutLimit(t *testing.T, s suite) {
	want := s.create(t, s.newLink())
	for range 3 {
		want.UsedClicks++
		got, err := s.Consume(t.Context(), want.Code, epoch)
		wantLink(t, "Consume", got, err, want)
	}
}

func liveEdges(t *testing.T, s suite) {
	for _, tt := range []struct {
		name            string
		starts, expires time.Time
		now             time.Time
		live            bool
	}{
		{"a microsecond before the start", after(10), time.Time{}, after(9), false},
		{"at the start", after(10), time.Time{}, after(10), true},
		{"a microsecond before the end", time.Time{}, after(20), after(19), true},
		{"a nanosecond before the end", time.Time{}, after(20), after(20).Add(-1), true},
		{"at the end", time.Time{}, after(20), after(20), false},
		{"after the end", time.Time{}, after(20), after(21), false},
		{"start is the end", after(10), after(10), after(10), false},
	} {
		l := s.newLink()
		l.StartsAt, l.ExpiresAt, l.MaxClicks = tt.starts, tt.expires, 1
		want := s.create(t, l)
		got, err := s.Consume(t.Context(), l.Code, tt.now)
		if tt.live {
			want.UsedClicks = 1
		} else if !errors.Is(err, store.ErrNotLive) {
			t.Errorf("Consume() %s = %v, want %v", tt.name, err, store.ErrNotLive)
		} else {
			err = nil
		}
		wantLink(t, "Consume", got, err, want)
		s.wantStored(t, want)
	}
}

func notLive(t *testing.T, s suite) {
	disabled := s.newLink()
	disabled.DisabledAt, disabled.DisabledReason = epoch, "malware"
	disabled = s.create(t, disabled)
	deleted := s.remove(t, s.create(t, s.newLink()).Code)
	for _, want := range []store.Link{disabled, deleted} {
		got, err := s.Consume(t.Context(), want.Code, after(100))
		wantError(t, "Consume()", err, store.ErrNotLive)
		wantLink(t, "Consume", got, nil, want)
		s.wantStored(t, want)
	}
}

func limitHolds(t *testing.T, s suite) {
	l := s.newLink()
	l.MaxClicks = 10
	want := s.create(t, l)
	used := 0
	for _, err := range race(64, func(int) error {
		_, err := s.Consume(t.Context(), l.Code, epoch)
		return err
	}) {
		switch {
		case err == nil:
			used++
		case !errors.Is(err, store.ErrNotLive):
			t.Errorf("Consume() = %v, want nil or %v", err, store.ErrNotLive)
		}
	}
	if used != 10 {
		t.Errorf("Consume() succeeded %d times, want 10", used)
	}
	want.UsedClicks = 10
	s.wantStored(t, want)
}
