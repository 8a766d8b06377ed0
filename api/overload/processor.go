package overload

import (
	"math"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

const (
	// window is how often the processor is looked at while there is work.
	window = 100 * time.Millisecond

	// mostWindows are enough for a limit to rise from the least to the most.
	mostWindows = 200
)

// processor is how short the processor is. Safe for concurrent use.
type processor struct {
	now     func() time.Time
	measure func() time.Duration
	last    atomic.Int64 // when it was looked at, in Unix nanoseconds
	delay   atomic.Int64 // the delay at that time
}

// look measures the delay of the processor when a window is over, and returns it with
// how many windows that were; none when another caller looks, or has just looked.
func (p *processor) look() (delay time.Duration, windows int) {
	now, last := p.now().UnixNano(), p.last.Load()
	windows = int(min((now-last)/int64(window), mostWindows))
	if windows <= 0 || !p.last.CompareAndSwap(last, now) {
		return 0, 0
	}
	delay = p.measure()
	p.delay.Store(int64(delay))
	return delay, windows
}

// latencies is the histogram of how long goroutines that could run have waited for a
// processor, since the process began.
const latencies = "/sched/latencies:seconds"

// scheduler measures the delay of the processor by the latencies of Go's scheduler.
// Only one goroutine at a time may use it.
type scheduler struct {
	sample []metrics.Sample
	before []uint64 // the counts of the histogram at the last measurement
}

func newScheduler() *scheduler {
	s := &scheduler{sample: []metrics.Sample{{Name: latencies}}}
	s.delay()
	return s
}

// enoughWaits is how many waits say something.
const enoughWaits = 20

// delay returns the mean wait since the last call; 0 when there were few.
func (s *scheduler) delay() time.Duration {
	metrics.Read(s.sample)
	h := s.sample[0].Value.Float64Histogram()
	if s.before == nil {
		s.before = make([]uint64, len(h.Counts))
	}
	var waits uint64
	var sum float64
	for i, count := range h.Counts {
		n := count - s.before[i]
		s.before[i] = count
		if n == 0 {
			continue
		}
		waits += n
		if least := h.Buckets[i]; !math.IsInf(least, 0) {
			sum += float64(n) * least
		}
	}
	if waits < enoughWaits {
		return 0
	}
	return time.Duration(sum / float64(waits) * float64(time.Second))
}
