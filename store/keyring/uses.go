package keyring

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/terse/terse/store"
)

const (
	// maxUses is how many uses are recorded in one call: each locks a row.
	maxUses = 500

	// noteTimeout limits one such call.
	noteTimeout = 5 * time.Second
)

// use remembers that a key was used and returns the key. It skips keys that are not
// usable, and keys with a recorded use less than UseEvery ago.
func (r *Ring) use(k store.Key) store.Key {
	now := r.opts.Now().UTC().Truncate(time.Microsecond)
	if !k.Usable(now) || now.Sub(k.LastUsedAt) < r.opts.UseEvery {
		return k
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.used[k.Hash]; ok || len(r.used) < r.opts.MaxKeys {
		r.used[k.Hash] = now
	} else {
		r.metrics.usesLost.Inc()
	}
	return k
}

// Run records uses every UseEvery. When ctx ends it records the rest and returns.
func (r *Ring) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := r.opts.UseEvery
		select {
		case <-ctx.Done():
		case <-time.After(wait - wait/10 + rand.N(wait/5+1)): //nolint:gosec // jitter
		}
		r.note(context.WithoutCancel(ctx))
	}
}

// note records the uses since the previous call. Uses that cannot be recorded are lost:
// the next use of the key replaces them, so they are not worth a queue.
func (r *Ring) note(ctx context.Context) {
	r.mu.Lock()
	used := r.used
	r.used = map[[sha256.Size]byte]time.Time{}
	r.mu.Unlock()
	uses := make([]store.KeyUse, 0, len(used))
	for hash, at := range used {
		uses = append(uses, store.KeyUse{Hash: hash, At: at})
	}
	slices.SortFunc(uses, func(a, b store.KeyUse) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	for some := range slices.Chunk(uses, maxUses) {
		if err := r.noteSome(ctx, some); err != nil {
			r.metrics.usesLost.Add(float64(len(some)))
			r.opts.Logger.WarnContext(ctx, "last uses of keys were not recorded", "keys", len(some), "err", err)
		}
	}
}

func (r *Ring) noteSome(ctx context.Context, uses []store.KeyUse) error {
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	return r.UseKeys(ctx, uses)
}

// UseKeys implements store.Keys.
func (r *Ring) UseKeys(ctx context.Context, uses []store.KeyUse) error {
	if err := r.opts.Keys.UseKeys(ctx, uses); err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	return nil
}
