package remote

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// createWindow is how long after its begin a create may be stored. The marker of an edit
	// lives longer, by more than the difference between the clocks of a cluster's masters.
	createWindow = time.Second

	// clockMaxAge is how long a reading of the clock of Redis is used. Clocks hardly drift
	// apart in that time.
	clockMaxAge = time.Minute
)

// serverClock estimates the clock of Redis: its last reading plus the time since. Except for
// drift the estimate is never ahead of Redis. It lags by the delay of the answer
// and of this process. Safe for concurrent use.
type serverClock struct {
	last  atomic.Pointer[clockReading]
	asked singleflight.Group
}

// clockReading is one reading of the clock of Redis.
type clockReading struct {
	millis int64     // Unix milliseconds on that clock
	at     time.Time // when the answer arrived
}

// set records a reading of the clock of Redis.
func (s *serverClock) set(millis int64) { s.last.Store(&clockReading{millis, time.Now()}) }

// now returns the estimated time, or the zero time if the last reading is too old.
func (s *serverClock) now() time.Time {
	last := s.last.Load()
	if last == nil {
		return time.Time{}
	}
	since := time.Since(last.at)
	if since > clockMaxAge {
		return time.Time{}
	}
	return time.UnixMilli(last.millis).Add(since)
}

// Begin returns the time that Put needs: the time on the clock of Redis. Call it before
// creating the link. Without a recent Put it asks Redis, once for all concurrent callers. If
// Redis does not answer it returns the zero time, with which Put stores nothing.
func (c *Cache) Begin(ctx context.Context) time.Time {
	now := c.clock.now()
	if !now.IsZero() {
		return now
	}
	_, _, _ = c.clock.asked.Do("", func() (any, error) { // Put counts failures
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opts.Timeout)
		defer cancel()
		return nil, c.roundTrip(func() error {
			shown, err := c.client.Time(ctx).Result()
			if err == nil {
				c.clock.set(shown.UnixMilli())
			}
			return err
		})
	})
	return c.clock.now()
}
