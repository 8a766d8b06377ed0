package postgres

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxStep limits how far a node's wall clock may differ from its monotonic clock. After a
// larger step the database's time is unknown: the clock was set, or the machine was suspended.
const maxStep = time.Second

// keepReading is how long a precise reading of the database's clock is preferred to a newer
// and less precise one.
const keepReading = 10 * time.Second

// instant is a moment on both clocks of this node.
type instant struct {
	wall time.Time
	ran  time.Duration // on the monotonic clock, since the store was opened
}

// reading is one reading of a database's clock.
type reading struct {
	instant               // this node's clocks, half-way between question and answer
	shown   time.Time     // the database's clock
	within  time.Duration // half of the round trip, the largest error of shown
	primary bool          // read from the primary, not from a replica
}

// clock estimates the clock of a shard from the answers to probes. Safe for concurrent use.
type clock struct {
	mu   sync.Mutex // of writers
	last atomic.Pointer[reading]
}

// read records the answer of a server: the question was sent at sent, and the answer came
// at got.
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

// time returns the database's time at an instant. ok is false if this node's clock was set or
// stood still since the reading.
func (r *reading) time(i instant) (time.Time, bool) {
	passed := i.ran - r.ran
	step := i.wall.Sub(r.wall) - passed
	return r.shown.Add(passed), step.Abs() <= maxStep
}

// time returns the database's time at an instant, and false if it is unknown.
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

// Time returns the time on the primary's clock, or on a replica's clock if the primary
// was never reached. ok is false until a server was reached, and for about ProbeEvery
// after this node's clock was set.
func (s *Store) Time() (now time.Time, ok bool) { return s.clock.time(s.instant()) }

// clockOffset returns how far this node's clock is ahead of the database's clock, or 0 if that
// is unknown.
func (s *Store) clockOffset() time.Duration {
	i := s.instant()
	now, ok := s.clock.time(i)
	if !ok {
		return 0
	}
	return i.wall.Sub(now)
}
