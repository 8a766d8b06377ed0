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

// TestOneMeasurementAtATime checks that no caller measures while another measurement takes
// longer than a window.
func TestOneMeasurementAtATime(t *testing.T) {
	t.Parallel()
	began, end := make(chan struct{}), make(chan struct{})
	now := time.Unix(1, 0)
	slow := &processor{now: func() time.Time { return now }}
	slow.measure = func() time.Duration {
		close(began) // panics in a second measurement
		<-end
		return time.Second
	}
	var first sync.WaitGroup
	first.Go(func() {
		if delay, windows := slow.look(); delay != time.Second || windows == 0 {
			t.Errorf("look() = %v, %d, want the measured second", delay, windows)
		}
	})
	<-began
	now = now.Add(10 * window)
	if delay, windows := slow.look(); delay != 0 || windows != 0 {
		t.Errorf("look() beside a measurement = %v, %d, want 0, 0", delay, windows)
	}
	close(end)
	first.Wait()
}
