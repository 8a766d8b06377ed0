package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// load is one question to the store, and its answer for all who wait.
type load struct {
	done  chan struct{} // closed once the answer stands
	entry *entry
	err   error

	absent bool // L1 remembered that there is no link, and the store was not asked
}

// Resolve answers from L1 without an allocation (but a copy of Tags, when the
// link has any), and asks L2 and then the store when L1 has no fresh answer.
// However many ask for one code, each is asked once, on a context of its own: a
// caller whose ctx ends leaves with its error while the load goes on.
//
// When the store cannot answer, a link that was known less than StaleFor ago is
// returned instead. When it was not asked, see store.ErrShed, that is one of which
// every edit would have been heard, or that is no older than TTL makes it; or any, while
// the store answers nobody. "No such link" is never returned so.
func (c *Cache) Resolve(ctx context.Context, code string) (store.Link, error) {
	if err := ctx.Err(); err != nil {
		return store.Link{}, err
	}
	if l, known, err := c.Peek(code); known {
		return l, err
	}
	return c.resolveMiss(ctx, code)
}

// Peek answers from L1 as Resolve does, and asks nobody: known is false when L1 has no
// fresh answer, or L2 has to be asked first, see absent.
func (c *Cache) Peek(code string) (l store.Link, known bool, err error) {
	e := c.fresh(code)
	switch {
	case e == nil, e.negative() && c.opts.Remote != nil:
		return store.Link{}, false, nil
	case e.negative():
		c.metrics.negative.Inc()
		return store.Link{}, true, store.ErrNotFound
	case e.standIn:
		c.metrics.stale.Inc()
	default:
		c.metrics.hit.Inc()
	}
	return e.link(), true, nil
}

// Holds reports whether L1 has the link, be it too old to be an answer.
func (c *Cache) Holds(code string) bool {
	e := c.held(code)
	return e != nil && !e.negative()
}

// fresh returns what L1 holds of the code when that is an answer, else nil.
func (c *Cache) fresh(code string) *entry {
	e, ok := c.l1.GetIfPresent(code)
	if !ok || c.clock() >= e.freshUntil || e.settledAt() < time.Duration(c.flushed.Load()) {
		return nil
	}
	return e
}

func (c *Cache) resolveMiss(ctx context.Context, code string) (store.Link, error) {
	l := c.join(ctx, code)
	select {
	case <-l.done:
	case <-ctx.Done():
		c.metrics.miss.Inc()
		return store.Link{}, ctx.Err()
	}
	switch {
	case l.entry != nil && l.entry.standIn:
		c.metrics.stale.Inc()
	case l.absent:
		c.metrics.negative.Inc()
	default:
		c.metrics.miss.Inc()
	}
	switch {
	case l.err != nil:
		return store.Link{}, l.err
	case l.entry.negative():
		return store.Link{}, fmt.Errorf("link %q: %w", code, store.ErrNotFound)
	}
	return l.entry.link(), nil
}

// join returns the load that runs for the code, and starts it when none does.
func (c *Cache) join(ctx context.Context, code string) *load {
	s := c.stripe(code)
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[code]; k != nil && k.load != nil {
		return k.load
	}
	l := &load{done: make(chan struct{})}
	if e := c.fresh(code); e != nil && (!e.negative() || c.opts.Remote == nil) { // another load has landed since the caller looked
		l.entry = e
		close(l.done)
		return l
	}
	k := s.enter(strings.Clone(code)) // the caller's may be part of a whole request
	k.load = l
	ctx = context.WithoutCancel(ctx)
	c.work(func() { c.run(ctx, s, k, l) })
	return l
}

// run asks L2, then the store, once the load is admitted, and hands out the answer.
// What the store said is given to L2 when nobody waits for it any more.
func (c *Cache) run(ctx context.Context, s *stripe, k *key, l *load) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.LoadTimeout)
	defer cancel()
	admitted, err := c.opts.Admit(ctx)
	if err != nil {
		c.hand(s, k, l, nil, err, c.clock(), false)
		return
	}
	began := c.clock()
	none := c.absent(k.code)
	link, found, fill := c.lookUp(ctx, s, k)
	switch {
	case found:
	case none != nil:
		began, err, l.absent = none.loadedAt, store.ErrNotFound, true
	default:
		began = c.clock()
		link, err = c.under.Resolve(ctx, k.code)
		c.metrics.observeLoad(c.clock()-began, err)
		c.note(err)
	}
	primary := false
	if !found && err == nil && c.behind(s, k, &link) {
		link, began, primary = c.askPrimary(ctx, link, began)
	}
	admitted()
	c.hand(s, k, l, &link, err, began, primary)
	if !found && err == nil && l.entry.version == link.Version { // else an edit was faster
		fill(context.WithoutCancel(ctx), link)
	}
}

// hand settles the answer of a load, and gives it to all who wait.
func (c *Cache) hand(s *stripe, k *key, l *load, link *store.Link, err error, began time.Duration, primary bool) {
	s.mu.Lock()
	c.land(k, l, link, err, began, primary)
	s.leave(k)
	s.mu.Unlock()
	close(l.done)
}

// lostAfter is how long a version that is known outlasts the primary's word that there
// is only an older one. A failover has lost such a version. The first word is not enough:
// it may be older than the write that made the version. It is shorter than DefaultTTL, so
// that the next load decides.
const lostAfter = 8 * time.Second

// behind reports whether a later version than that of l is known.
func (c *Cache) behind(s *stripe, k *key, l *store.Link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := newest(k.newest, c.held(k.code))
	return known != nil && known.version > l.Version
}

// askPrimary asks the primary for a link of which a later version is known than found,
// which may come from a replica. Without an answer it returns found.
func (c *Cache) askPrimary(ctx context.Context, found store.Link, began time.Duration) (l store.Link, asked time.Duration, primary bool) {
	asked = c.clock()
	l, err := c.store.Get(ctx, found.Code)
	if err != nil {
		return found, began, false
	}
	return l, asked, true
}

// settle returns the answer of a load that has found a link: what was found, or a later
// version that is known. The later version wins until the primary has contradicted it for
// lostAfter. Reloads do not prolong that time.
func (c *Cache) settle(k *key, held, found *entry, primary bool) *entry {
	known := newest(k.newest, held)
	if known == nil || !known.newerThan(found) {
		return found
	}
	kept := c.expiring(known, found.loadedAt)
	if held != nil && held.version == known.version {
		kept.contested = max(kept.contested, held.contested)
	}
	switch {
	case !primary || known.version == found.version:
		return kept
	case kept.contested == 0:
		kept.contested = max(1, c.clock())
	case c.clock()-kept.contested >= lostAfter:
		k.newest = nil
		c.metrics.lostVersion.Inc()
		return found
	}
	if k.newest == known {
		k.newest = kept
	}
	return kept
}

// land settles the answer of a load, and what L1 keeps of it. primary says that the link
// is the primary's word. A load that a write has cut off (see distrust) answers those who
// wait for it and no others.
func (c *Cache) land(k *key, l *load, link *store.Link, err error, began time.Duration, primary bool) {
	held := c.held(k.code)
	known := newest(k.newest, held)
	switch {
	case err == nil:
		l.entry = c.settle(k, held, c.expiring(pack(link), began), primary)
	case errors.Is(err, store.ErrNotFound) && k.newest != nil: // a write came after the store looked
		l.entry = c.expiring(k.newest, began)
	case errors.Is(err, store.ErrNotFound):
		l.entry = c.expiring(&entry{code: k.code}, began)
	case unanswered(err) && c.clock() < c.standInEnd(known, err):
		l.entry = c.standingIn(known, c.standInEnd(known, err))
	case errors.Is(err, context.DeadlineExceeded): // the load's own, not the caller's
		l.err = fmt.Errorf("link %q: %w: no answer within %v", k.code, store.ErrUnavailable, c.opts.LoadTimeout)
	default:
		l.err = err
	}
	if k.load != l {
		return
	}
	k.load = nil
	if l.entry != nil && !l.entry.contradicts(k.newest) {
		c.put(l.entry, held)
	}
}
