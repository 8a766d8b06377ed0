package cache

import (
	"context"
	"time"

	"github.com/terse/terse/store"
)

// Remote is a cache that all processes share (L2), and the channel on which they
// announce edits to each other. It is asked for no longer than it takes to be of
// use: its implementation bounds every call to tens of milliseconds. It is safe
// for concurrent use.
type Remote interface {
	// Lookup returns the link that is kept for code (found). When none is kept,
	// lease is what Fill asks for, 0 when nothing may be filled.
	Lookup(ctx context.Context, code string) (l store.Link, found bool, lease uint64, err error)

	// Fill keeps l, which was loaded after Lookup gave the lease, unless
	// somebody has kept something since, even if that is gone again. It also
	// takes the place of an older link, then without a lease.
	Fill(ctx context.Context, l store.Link, lease uint64) error

	// Begin returns what Put asks for, before a link is created.
	Begin(ctx context.Context) time.Time

	// Put keeps a link that was just created, unless something is kept. When so much
	// time has passed since began that an edit may have been forgotten meanwhile, it
	// announces the link instead.
	Put(ctx context.Context, l store.Link, began time.Time) error

	// Announce sees to it that nothing older than an edit has left is kept, nor
	// filled by somebody who loaded it before, and tells all processes.
	Announce(ctx context.Context, l store.Link) error

	// Listen calls heard for every link that is announced, and missed whenever
	// announcements may have been lost, also at its begin. It returns when ctx
	// ends.
	Listen(ctx context.Context, heard func(l store.Link), missed func())

	// Hears reports whether Listen hears all that is announced. It may take seconds
	// to notice that it does not. It does again only after missed has returned.
	Hears() bool
}

// Listen follows what other processes announce, until ctx ends. Without a Remote
// there is nothing to follow.
func (c *Cache) Listen(ctx context.Context) {
	if c.opts.Remote != nil {
		c.opts.Remote.Listen(ctx, c.heard, c.missed)
	}
}

// lookUp asks L2 for the code of a load that has begun. When L2 has no answer, fill is
// what to do with that of the store.
func (c *Cache) lookUp(ctx context.Context, s *stripe, k *key) (l store.Link, found bool, fill func(context.Context, store.Link)) {
	fill = func(context.Context, store.Link) {}
	r := c.opts.Remote
	if r == nil {
		return l, false, fill
	}
	l, found, lease, err := r.Lookup(ctx, k.code)
	switch {
	case err != nil:
		c.metrics.remoteError.Inc()
	case found && c.outdated(s, k, &l):
		// An edit did not reach L2, and another one may not have either.
		c.metrics.remoteMiss.Inc()
		found, fill = false, c.fill(0)
	case found:
		c.metrics.remoteHit.Inc()
	default:
		c.metrics.remoteMiss.Inc()
		if lease != 0 {
			fill = c.fill(lease)
		}
	}
	return l, found && err == nil, fill
}

// absent returns what L1 remembers of a code that no link had, or nil. It spares the
// store the question, not L2: another process may have created the link since, and a
// create is in L2 before it is acknowledged. While L2 fails it is believed unasked.
func (c *Cache) absent(code string) *entry {
	if e := c.fresh(code); e != nil && e.negative() {
		return e
	}
	return nil
}

// fill returns what fills L2 under a lease. What fails is counted by the Remote;
// the next reader fills.
func (c *Cache) fill(lease uint64) func(context.Context, store.Link) {
	return func(ctx context.Context, l store.Link) { _ = c.opts.Remote.Fill(ctx, l, lease) }
}

// outdated reports whether a later version than that of l is known, or another link of
// that version, or whether the primary contests what is known: L2 may have kept a version
// that a failover has lost.
func (c *Cache) outdated(s *stripe, k *key, l *store.Link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := newest(k.newest, c.held(k.code))
	return known != nil && (known.version > l.Version || known.contested != 0 || known.version == l.Version && known.contradicts(pack(l)))
}

// share lets create do the create of a link, and puts that in L2. What fails there is
// counted by the Remote, and does not fail the write: L2 lacks the link then.
func (c *Cache) share(ctx context.Context, create func() (store.Link, error)) (store.Link, error) {
	if c.opts.Remote == nil {
		return create()
	}
	began := c.opts.Remote.Begin(ctx)
	created, err := create()
	if err == nil {
		_ = c.opts.Remote.Put(context.WithoutCancel(ctx), created, began)
	}
	return created, err
}

// announce tells L2 and other processes of an edit. What fails is repeated from
// the outbox.
func (c *Cache) announce(ctx context.Context, l store.Link) {
	if c.opts.Remote != nil {
		_ = c.opts.Remote.Announce(context.WithoutCancel(ctx), l)
	}
}

// heard takes note of an edit that another process may have done: what L1 holds
// of the link is replaced, and a load under way does not show less. What it contradicts
// is forgotten, and loads under way are no longer joined.
func (c *Cache) heard(l store.Link) {
	if c.opts.Edited != nil {
		c.opts.Edited(l.Code, l.Version) // before a load could ask for it
	}
	e := c.expiring(pack(&l), c.clock())
	s := c.stripe(l.Code)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[l.Code]
	if k != nil && e.contradicts(k.newest) {
		k.newest, k.load = nil, nil
	} else if k != nil {
		k.newest = newest(k.newest, e)
	}
	held := c.held(l.Code)
	switch {
	case held == nil:
	case e.newerThan(held):
		c.put(e, held)
	case e.contradicts(held): // the next one asks
		c.l1.Invalidate(l.Code)
		if k != nil {
			k.load = nil
		}
	}
}

// missed makes L1 ask again for everything, since edits may have been announced
// that were not heard. What it holds may still stand in for an answer.
func (c *Cache) missed() { c.flushed.Store(int64(c.clock())) }
