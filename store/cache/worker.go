package cache

import "time"

// workerIdle is how long a worker waits for another load before it ends.
const workerIdle = 100 * time.Millisecond

// work lets do run on another goroutine: one that has just ended a load, if there
// is one. What lies below a load needs a deep stack, and growing that of a new
// goroutine takes a tenth of the time of all that a cold redirect does.
func (c *Cache) work(do func()) {
	select {
	case c.idle <- do:
	default:
		go c.worker(do)
	}
}

// worker runs loads one after the other until there are none.
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
