package api

import (
	"net/netip"
	"testing"
	"time"

	"github.com/terse/terse/api/ratelimit"
)

// TestSpentIsBounded checks that limitedClients never has more than maxLimited entries, always
// has the newest client, and removes clients after RetryAfter.
func TestSpentIsBounded(t *testing.T) {
	t.Parallel()
	var s limitedClients
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	taken := ratelimit.Result{RetryAfter: time.Second, ResetAfter: time.Minute}
	client := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range 3 * maxLimited {
		s.remember(ratelimit.ClientKey(client(i)), taken, now)
		if got, is := s.reached(client(i), now.Add(time.Millisecond)); !is || got.RetryAfter != 999*time.Millisecond || got.ResetAfter != time.Minute-time.Millisecond {
			t.Fatalf("limit of client %d = %+v, %v a millisecond later", i, got, is)
		}
		if i%2 == 0 {
			now = now.Add(time.Microsecond)
		}
		if len(s.limits) > maxLimited {
			t.Fatalf("%d clients are remembered, want at most %d", len(s.limits), maxLimited)
		}
	}
	for i := range 3 * maxLimited {
		if _, is := s.reached(client(i), now.Add(time.Second)); is {
			t.Fatalf("client %d is still remembered after RetryAfter", i)
		}
	}
	if len(s.limits) > 0 || s.notEmpty.Load() {
		t.Errorf("%d clients are remembered at the end, want none", len(s.limits))
	}
}
