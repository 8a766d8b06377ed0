package idgen_test

import (
	"sync"
	"testing"
	"time"
	"unsafe"
)

// clock is a clock that runs, and can be moved and stopped. Its zero value
// shows the real time.
type clock struct {
	mu      sync.Mutex
	elapsed time.Duration
	set     time.Duration
	frozen  sync.RWMutex // held for writing while readers of the clock are frozen
}

// now reads the clock. It blocks while the clock is frozen, and then shows the
// time of the thaw.
func (c *clock) now() time.Time {
	c.frozen.RLock()
	defer c.frozen.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return setWall(time.Now().Add(c.elapsed), c.set)
}

// advance lets time pass.
func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.elapsed += d
}

// setWall sets the wall clock by d; no time passes.
func (c *clock) setWall(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set += d
}

// setWall moves the wall reading of t by d and leaves its monotonic reading,
// which package time has no way to do: Add moves both, and the second word of
// a time with a monotonic reading is that reading.
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
