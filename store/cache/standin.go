package cache

import (
	"context"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

// silentAfter is how long the store must have answered nothing to count as one that
// answers nobody.
const silentAfter = time.Second

// unanswered reports whether err says that the store could not answer, rather
// than what the answer is.
func unanswered(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// note takes note of whether the store, which was asked, has answered.
func (c *Cache) note(err error) {
	switch {
	case errors.Is(err, store.ErrShed): // it was not asked
	case unanswered(err):
		c.silent.CompareAndSwap(0, int64(max(1, c.clock())))
	case c.silent.Load() != 0:
		c.silent.Store(0)
	}
}

// standInEnd returns until when e, which may be nil, may stand in for a store that could
// not answer, as err says.
//
// One that was not asked may have a later state. Then e stands in while all edits are
// heard of since it was loaded, and else no longer than an answer may last. While the
// store answers nobody, it would not have answered this one either.
func (c *Cache) standInEnd(e *entry, err error) time.Duration {
	if e == nil || e.negative() {
		return 0
	}
	heard := c.opts.Remote != nil && c.opts.Remote.Hears() // first: what was missed until then shows in flushed
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

// standingIn returns e as an answer for the moment in which the store has none, until
// end at most.
func (c *Cache) standingIn(e *entry, end time.Duration) *entry {
	s := *e
	s.standIn = true
	s.freshUntil = min(c.clock()+staleRetry, end)
	return &s
}
