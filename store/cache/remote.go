package cache

import (
	"context"
	"time"

	"github.com/terse/terse/store"
)

// Remote is a cache that all processes share (L2), and their channel for announcements of
// edits. An implementation limits every call to tens of milliseconds, because a slower
// answer is of no use. It is safe for concurrent use.
type Remote interface {
	// Lookup returns the cached link of code. If there is none, found is false and lease is
	// the argument for Fill. A lease of 0 means that nothing may be filled.
	Lookup(ctx context.Context, code string) (l store.Link, found bool, lease uint64, err error)

	// Fill stores l, which was loaded after Lookup returned the lease. If anything was stored
	// for the code since then, even if it has expired, Fill stores nothing. Fill also
	// replaces an older link, and needs no lease to do so.
	Fill(ctx context.Context, l store.Link, lease uint64) error

	// Begin returns the time that Put needs. Call it before creating the link.
	Begin(ctx context.Context) time.Time

	// Put stores a new link, unless something is stored for the code. If too much time has
	// passed since began, L2 may have forgotten an edit of the link. Then Put announces the
	// link instead.
	Put(ctx context.Context, l store.Link, began time.Time) error

	// Announce replaces or removes any older state of an edited link in L2, prevents a Fill
	// with a link loaded before the edit, and informs all processes.
	Announce(ctx context.Context, l store.Link) error

	// Listen calls heard for every announced link. It calls missed at its start, and whenever
	// announcements may have been lost. It returns when ctx ends.
	Listen(ctx context.Context, heard func(l store.Link), missed func())

	// Hears reports whether Listen receives all announcements. It may take seconds to notice
	// a lost connection. After a loss it is true again only when missed has returned.
	Hears() bool
}

// Listen applies the announcements of other processes until ctx ends. Without a Remote it
// returns at once.
func (c *Cache) Listen(ctx context.Context) {
	if c.opts.Remote != nil {
		c.opts.Remote.Listen(ctx, c.heard, c.missed)
	}
}

// lookUp asks L2 for the code of a running load. If L2 has no answer, the caller calls fill
// with the answer of the store.
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
		// An edit did not reach L2, and other edits may be missing there, too.
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

// absent returns the cached "no such link" of a code, or nil. It saves asking the store, but
// not L2: another process may have created the link since, and a create writes to L2 before
// it is acknowledged. While L2 fails, the entry is used without asking.
func (c *Cache) absent(code string) *entry {
	if e := c.fresh(code); e != nil && e.negative() {
		return e
	}
	return nil
}

// fill returns a function that fills L2 under a lease. The Remote counts failures. After a
// failure the next reader fills.
func (c *Cache) fill(lease uint64) func(context.Context, store.Link) {
	return func(ctx context.Context, l store.Link) { _ = c.opts.Remote.Fill(ctx, l, lease) }
}

// outdated reports whether l, from L2, may be an old state: this process knows a later
// version or another link of the same version, or the primary contests the known version.
// In the last case L2 may have a version that a failover lost.
func (c *Cache) outdated(s *stripe, k *key, l *store.Link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := newest(k.newest, c.held(k.code))
	return known != nil && (known.version > l.Version || known.contested != 0 || known.version == l.Version && known.contradicts(pack(l)))
}

// createAndPut runs create and puts the new link in L2. The Remote counts a failure to put.
// Such a failure does not fail the create: L2 then lacks the link.
func (c *Cache) createAndPut(ctx context.Context, create func() (store.Link, error)) (store.Link, error) {
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

// announce announces an edit to L2 and to other processes. The outbox repeats failed
// announcements.
func (c *Cache) announce(ctx context.Context, l store.Link) {
	if c.opts.Remote != nil {
		_ = c.opts.Remote.Announce(context.WithoutCancel(ctx), l)
	}
}

// heard applies an announced link. A newer link replaces the entry in L1, and a running load
// does not return an older one. An entry that contradicts the announced link is invalidated,
// and readers no longer join a running load.
func (c *Cache) heard(l store.Link) {
	if c.opts.Edited != nil {
		c.opts.Edited(l.Code, l.Version) // before a load could ask the callee
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
	case e.contradicts(held): // the next reader asks
		c.l1.Invalidate(l.Code)
		if k != nil {
			k.load = nil
		}
	}
}

// missed ends the freshness of everything in L1, because announced edits may have been
// missed. The entries may still be served while the store cannot answer.
func (c *Cache) missed() { c.flushed.Store(int64(c.clock())) }
