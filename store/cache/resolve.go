package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terse/terse/store"
)

// load is one question to L2 and the store, and its answer for all waiting callers.
type load struct {
	done  chan struct{} // closed when the answer is complete
	entry *entry
	err   error

	absent bool // the answer is L1's "no such link": the store was not asked
}

// Resolve answers from L1 without an allocation, except for a copy of Tags. If L1 has no
// fresh answer, Resolve asks L2 and then the store. All concurrent callers for one code
// share one load with its own context: when a caller's ctx ends, that caller gets the error
// of ctx and the load continues.
//
// If the store cannot answer, Resolve returns a link that was loaded less than StaleFor ago.
// If the store was not asked, see store.ErrShed, the link must satisfy one more condition:
// Listen has received all edits since its load, or it is not older than TTL, or the store
// answers no request at all. Resolve never returns "no such link" from such an entry.
func (c *Cache) Resolve(ctx context.Context, code string) (store.Link, error) {
	if err := ctx.Err(); err != nil {
		return store.Link{}, err
	}
	if l, known, err := c.Peek(code); known {
		return l, err
	}
	return c.Load(ctx, code)
}

// Peek answers from L1 like Resolve, and asks neither L2 nor the store. known is false when
// L1 has no fresh answer, or when L2 has to be asked first, see absent.
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

// Holds reports whether L1 has the link, even if it is too old to be an answer.
func (c *Cache) Holds(code string) bool {
	e := c.held(code)
	return e != nil && !e.negative()
}

// fresh returns the entry of the code in L1 if it is an answer, else nil.
func (c *Cache) fresh(code string) *entry {
	e, ok := c.l1.GetIfPresent(code)
	if !ok || c.clock() >= e.freshUntil || e.settledAt() < time.Duration(c.flushed.Load()) {
		return nil
	}
	return e
}

// Load answers like Resolve for a code that Peek does not know. It waits for admission, see
// Options.Admit, and asks L2 and the store. It does not look in L1 first.
func (c *Cache) Load(ctx context.Context, code string) (store.Link, error) {
	if err := ctx.Err(); err != nil {
		return store.Link{}, err
	}
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

// join returns the running load of the code, or starts one.
func (c *Cache) join(ctx context.Context, code string) *load {
	s := c.stripe(code)
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[code]; k != nil && k.load != nil {
		return k.load
	}
	l := &load{done: make(chan struct{})}
	if e := c.fresh(code); e != nil && (!e.negative() || c.opts.Remote == nil) { // another load has finished since the caller looked
		l.entry = e
		close(l.done)
		return l
	}
	k := s.enter(strings.Clone(code)) // the caller's string may be part of a whole request
	k.load = l
	if c.opts.Full() {
		c.decide(k, l, nil, store.ErrShed, c.clock(), false)
		s.leave(k)
		close(l.done)
		return l
	}
	ctx = context.WithoutCancel(ctx)
	c.work(func() { c.run(ctx, s, k, l) })
	return l
}

// run waits for admission, asks L2 and then the store, and gives the answer to the waiting
// callers. After that it fills L2.
func (c *Cache) run(ctx context.Context, s *stripe, k *key, l *load) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.LoadTimeout)
	defer cancel()
	admitted, err := c.opts.Admit(ctx)
	if err != nil {
		c.finish(s, k, l, nil, err, c.clock(), false)
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
		c.noteAnswer(err)
	}
	primary := false
	if !found && err == nil && c.behind(s, k, &link) {
		link, began, primary = c.askPrimary(ctx, link, began)
	}
	admitted()
	c.finish(s, k, l, &link, err, began, primary)
	if !found && err == nil && l.entry.version == link.Version { // else an edit was faster
		fill(context.WithoutCancel(ctx), link)
	}
}

// finish decides the answer of a load and gives it to all waiting callers.
func (c *Cache) finish(s *stripe, k *key, l *load, link *store.Link, err error, began time.Duration, primary bool) {
	s.mu.Lock()
	c.decide(k, l, link, err, began, primary)
	s.leave(k)
	s.mu.Unlock()
	close(l.done)
}

// lostAfter is how long the primary must return only an older version before a known
// version counts as lost in a failover. One answer is not enough: the primary may have read
// the link before the write of the known version. lostAfter is shorter than DefaultTTL, so
// that the next load decides.
const lostAfter = 8 * time.Second

// behind reports whether this process knows a later version than the version of l.
func (c *Cache) behind(s *stripe, k *key, l *store.Link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := newest(k.newest, c.held(k.code))
	return known != nil && known.version > l.Version
}

// askPrimary asks the primary for a link, because this process knows a later version than
// found. found may come from a replica. If the primary does not answer, askPrimary returns
// found.
func (c *Cache) askPrimary(ctx context.Context, found store.Link, began time.Duration) (l store.Link, asked time.Duration, primary bool) {
	asked = c.clock()
	l, err := c.store.Get(ctx, found.Code)
	if err != nil {
		return found, began, false
	}
	return l, asked, true
}

// settle returns the answer of a load that found a link: the found link, or a later version
// that this process knows. The later version wins until the primary has contradicted it for
// lostAfter. Further loads do not prolong that time.
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

// decide sets the answer of a load and puts it in L1. primary says that link comes from the
// primary. If a write has detached the load (see distrust), the answer goes to the waiting
// callers but not to L1.
func (c *Cache) decide(k *key, l *load, link *store.Link, err error, began time.Duration, primary bool) {
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
	case errors.Is(err, context.DeadlineExceeded): // the deadline of the load, not of the caller
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
