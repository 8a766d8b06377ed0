package store_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

func TestState(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 12, 0, 0, 5000, time.UTC)
	const tick = time.Microsecond
	tests := []struct {
		name string
		link store.Link
		want store.State
	}{
		{"no conditions", store.Link{}, store.Live},
		{"starts now", store.Link{StartsAt: now}, store.Live},
		{"started", store.Link{StartsAt: now.Add(-tick)}, store.Live},
		{"starts next", store.Link{StartsAt: now.Add(tick)}, store.NotStarted},
		{"expires next", store.Link{ExpiresAt: now.Add(tick)}, store.Live},
		{"expires now", store.Link{ExpiresAt: now}, store.Expired},
		{"expired", store.Link{ExpiresAt: now.Add(-tick)}, store.Expired},
		{"within its one microsecond", store.Link{StartsAt: now, ExpiresAt: now.Add(tick)}, store.Live},
		{"expires now in another zone", store.Link{ExpiresAt: now.In(time.FixedZone("", 3600))}, store.Expired},
		{"one use left", store.Link{MaxClicks: 2, UsedClicks: 1}, store.Live},
		{"no use left", store.Link{MaxClicks: 2, UsedClicks: 2}, store.UsedUp},
		{"limit lowered below its uses", store.Link{MaxClicks: 1, UsedClicks: 2}, store.UsedUp},
		{"no limit", store.Link{UsedClicks: 9, Clicks: 9}, store.Live},
		{"clicks are not uses", store.Link{MaxClicks: 1, Clicks: 9}, store.Live},
		{"disabled later", store.Link{DisabledAt: now.Add(time.Hour)}, store.Disabled},
		{"used up before its start", store.Link{MaxClicks: 1, UsedClicks: 1, StartsAt: now.Add(tick)}, store.UsedUp},
		{"expired and used up", store.Link{MaxClicks: 1, UsedClicks: 1, ExpiresAt: now}, store.Expired},
		{"disabled and expired", store.Link{DisabledAt: now, ExpiresAt: now}, store.Disabled},
		{"deleted and disabled", store.Link{DeletedAt: now, DisabledAt: now, ExpiresAt: now}, store.Deleted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.link.State(now); got != tt.want {
				t.Errorf("State = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTombstone(t *testing.T) {
	t.Parallel()
	l := goodLink()
	l.Owner, l.RequestID, l.UsedClicks, l.Clicks = "key_a", "request", 1, 2
	l.DisabledAt, l.DisabledReason, l.LastClickAt = l.CreatedAt, "spam", l.CreatedAt
	at := l.CreatedAt.Add(time.Hour)
	want := store.Link{
		Code: l.Code, Owner: l.Owner, Status: l.Status, CreatedAt: l.CreatedAt, UpdatedAt: at, DeletedAt: at, Version: l.Version + 1,
	}
	got := l.Tombstone(at)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Tombstone = %+v, want %+v", got, want)
	}
	if state := got.State(at); state != store.Deleted {
		t.Errorf("State of a tombstone = %v, want %v", state, store.Deleted)
	}
}
