package cache

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"time"
)

// stripe guards what L1 holds of the codes that hash to it: whoever changes an
// entry of L1 holds its stripe's lock. Readers of L1 need none.
type stripe struct {
	mu   sync.Mutex
	keys map[string]*key
}

// key is what is known of one code while loads and writes of it run below. It
// outlives an eviction from L1, so that whichever of them is late cannot bring
// back a state that another one has replaced.
type key struct {
	code   string
	ops    int    // loads and writes that run
	newest *entry // the latest state that one of the writes has left; nil for none
	load   *load  // the one that readers may join; nil for none
}

func (c *Cache) stripe(code string) *stripe {
	return &c.stripes[maphash.String(c.seed, code)%uint64(len(c.stripes))]
}

// enter registers one operation on the code. The lock must be held.
func (s *stripe) enter(code string) *key {
	k := s.keys[code]
	if k == nil {
		k = &key{code: code}
		s.keys[code] = k
	}
	k.ops++
	return k
}

// leave ends what enter registered. The lock must be held.
func (s *stripe) leave(k *key) {
	if k.ops--; k.ops == 0 {
		delete(s.keys, k.code)
	}
}

// held returns the entry of the code in L1, also one that is no longer fresh, or
// nil.
func (c *Cache) held(code string) *entry {
	e, ok := c.l1.GetEntryQuietly(code)
	if !ok {
		return nil
	}
	return e.Value
}

// put stores e in L1 in the place of held, which may be nil. The stripe's lock
// must be held.
func (c *Cache) put(e, held *entry) {
	if held != nil {
		e.code = held.code // otter goes on holding this one as the key
	}
	c.l1.Set(e.code, e)
}

// expiring returns e as an answer that the store gave at the given moment. Its
// end varies a little, so that links loaded together are not loaded together
// again.
func (c *Cache) expiring(e *entry, at time.Duration) *entry {
	dated := *e
	dated.standIn = false
	dated.loadedAt = at
	dated.usableUntil = at + c.opts.StaleFor
	if e.negative() {
		dated.freshUntil = at + c.opts.NegativeTTL - rand.N(c.opts.NegativeTTL/10+1) //nolint:gosec // jitter
	} else {
		dated.freshUntil = at + c.opts.TTL - c.opts.TTL/10 + rand.N(c.opts.TTL/5+1) //nolint:gosec // jitter
	}
	return &dated
}
