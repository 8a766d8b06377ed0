package cache

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"time"
)

// stripe protects the L1 entries of all codes that hash to it. Changing an entry of L1
// requires the lock of its stripe; reading does not.
type stripe struct {
	mu   sync.Mutex
	keys map[string]*key
}

// key is the state of one code while loads and writes of it run. It survives an eviction
// from L1, so that a slow load or write cannot restore a replaced state.
type key struct {
	code   string
	ops    int    // running loads and writes
	newest *entry // the latest result of a write; nil if no write has returned
	load   *load  // the running load that readers may join; may be nil
}

func (c *Cache) stripe(code string) *stripe {
	return &c.stripes[maphash.String(c.seed, code)%uint64(len(c.stripes))]
}

// enter registers one operation on the code. The caller must hold s.mu.
func (s *stripe) enter(code string) *key {
	k := s.keys[code]
	if k == nil {
		k = &key{code: code}
		s.keys[code] = k
	}
	k.ops++
	return k
}

// leave ends an operation that enter registered. The caller must hold s.mu.
func (s *stripe) leave(k *key) {
	if k.ops--; k.ops == 0 {
		delete(s.keys, k.code)
	}
}

// held returns the entry of the code in L1, fresh or not, or nil.
func (c *Cache) held(code string) *entry {
	e, ok := c.l1.GetEntryQuietly(code)
	if !ok {
		return nil
	}
	return e.Value
}

// put stores e in L1 and replaces held, which may be nil. The caller must hold the lock of
// the stripe.
func (c *Cache) put(e, held *entry) {
	if held != nil {
		e.code = held.code // otter keeps this string as the key
	}
	c.l1.Set(e.code, e)
}

// expiring returns e as an answer that the store gave at the given moment. The end of its
// freshness has jitter, so that links loaded together do not expire together.
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
