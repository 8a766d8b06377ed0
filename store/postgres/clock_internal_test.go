package postgres

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestClock probes a database over round trips of any length, with any difference between
// its clock and the node's clock. The error of the time is at most half a round trip. The
// time is unknown after the node's clock was set.
func TestClock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1_800_000_000, 0)
		ahead := time.Duration(rapid.Int64Range(-int64(2*time.Hour), int64(2*time.Hour)).Draw(t, "node is ahead"))
		ms := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Millisecond
		}
		var c clock
		var ran, slowest time.Duration
		at := func() instant { return instant{start.Add(ahead + ran), ran} }
		if _, ok := c.time(at()); ok {
			t.Fatal("time() before the first probe is known")
		}
		for range rapid.IntRange(1, 20).Draw(t, "probes") {
			ran += ms("pause", 20_000)
			sent, there, back := at(), ms("there", 500), ms("back", 500)
			shown := start.Add(ran + there)
			ran += there + back
			slowest = max(slowest, there+back)
			c.read(sent, at(), shown, true)
		}
		ran += ms("later", 60_000)
		got, ok := c.time(at())
		if off := got.Sub(start.Add(ran)).Abs(); !ok || off > slowest/2 {
			t.Fatalf("time() = %v, %v, off by %v, want at most %v", got, ok, off, slowest/2)
		}
		ahead += 1001 * time.Millisecond
		if _, ok := c.time(at()); ok {
			t.Fatal("time() after the node's clock was set is known")
		}
		c.read(at(), at(), start.Add(ran), true)
		if got, ok := c.time(at()); !ok || !got.Equal(start.Add(ran)) {
			t.Fatalf("time() after the next probe = %v, %v, want %v", got, ok, start.Add(ran))
		}
	})
}

// TestClockFollowsTheDatabase sets the database's clock. The next probe replaces the
// reading before, even if that was more precise. A replica's clock is used only until the
// primary was read.
func TestClockFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_800_000_000, 0)
	at := func(ran time.Duration) instant { return instant{start.Add(ran), ran} }
	var c clock
	wants := func(step string, ahead time.Duration) {
		t.Helper()
		if got, ok := c.time(at(time.Second)); !ok || !got.Equal(start.Add(time.Second+ahead)) {
			t.Errorf("%s: time() = %v, %v, want %v", step, got, ok, start.Add(time.Second+ahead))
		}
	}
	c.read(at(0), at(0), start.Add(time.Hour), false)
	wants("a replica answered", time.Hour)
	c.read(at(0), at(0), start.Add(time.Minute), true)
	wants("the primary answered", time.Minute)
	c.read(at(0), at(0), start.Add(time.Hour), false)
	wants("a replica answered again", time.Minute)
	c.read(at(0), at(100*time.Millisecond), start.Add(time.Minute+80*time.Millisecond), true)
	wants("a slower probe", time.Minute)
	c.read(at(0), at(100*time.Millisecond), start.Add(2*time.Minute+50*time.Millisecond), true)
	wants("the primary's clock was set", 2*time.Minute)
}
