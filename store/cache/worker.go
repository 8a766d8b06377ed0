package cache

import "time"

// workerIdle is how long a worker waits for another load before it ends.
const workerIdle = 100 * time.Millisecond

// work runs do on another goroutine. It prefers an idle worker, because a load needs a deep
// stack: growing the stack of a new goroutine takes a tenth of the time of a cold redirect.
func (c *Cache) work(do func()) {
	select {
	case c.idle <- do:
	default:
		go c.worker(do)
	}
}

// worker runs loads one after the other and ends when it was idle for workerIdle.
func (c *Cache) worker(do func()) {
	wait := time.NewTimer(workerIdle)
	defer wait.Stop()
	for {
		do()
		wait.Reset(workerIdle)
		select {
		case do = <-c.idle:
		case <-wait.C:
			return
		}
	}
}
