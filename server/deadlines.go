package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// sweepEvery is the time between two sweeps. A deadline takes effect up to this much
// late.
const sweepEvery = 250 * time.Millisecond

// States of a deadline beside a time.
const (
	never  = 0  // no deadline
	passed = -1 // the connection itself has a deadline that has passed
)

// longAgo is a deadline that has passed for every connection.
var longAgo = time.Unix(1, 0)

// deadline is the read or the write deadline of one connection, as nanoseconds of the
// clock. net/http changes deadlines several times a request. Storing a number costs
// less than the timer that the connection itself would use.
//
// The connection itself has no deadline, or a deadline in the past: the sweep sets it
// once the stored time is over, and net/http sets it to interrupt a read.
type deadline struct {
	at atomic.Int64
	mu sync.Mutex // held to change the connection itself
}

// change stores t. A t that has passed takes effect at once through set, which changes
// the connection itself.
func (d *deadline) change(t time.Time, c *clock, set func(time.Time) error) error {
	at := c.at(t)
	if at != never && at <= c.now.Load() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.at.Store(passed)
		return set(t)
	}
	if d.at.Swap(at) != passed {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.Load() == passed { // by a later call, or by the sweep
		return nil
	}
	return set(time.Time{})
}

// sweep makes the deadline take effect if its time is over.
func (d *deadline) sweep(now int64, set func(time.Time) error) {
	at := d.at.Load()
	if at == never || at == passed || at > now {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.CompareAndSwap(at, passed) {
		_ = set(longAgo) // fails only if the connection is closed
	}
}

// clock counts nanoseconds, from 1, and is read without a system call.
type clock struct {
	epoch time.Time
	now   atomic.Int64 // of the latest sweep
}

func newClock() *clock {
	c := &clock{epoch: time.Now()}
	c.now.Store(1)
	return c
}

// at returns the count at t, which is never for the zero time and at least 1 for others.
func (c *clock) at(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return max(1, int64(t.Sub(c.epoch)))
}

// tick sets the clock, and returns it.
func (c *clock) tick() int64 {
	now := c.at(time.Now())
	c.now.Store(now)
	return now
}
