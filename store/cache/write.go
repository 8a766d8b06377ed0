package cache

import (
	"context"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

// Create creates the link in the store, in L1, where it ends a remembered "no
// such link" and one that is being loaded, and in L2.
func (c *Cache) Create(ctx context.Context, l store.Link) (store.Link, error) {
	return c.share(ctx, func() (store.Link, error) {
		return c.write(l.Code, func() (store.Link, error) { return c.store.Create(ctx, l) })
	})
}

// Update updates the link in the store, in L1 and in L2, and announces it.
func (c *Cache) Update(ctx context.Context, l store.Link) (store.Link, error) {
	return c.edit(ctx, l.Code, func() (store.Link, error) { return c.store.Update(ctx, l) })
}

// Delete deletes the link in the store, leaves its tombstone in L1 and L2, and
// announces it.
func (c *Cache) Delete(ctx context.Context, code string, version int64, at time.Time) (store.Link, error) {
	return c.edit(ctx, code, func() (store.Link, error) { return c.store.Delete(ctx, code, version, at) })
}

// edit lets write do an edit, and tells of it. That somebody could not be told is
// no error: the outbox of the store repeats it.
func (c *Cache) edit(ctx context.Context, code string, do func() (store.Link, error)) (store.Link, error) {
	edited, err := c.write(code, do)
	if err == nil {
		c.announce(ctx, edited)
	}
	if c.opts.Wrote != nil && (err == nil || unanswered(err) || ctx.Err() != nil) {
		c.opts.Wrote()
	}
	return edited, err
}

// Consume counts in the store, once that is admitted, and leaves in L1 the link as it
// then stands. L2 is not told: an answer with such a link counts in the store first.
func (c *Cache) Consume(ctx context.Context, code string, now time.Time) (store.Link, error) {
	done, err := c.opts.Admit(ctx)
	if err != nil {
		return store.Link{}, err
	}
	defer done()
	return c.write(code, func() (store.Link, error) { return c.store.Consume(ctx, code, now) })
}

// Get asks the store.
func (c *Cache) Get(ctx context.Context, code string) (store.Link, error) {
	return c.store.Get(ctx, code)
}

// Confirm asks the store.
func (c *Cache) Confirm(ctx context.Context, code string) (store.Link, error) {
	return c.store.Confirm(ctx, code)
}

// List asks the store.
func (c *Cache) List(ctx context.Context, q store.Query) (store.Page, error) {
	return c.store.List(ctx, q)
}

// Reserve asks the store.
func (c *Cache) Reserve(ctx context.Context, r store.Reservation) (store.Reservation, error) {
	return c.store.Reserve(ctx, r)
}

// CreateOnce is Create with a reservation, of which the caches know nothing.
func (c *Cache) CreateOnce(ctx context.Context, l store.Link, r store.Reservation) (store.Link, store.Reservation, error) {
	var stands store.Reservation
	made, err := c.share(ctx, func() (store.Link, error) {
		return c.write(l.Code, func() (made store.Link, err error) {
			made, stands, err = c.store.CreateOnce(ctx, l, r)
			if err == nil && made.Version == 0 {
				err = errNotMade
			}
			return made, err
		})
	})
	if errors.Is(err, errNotMade) {
		err = nil
	}
	return made, stands, err
}

// errNotMade says that a create made no link, because another reservation stands.
var errNotMade = errors.New("no link was made")

// write lets do write below, and brings L1 to the state that it returns. When
// it returns none, the write may have been done nevertheless, or another
// process's may have been in its way: then L1 is not believed any more.
func (c *Cache) write(code string, do func() (store.Link, error)) (store.Link, error) {
	s := c.stripe(code)
	s.mu.Lock()
	k := s.enter(code)
	s.mu.Unlock()

	began := c.clock()
	l, err := do()

	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.leave(k)
	if err == nil || errors.Is(err, store.ErrNotLive) {
		c.apply(k, c.expiring(pack(&l), began))
	} else {
		c.distrust(k, err)
	}
	return l, err
}

// apply makes e, which a write has left in the store, the state that readers
// find, unless a later write was faster.
func (c *Cache) apply(k *key, e *entry) {
	if e.contradicts(k.newest) {
		k.newest = nil
	}
	k.newest = newest(k.newest, e)
	held := c.held(k.code)
	if newest(held, k.newest) == e || k.newest == e && e.contradicts(held) {
		c.put(e, held)
	}
}

// distrust makes the next reader ask the store: it joins no load that began
// before, and finds in L1 at most what may stand in for an answer. That is no
// link which the store has just said is gone.
func (c *Cache) distrust(k *key, err error) {
	k.load = nil
	gone := errors.Is(err, store.ErrGone) || errors.Is(err, store.ErrNotFound)
	if k.newest != nil { // it still tells what is older
		k.newest = k.newest.doubted()
		if gone {
			k.newest.usableUntil = 0
		}
	}
	held := c.held(k.code)
	switch {
	case held == nil:
	case gone || held.negative():
		c.l1.Invalidate(k.code)
	default:
		expired := held.doubted()
		expired.freshUntil = c.clock()
		c.put(expired, held)
	}
}
