// Package keyring keeps the API keys that calls come with in the memory of this
// process, in front of any store.Keys, and notes when they were last used.
//
// A key is believed for at most one TTL after it was read, and no longer than until
// this process hears that it was revoked. One that was read a while ago stands in
// for a place of keys that cannot be asked, so that its outage locks nobody out. It
// does not know HTTP, nor how processes tell each other of revocations.
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
	// staleRetry is how long a key that outlived its TTL is used without asking a
	// place that has just failed to answer for it.
	staleRetry = time.Second

	// staleAhead is how much longer it is used while that is asked again: nobody
	// waits for a place that hangs, but for the first.
	staleAhead = 4 * time.Second
)

// digest is that of a token, by which a key is found.
type digest = [sha256.Size]byte

// Ring is a store.Keys that answers KeyByHash from memory where it can. Keys in
// which RevokedAt is set are answered too, as the place of keys would. It is safe
// for concurrent use. Somebody has to run Run, or uses are not noted.
type Ring struct {
	opts    Options
	clock   func() time.Duration // time since New, on the monotonic clock
	metrics *metrics

	known   *otter.Cache[digest, *entry]
	unknown *otter.Cache[digest, time.Duration] // when "no such key" was asked for, on clock
	loads   singleflight.Group
	missed  atomic.Int64 // when revocations may have been missed, on clock; what is older is not fresh

	mu      sync.Mutex // held to change known
	revoked map[digest]revocation
	used    map[digest]time.Time // the uses that are not noted yet
}

var _ store.Keys = (*Ring)(nil)

// entry is a key as it was read. It never changes.
type entry struct {
	key   store.Key
	asked time.Duration // when, on clock
	retry time.Duration // until when it stands in for an outage unasked, on clock; 0 when there is none
}

// revocation is one that was heard of. It outlives every load that may have begun
// before, and so does not know of it.
type revocation struct {
	at      time.Time
	forever time.Duration // when all such loads are over, on clock
}

// New returns a Ring that knows no key, or every problem of opts.
func New(opts Options) (*Ring, error) {
	opts.setDefaults()
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
		return nil, fmt.Errorf("keyring: register metrics: %w", err)
	}
	if r.known, err = otter.New(&otter.Options[digest, *entry]{MaximumSize: opts.MaxKeys}); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	if r.unknown, err = otter.New(&otter.Options[digest, time.Duration]{MaximumSize: opts.MaxKeys}); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return r, nil
}

// KeyByHash implements store.Keys. LastUsedAt is as old as the answer.
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
	select {
	case loaded := <-r.loads.DoChan(string(hash[:]), load):
		key, _ := loaded.Val.(store.Key)
		if loaded.Err != nil {
			return key, loaded.Err
		}
		return r.use(key), nil
	case <-ctx.Done():
		return store.Key{}, fmt.Errorf("key by hash: %w", ctx.Err())
	}
}

// Knows reports whether KeyByHash asks nobody for more than what has changed of a key
// that was read before, or answers at once that there is none.
func (r *Ring) Knows(hash [sha256.Size]byte) bool {
	if _, ok := r.known.GetIfPresent(hash); ok {
		return true
	}
	asked, ok := r.unknown.GetIfPresent(hash)
	return ok && r.fresh(asked, r.clock(), r.opts.NegativeTTL)
}

// fresh reports whether what was asked for at a moment may be answered at now.
func (r *Ring) fresh(asked, now, ttl time.Duration) bool {
	return now-asked < ttl && int64(asked) >= r.missed.Load()
}

// load asks the place of keys, for all who wait for the same key. Whoever asked
// first may leave.
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
	if have, ok := r.standIn(hash); ok {
		r.metrics.stale.Inc()
		return have, nil
	}
	r.metrics.failed.Inc()
	if ctx.Err() != nil {
		err = fmt.Errorf("key by hash: %w: no answer in %v", store.ErrUnavailable, r.opts.LoadTimeout)
	}
	return store.Key{}, err
}

// keep remembers a key as it was read, and as it is known to have become since.
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

// forget remembers that there is no such key.
func (r *Ring) forget(hash digest, asked time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known.Invalidate(hash)
	r.unknown.Set(hash, asked)
}

// standIn returns what is known of a key in place of the answer that there is not.
func (r *Ring) standIn(hash digest) (store.Key, bool) {
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

// Revoked tells the Ring that a key was revoked, by whomever.
func (r *Ring) Revoked(hash [sha256.Size]byte, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock()
	for other, gone := range r.revoked {
		if now > gone.forever {
			delete(r.revoked, other)
		}
	}
	r.revoked[hash] = revocation{at: at, forever: now + 2*r.opts.LoadTimeout}
	if have, ok := r.known.GetIfPresent(hash); ok && have.key.RevokedAt.IsZero() {
		gone := *have
		gone.key.RevokedAt = at
		r.known.Set(hash, &gone)
	}
	r.metrics.revocations.Inc()
}

// Missed tells the Ring that it may not have been told of revocations before this
// moment: every key is read anew, and stands in for an outage as before.
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

// RevokeKey implements store.Keys. Other processes are not told.
func (r *Ring) RevokeKey(ctx context.Context, id string, at time.Time) (store.Key, error) {
	k, err := r.opts.Keys.RevokeKey(ctx, id, at)
	if err == nil {
		r.Revoked(k.Hash, k.RevokedAt)
	}
	return k, err
}
