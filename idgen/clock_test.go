package idgen_test

import (
	"sync"
	"testing"
	"time"
	"unsafe"
)

// clock runs with real time, and a test can move or stop it. The zero value shows the
// real time.
type clock struct {
	mu      sync.Mutex
	elapsed time.Duration
	set     time.Duration
	frozen  sync.RWMutex // write-locked while the clock is frozen
}

// now reads the clock. While the clock is frozen, now blocks; then it returns the time
// after the freeze.
func (c *clock) now() time.Time {
	c.frozen.RLock()
	defer c.frozen.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return setWall(time.Now().Add(c.elapsed), c.set)
}

// advance moves the clock forward, as if time passed.
func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.elapsed += d
}

// setWall changes the wall clock by d. The monotonic clock does not change.
func (c *clock) setWall(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set += d
}

// setWall changes the wall time of t by d and leaves its monotonic time. Package time
// has no function for this: Add changes both. The second word of a time with a
// monotonic reading contains that reading.
func setWall(t time.Time, d time.Duration) time.Time {
	t = t.Add(d)
	(*[2]int64)(unsafe.Pointer(&t))[1] -= int64(d)
	return t
}

func TestSetWall(t *testing.T) {
	t.Parallel()
	before := time.Now()
	after := setWall(before, -time.Hour)
	if got := after.Sub(before); got != 0 {
		t.Errorf("monotonic clock moved by %v, want 0", got)
	}
	if got := after.Round(0).Sub(before.Round(0)); got != -time.Hour {
		t.Errorf("wall clock moved by %v, want %v", got, -time.Hour)
	}
}
