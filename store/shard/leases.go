package shard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Leases leases node ids to one holder from any shard. Each node id belongs to one shard, so
// that a dead shard does not prevent nodes from minting. Safe for concurrent use.
type Leases struct {
	shards []Named
	now    func() time.Time

	mu      sync.Mutex
	granted map[int64]int // the shard that granted each node id
}

var _ Leaser = (*Leases)(nil)

// grant is a node id that a shard granted.
type grant struct {
	shard int
	node  int64
	floor time.Time
}

// Leaser returns leases for the holder of the Leasers in Options.Shards.
func (r *Router) Leaser() *Leases {
	return &Leases{shards: r.shards, now: r.opts.Now, granted: map[int64]int{}}
}

// Acquire asks the shards in random order until one grants a node id whose floor is not in
// the future. If none does, it takes the node id with the earliest floor. It skips shards that
// fail and returns an error if all fail. The remaining time is divided equally among the
// shards that are left.
func (l *Leases) Acquire(ctx context.Context, ttl time.Duration) (node int64, floor time.Time, err error) {
	var best *grant
	var errs []error
	for n, i := range rand.Perm(len(l.shards)) { //nolint:gosec // spreads load
		if ctx.Err() != nil {
			break
		}
		g, err := l.acquire(ctx, ttl, i, len(l.shards)-n)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if best == nil || g.floor.Before(best.floor) {
			best, g = g, best
		}
		if g != nil {
			// If the release fails, the lease expires unused.
			_ = l.shards[g.shard].Leaser.Release(ctx, g.node, g.floor)
		}
		if !best.floor.After(l.now()) {
			break
		}
	}
	if best == nil {
		return 0, time.Time{}, fmt.Errorf("shard: acquire node id: %w", errors.Join(append(errs, ctx.Err())...))
	}
	l.mu.Lock()
	l.granted[best.node] = best.shard
	l.mu.Unlock()
	return best.node, best.floor, nil
}

// acquire asks shard i. It may take one n-th of the remaining time.
func (l *Leases) acquire(ctx context.Context, ttl time.Duration, i, n int) (*grant, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
		defer cancel()
	}
	node, floor, err := l.shards[i].Leaser.Acquire(ctx, ttl)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", l.shards[i].Name, err)
	}
	return &grant{shard: i, node: node, floor: floor}, nil
}

// Renew renews the node id at the shard that granted it. held is false for a node id that
// these Leases did not grant.
func (l *Leases) Renew(ctx context.Context, node int64, used time.Time, ttl time.Duration) (held bool, err error) {
	s, ok := l.shardOf(node)
	if !ok {
		return false, nil
	}
	if held, err = s.Leaser.Renew(ctx, node, used, ttl); err != nil {
		return held, fmt.Errorf("shard %s: %w", s.Name, err)
	}
	return held, nil
}

// Release releases the node id at the shard that granted it.
func (l *Leases) Release(ctx context.Context, node int64, used time.Time) error {
	s, ok := l.shardOf(node)
	if !ok {
		return nil
	}
	if err := s.Leaser.Release(ctx, node, used); err != nil {
		return fmt.Errorf("shard %s: %w", s.Name, err)
	}
	return nil
}

// shardOf returns the shard that granted the node id.
func (l *Leases) shardOf(node int64) (Named, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, ok := l.granted[node]
	if !ok {
		return Named{}, false
	}
	return l.shards[i], true
}
