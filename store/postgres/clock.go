package postgres

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxStep is how far a node's clock may move against its monotonic clock before the
// database's time is unknown: the clock was set, or the machine was suspended.
const maxStep = time.Second

// keepReading is for how long a precise reading of the clock is preferred to a newer one
// that took longer.
const keepReading = 10 * time.Second

// instant is a moment by both clocks of this node.
type instant struct {
	wall time.Time
	ran  time.Duration // by the monotonic clock
}

// reading is what a database's clock showed.
type reading struct {
	instant               // this node's clocks half-way between question and answer
	shown   time.Time     // the database's clock
	within  time.Duration // half the round trip: the error of shown
	primary bool          // whether the primary was asked, not a replica
}

// clock is the clock of a shard, as far as probes have shown it. Safe for concurrent use.
type clock struct {
	mu   sync.Mutex // of writers
	last atomic.Pointer[reading]
}

// read records the answer of a server that was asked at sent and answered at got.
func (c *clock) read(sent, got instant, shown time.Time, primary bool) {
	half := (got.ran - sent.ran) / 2
	r := reading{instant{sent.wall.Add(half), sent.ran + half}, shown, half, primary}
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := c.last.Load(); last == nil || r.replaces(last) {
		c.last.Store(&r)
	}
}

// replaces reports whether r is better than the last reading.
func (r *reading) replaces(last *reading) bool {
	at, ok := last.time(r.instant)
	switch {
	case !ok:
		return true
	case r.primary != last.primary:
		return r.primary
	case r.ran-last.ran > keepReading, r.within <= last.within:
		return true
	}
	return at.Sub(r.shown).Abs() > r.within+last.within // the database's clock was set
}

// time returns the database's time at an instant, and false when this node's clock was
// set or stood still since the reading.
func (r *reading) time(i instant) (time.Time, bool) {
	passed := i.ran - r.ran
	step := i.wall.Sub(r.wall) - passed
	return r.shown.Add(passed), step.Abs() <= maxStep
}

// time returns the database's time at an instant, and false when it is unknown.
func (c *clock) time(i instant) (time.Time, bool) {
	last := c.last.Load()
	if last == nil {
		return time.Time{}, false
	}
	return last.time(i)
}

// instant returns the present moment.
func (s *Store) instant() instant {
	return instant{s.opts.Now().Round(0), time.Since(s.began)}
}

// Time returns the time of the primary's clock, or of a replica's while the primary was
// never reached. ok is false when no server was reached since the store was opened, and
// for about ProbeEvery after this node's clock was set.
func (s *Store) Time() (now time.Time, ok bool) { return s.clock.time(s.instant()) }

// clockOffset returns how far this node's clock is ahead of the database's, 0 when that
// is unknown.
func (s *Store) clockOffset() time.Duration {
	i := s.instant()
	now, ok := s.clock.time(i)
	if !ok {
		return 0
	}
	return i.wall.Sub(now)
}
