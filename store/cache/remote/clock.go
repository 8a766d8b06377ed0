package remote

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// createdFor is how long after its begin a create may be kept. The marker of an
	// edit stands longer, by more than the clocks of a cluster's masters may differ.
	createdFor = time.Second

	// shownFor is how long the clock of Redis is gone by before it is looked at again:
	// no clocks drift apart by much meanwhile.
	shownFor = time.Minute
)

// serverClock is the clock of Redis as it was last seen, and goes on like that of this
// process. It is never ahead of the real one but for what they drift apart: it lags by
// the time for which an answer, or this process, was held up. Safe for concurrent use.
type serverClock struct {
	seen  atomic.Pointer[glance]
	asked singleflight.Group
}

// glance is one look at the clock of Redis.
type glance struct {
	millis int64     // what it showed
	at     time.Time // when that was heard
}

// set says what the clock of Redis has just shown.
func (s *serverClock) set(millis int64) { s.seen.Store(&glance{millis, time.Now()}) }

// now returns the time there, or the zero time when it was not looked at lately.
func (s *serverClock) now() time.Time {
	seen := s.seen.Load()
	if seen == nil {
		return time.Time{}
	}
	since := time.Since(seen.at)
	if since > shownFor {
		return time.Time{}
	}
	return time.UnixMilli(seen.millis).Add(since)
}

// Begin returns what Put asks for, and is called before the link is created: the time
// on the clock of Redis, which is asked for it when nothing was Put lately, once for all
// who want to know. It is the zero time, with which nothing is kept, while Redis does not
// tell.
func (c *Cache) Begin(ctx context.Context) time.Time {
	now := c.clock.now()
	if !now.IsZero() {
		return now
	}
	_, _, _ = c.clock.asked.Do("", func() (any, error) { // Put counts what fails
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opts.Timeout)
		defer cancel()
		return nil, c.fly(func() error {
			shown, err := c.client.Time(ctx).Result()
			if err == nil {
				c.clock.set(shown.UnixMilli())
			}
			return err
		})
	})
	return c.clock.now()
}
