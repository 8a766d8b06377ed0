package cache

import (
	"context"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

// silentAfter is how long the store must have answered nothing before it counts as answering
// no request at all.
const silentAfter = time.Second

// unanswered reports whether err means that the store could not answer.
func unanswered(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// noteAnswer records whether the store answered a request.
func (c *Cache) noteAnswer(err error) {
	switch {
	case errors.Is(err, store.ErrShed): // the store was not asked
	case unanswered(err):
		c.silent.CompareAndSwap(0, int64(max(1, c.clock())))
	case c.silent.Load() != 0:
		c.silent.Store(0)
	}
}

// standInEnd returns until when e may be served after the store failed with err. e may be
// nil.
//
// If the store was not asked, it may have a later state. Then e may be served as long as all
// edits since its load were received, and otherwise only as long as an answer is fresh. If
// the store answers no request at all, asking would not have helped, so e may be served as
// if it had been asked.
func (c *Cache) standInEnd(e *entry, err error) time.Duration {
	if e == nil || e.negative() {
		return 0
	}
	heard := c.opts.Remote != nil && c.opts.Remote.Hears() // read first: an earlier loss then shows in flushed
	silent := time.Duration(c.silent.Load())
	switch {
	case !errors.Is(err, store.ErrShed), silent != 0 && c.clock()-silent >= silentAfter:
		return e.usableUntil
	case e.loadedAt < time.Duration(c.flushed.Load()):
		return 0
	case heard:
		return e.usableUntil
	}
	return min(e.usableUntil, e.loadedAt+c.opts.TTL+c.opts.TTL/10)
}

// standingIn returns e as the answer for the next staleRetry, and until end at most.
func (c *Cache) standingIn(e *entry, end time.Duration) *entry {
	s := *e
	s.standIn = true
	s.freshUntil = min(c.clock()+staleRetry, end)
	return &s
}
