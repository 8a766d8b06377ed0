package cache

import (
	"context"
	"errors"
	"time"

	"github.com/terse/terse/store"
)

// Create creates the link in the store, in L1 and in L2. In L1 it replaces a cached "no such
// link", also for a load that is running.
func (c *Cache) Create(ctx context.Context, l store.Link) (store.Link, error) {
	return c.createAndPut(ctx, func() (store.Link, error) {
		return c.write(l.Code, func() (store.Link, error) { return c.store.Create(ctx, l) })
	})
}

// Update updates the link in the store, in L1 and in L2, and announces it.
func (c *Cache) Update(ctx context.Context, l store.Link) (store.Link, error) {
	return c.edit(ctx, l.Code, func() (store.Link, error) { return c.store.Update(ctx, l) })
}

// Delete deletes the link in the store, puts its tombstone in L1 and L2, and announces it.
func (c *Cache) Delete(ctx context.Context, code string, version int64, at time.Time) (store.Link, error) {
	return c.edit(ctx, code, func() (store.Link, error) { return c.store.Delete(ctx, code, version, at) })
}

// Restore restores the link in the store, in L1 and in L2, and announces it.
func (c *Cache) Restore(ctx context.Context, l store.Link) (store.Link, error) {
	return c.edit(ctx, l.Code, func() (store.Link, error) { return c.store.Restore(ctx, l) })
}

// edit runs do and announces the edited link. A failed announcement is no error, because
// the outbox of the store repeats it.
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

// Consume waits for admission, counts the use in the store, and puts the updated link in L1.
// L2 does not need it: a redirect of such a link always counts in the store first.
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

// CreateOnce is Create with a reservation. Reservations are not cached.
func (c *Cache) CreateOnce(ctx context.Context, l store.Link, r store.Reservation) (store.Link, store.Reservation, error) {
	var stands store.Reservation
	made, err := c.createAndPut(ctx, func() (store.Link, error) {
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

// errNotMade says that a create made no link, because a reservation already exists.
var errNotMade = errors.New("no link was made")

// write runs do, which writes to the store, and puts the returned link in L1. If do returns
// no link, the write may have succeeded, or the write of another process may have prevented
// it. Then write calls distrust.
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

// apply puts e, the result of a write, in L1, unless a later write has finished first.
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

// distrust makes the next reader ask the store. That reader does not join a running load,
// and uses L1 only if the store cannot answer. If the store has just reported that the link
// is gone, L1 is not used at all.
func (c *Cache) distrust(k *key, err error) {
	k.load = nil
	gone := errors.Is(err, store.ErrGone) || errors.Is(err, store.ErrNotFound)
	if k.newest != nil { // it still shows which states are older
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
