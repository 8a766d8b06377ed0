package overload

import (
	"math"
	runtimemetrics "runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// window is the interval of measurements while there are requests.
	window = 100 * time.Millisecond

	// mostWindows is enough for a limit to rise from Least to Most.
	mostWindows = 200
)

// processor measures the delay of the processor. Safe for concurrent use.
type processor struct {
	now     func() time.Time
	measure func() time.Duration // called by one goroutine at a time
	busy    sync.Mutex           // held by the caller that measures
	last    atomic.Int64         // time of the last measurement, in Unix nanoseconds
	delay   atomic.Int64         // result of the last measurement, in nanoseconds
}

// look measures the delay of the processor if at least one window has passed. It returns the
// delay and the number of windows since the last measurement. windows is 0 if it is too early
// or if another caller measures now.
func (p *processor) look() (delay time.Duration, windows int) {
	now, last := p.now().UnixNano(), p.last.Load()
	windows = int(min((now-last)/int64(window), mostWindows))
	if windows <= 0 || !p.busy.TryLock() { // a measurement may take longer than a window
		return 0, 0
	}
	defer p.busy.Unlock()
	if !p.last.CompareAndSwap(last, now) {
		return 0, 0
	}
	delay = p.measure()
	p.delay.Store(int64(delay))
	return delay, windows
}

// latencies is the name of the histogram of the time that runnable goroutines waited for a
// processor, since the start of the process.
const latencies = "/sched/latencies:seconds"

// scheduler measures the delay of the processor from the latencies of Go's scheduler. It is
// not safe for concurrent use.
type scheduler struct {
	sample []runtimemetrics.Sample
	before []uint64 // the counts of the histogram at the last measurement
}

func newScheduler() *scheduler {
	s := &scheduler{sample: []runtimemetrics.Sample{{Name: latencies}}}
	s.delay()
	return s
}

// enoughWaits is the minimum of waits for a meaningful mean.
const enoughWaits = 20

// delay returns the mean wait since the last call; 0 if there were fewer than enoughWaits.
func (s *scheduler) delay() time.Duration {
	runtimemetrics.Read(s.sample)
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
