// Package keyring caches API keys in the memory of this process, in front of any
// store.Keys. It also records when keys were last used.
//
// A key is used for at most one TTL after it was read, and only until this process
// learns that it was revoked. While the store of keys is unreachable, a key that was
// read earlier is used for up to Options.StaleFor, so that an outage locks no caller
// out. The package knows nothing of HTTP, and does not send revocations to other
// processes.
package keyring

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/terse/terse/store"
)

const (
	// staleWait is how long a caller waits for the store of keys before an expired key is used.
	staleWait = 250 * time.Millisecond

	// staleRetry is how long an expired key is used without asking, after the store of
	// keys failed to answer.
	staleRetry = time.Second

	// staleAhead is how much longer the key is used while the store is asked in the
	// background. So only the first callers wait for a store that hangs.
	staleAhead = 4 * time.Second
)

// digest is the SHA-256 digest of a token. Keys are looked up by digest.
type digest = [sha256.Size]byte

// Ring is a store.Keys that answers KeyByHash from memory when possible. It also
// returns revoked keys, with RevokedAt set, as other implementations do. Safe for
// concurrent use. Run must be running, or uses are not recorded.
type Ring struct {
	opts    Options
	clock   func() time.Duration // time since New, on the monotonic clock
	metrics *metrics

	known   *otter.Cache[digest, *entry]
	unknown *otter.Cache[digest, time.Duration] // when the store answered "no such key", on clock
	loads   singleflight.Group
	missed  atomic.Int64 // when a revocation may last have been missed, on clock; older answers are not fresh

	mu      sync.Mutex // must be held to change known
	revoked map[digest]revocation
	used    map[digest]time.Time // uses that are not recorded yet
}

var _ store.Keys = (*Ring)(nil)

// entry is a key as it was read. It is immutable.
type entry struct {
	key   store.Key
	asked time.Duration // when it was read, on clock
	retry time.Duration // until when it is used without asking in an outage, on clock; 0 without an outage
}

// revocation is a revocation that this process has learned of. It is kept until every
// load that began before it has ended, because such a load may return the old key.
type revocation struct {
	at    time.Time
	until time.Duration // when all such loads have ended, on clock
}

// New returns a Ring without keys, or an error with every invalid option.
func New(opts Options) (*Ring, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	start := opts.Now()
	r := &Ring{
		opts: opts, clock: func() time.Duration { return opts.Now().Sub(start) },
		revoked: map[digest]revocation{}, used: map[digest]time.Time{},
	}
	var err error
	if r.metrics, err = newMetrics(opts.Registerer); err != nil {
		return nil, err
	}
	if r.known, err = otter.New(&otter.Options[digest, *entry]{MaximumSize: opts.MaxKeys}); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	if r.unknown, err = otter.New(&otter.Options[digest, time.Duration]{MaximumSize: opts.MaxKeys}); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return r, nil
}

// KeyByHash implements store.Keys. LastUsedAt may be as old as the cached key.
func (r *Ring) KeyByHash(ctx context.Context, hash [sha256.Size]byte) (store.Key, error) {
	now := r.clock()
	have, found := r.known.GetIfPresent(hash)
	load := func() (any, error) { return r.load(ctx, hash) }
	switch {
	case found && r.fresh(have.asked, now, r.opts.TTL):
		r.metrics.hit.Inc()
		return r.use(have.key), nil
	case found && now < have.retry:
		r.metrics.stale.Inc()
		return r.use(have.key), nil
	case found && have.retry > 0 && now < min(have.retry+staleAhead, have.asked+r.opts.StaleFor):
		r.loads.DoChan(string(hash[:]), load)
		r.metrics.stale.Inc()
		return r.use(have.key), nil
	}
	if asked, ok := r.unknown.GetIfPresent(hash); ok && r.fresh(asked, now, r.opts.NegativeTTL) {
		r.metrics.negative.Inc()
		return store.Key{}, fmt.Errorf("key by hash: %w", store.ErrNotFound)
	}
	var late <-chan time.Time // never, without a key to use
	if found && now-have.asked < r.opts.StaleFor {
		timer := time.NewTimer(staleWait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case loaded := <-r.loads.DoChan(string(hash[:]), load):
		key, _ := loaded.Val.(store.Key)
		if loaded.Err != nil {
			return key, loaded.Err
		}
		return r.use(key), nil
	case <-late:
		key, ok := r.fallback(hash)
		if !ok {
			return store.Key{}, fmt.Errorf("key by hash: %w: no answer in %v", store.ErrUnavailable, staleWait)
		}
		r.metrics.stale.Inc()
		return r.use(key), nil
	case <-ctx.Done():
		return store.Key{}, fmt.Errorf("key by hash: %w", ctx.Err())
	}
}

// Knows reports whether the key is in memory, fresh or not, or is known not to exist.
// Otherwise KeyByHash has to read an unknown key from the store.
func (r *Ring) Knows(hash [sha256.Size]byte) bool {
	if _, ok := r.known.GetIfPresent(hash); ok {
		return true
	}
	asked, ok := r.unknown.GetIfPresent(hash)
	return ok && r.fresh(asked, r.clock(), r.opts.NegativeTTL)
}

// fresh reports whether an answer from the time asked may still be used.
func (r *Ring) fresh(asked, now, ttl time.Duration) bool {
	return now-asked < ttl && int64(asked) >= r.missed.Load()
}

// load reads a key once for all callers that wait for it. It continues when the first
// caller gives up.
func (r *Ring) load(ctx context.Context, hash digest) (store.Key, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.opts.LoadTimeout)
	defer cancel()
	asked := r.clock()
	key, err := r.opts.Keys.KeyByHash(ctx, hash)
	switch {
	case err == nil:
		r.metrics.miss.Inc()
		return r.keep(&entry{key: key, asked: asked}).key, nil
	case errors.Is(err, store.ErrNotFound):
		r.metrics.miss.Inc()
		r.forget(hash, asked)
		return store.Key{}, err
	}
	if have, ok := r.fallback(hash); ok {
		r.metrics.stale.Inc()
		return have, nil
	}
	r.metrics.failed.Inc()
	if ctx.Err() != nil {
		err = fmt.Errorf("key by hash: %w: no answer in %v", store.ErrUnavailable, r.opts.LoadTimeout)
	}
	return store.Key{}, err
}

// keep caches a key. It applies a revocation that the read may have missed.
func (r *Ring) keep(e *entry) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gone, ok := r.revoked[e.key.Hash]; ok && e.key.RevokedAt.IsZero() {
		e.key.RevokedAt = gone.at
	}
	r.known.Set(e.key.Hash, e)
	r.unknown.Invalidate(e.key.Hash)
	return e
}

// forget caches that the key does not exist.
func (r *Ring) forget(hash digest, asked time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known.Invalidate(hash)
	r.unknown.Set(hash, asked)
}

// fallback returns a cached key younger than StaleFor when the store did not answer. It
// lets the key be used without asking for staleRetry.
func (r *Ring) fallback(hash digest) (store.Key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	have, ok := r.known.GetIfPresent(hash)
	now := r.clock()
	if !ok || now-have.asked >= r.opts.StaleFor {
		return store.Key{}, false
	}
	r.known.Set(hash, &entry{key: have.key, asked: have.asked, retry: min(now+staleRetry, have.asked+r.opts.StaleFor)})
	return have.key, true
}

// Revoked records that a key was revoked by any process at the given time.
func (r *Ring) Revoked(hash [sha256.Size]byte, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock()
	for other, gone := range r.revoked {
		if now > gone.until {
			delete(r.revoked, other)
		}
	}
	r.revoked[hash] = revocation{at: at, until: now + 2*r.opts.LoadTimeout}
	if have, ok := r.known.GetIfPresent(hash); ok && have.key.RevokedAt.IsZero() {
		gone := *have
		gone.key.RevokedAt = at
		r.known.Set(hash, &gone)
	}
	r.metrics.revocations.Inc()
}

// Missed records that this process may have missed revocations. Every key is read again
// before its next use. Keys read earlier are still used in an outage.
func (r *Ring) Missed() {
	now := r.clock()
	r.missed.Store(int64(now))
}

// CreateKey implements store.Keys.
func (r *Ring) CreateKey(ctx context.Context, k store.Key) error {
	err := r.opts.Keys.CreateKey(ctx, k)
	r.unknown.Invalidate(k.Hash)
	return err
}

// ListKeys implements store.Keys.
func (r *Ring) ListKeys(ctx context.Context) ([]store.Key, error) { return r.opts.Keys.ListKeys(ctx) }

// RevokeKey implements store.Keys. It does not inform other processes.
func (r *Ring) RevokeKey(ctx context.Context, id string, at time.Time) (store.Key, error) {
	k, err := r.opts.Keys.RevokeKey(ctx, id, at)
	if err == nil {
		r.Revoked(k.Hash, k.RevokedAt)
	}
	return k, err
}
