package api

import (
	"net/netip"
	"testing"
	"time"

	"github.com/terse/terse/api/ratelimit"
)

// TestSpentIsBounded holds that what is remembered of clients takes no more room than it
// may, that the latest are never those who are forgotten, and that waiting is enough.
func TestSpentIsBounded(t *testing.T) {
	t.Parallel()
	var s spent
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	taken := ratelimit.Result{RetryAfter: time.Second, ResetAfter: time.Minute}
	client := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range 3 * maxSpent {
		s.remember(ratelimit.ClientKey(client(i)), taken, now)
		if got, is := s.of(client(i), now.Add(time.Millisecond)); !is || got.RetryAfter != 999*time.Millisecond || got.ResetAfter != time.Minute-time.Millisecond {
			t.Fatalf("of client %d = %+v, %v a millisecond later", i, got, is)
		}
		if i%2 == 0 {
			now = now.Add(time.Microsecond)
		}
		if len(s.by) > maxSpent {
			t.Fatalf("%d clients are remembered, want %d at most", len(s.by), maxSpent)
		}
	}
	for i := range 3 * maxSpent {
		if _, is := s.of(client(i), now.Add(time.Second)); is {
			t.Fatalf("client %d is remembered when it has waited", i)
		}
	}
	if len(s.by) > 0 || s.any.Load() {
		t.Errorf("%d clients are left that were asked about, want none", len(s.by))
	}
}
