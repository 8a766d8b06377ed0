package overload

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestSchedulerDelay checks that more busy goroutines than processors cause a delay above
// every bound.
func TestSchedulerDelay(t *testing.T) {
	t.Parallel()
	s := newScheduler()
	if got := s.delay(); got < 0 {
		t.Errorf("delay() = %v, want at least 0", got)
	}
	until := time.Now().Add(500 * time.Millisecond)
	var all sync.WaitGroup
	for range 500 * runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for time.Now().Before(until) {
				for n := range 1_000_000 {
					_ = n
				}
				runtime.Gosched()
			}
		})
	}
	all.Wait()
	got := s.delay()
	for class, b := range DefaultBounds {
		if got <= b.Delay {
			t.Errorf("delay() of an overloaded processor = %v, want more than the %v of %s", got, b.Delay, names[class])
		}
	}
}
