package idgen_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/idgen"
	"github.com/terse/terse/idgen/leasetest"
	"github.com/terse/terse/internal/testenv"
)

func TestMemoryLeases(t *testing.T) {
	t.Parallel()
	leasetest.TestLeaser(t, func(testing.TB) (a, b idgen.Leaser, advance func(time.Duration)) {
		var c clock
		leases := idgen.NewMemoryLeases(c.now)
		return leases.Holder(), leases.Holder(), c.advance
	})
}

// errOutage is the error of an unreachable Leaser.
var errOutage = errors.New("leases cannot be reached")

// remote is a Leaser that can become unreachable.
type remote struct {
	idgen.Leaser
	down atomic.Bool
}

func (r *remote) Acquire(ctx context.Context, ttl time.Duration) (int64, time.Time, error) {
	if r.down.Load() {
		return 0, time.Time{}, errOutage
	}
	return r.Leaser.Acquire(ctx, ttl)
}

func (r *remote) Renew(ctx context.Context, node int64, used time.Time, ttl time.Duration) (bool, error) {
	if r.down.Load() {
		return false, errOutage
	}
	return r.Leaser.Renew(ctx, node, used, ttl)
}

func (r *remote) Release(ctx context.Context, node int64, used time.Time) error {
	if r.down.Load() {
		return errOutage
	}
	return r.Leaser.Release(ctx, node, used)
}

// oneNode is a Leaser with a single node id and no other holder. It records the
// timestamps of Renew and Release.
type oneNode struct {
	floor  time.Time // returned by Acquire
	stolen bool      // whether Renew reports that another holder has the node id
	err    error     // returned by Acquire

	mu       sync.Mutex
	renewed  time.Time
	renewals int
	fell     bool // whether a renewal recorded an earlier timestamp than the previous one
	released []time.Time
}

const theNode = 5

func (o *oneNode) Acquire(context.Context, time.Duration) (int64, time.Time, error) {
	return theNode, o.floor, o.err
}

func (o *oneNode) Renew(_ context.Context, _ int64, used time.Time, _ time.Duration) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fell = o.fell || used.Before(o.renewed)
	o.renewed = used
	o.renewals++
	return !o.stolen, nil
}

func (o *oneNode) Release(_ context.Context, _ int64, used time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.released = append(o.released, used)
	return nil
}

// awaitRenewals waits for n more renewals.
func (o *oneNode) awaitRenewals(tb testing.TB, n int) {
	tb.Helper()
	count := func() int {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.renewals
	}
	want := count() + n
	testenv.Await(tb, fmt.Sprintf("%d renewals", want), func() bool { return count() >= want })
}

// twoLeasers leases from the first of two independent Leasers, and from the second
// while the first is down.
type twoLeasers struct {
	first  *remote
	second idgen.Leaser
}

func (p *twoLeasers) Acquire(ctx context.Context, ttl time.Duration) (int64, time.Time, error) {
	if node, floor, err := p.first.Acquire(ctx, ttl); err == nil {
		return node, floor, nil
	}
	node, floor, err := p.second.Acquire(ctx, ttl)
	return node + 1, floor, err
}

func (p *twoLeasers) Renew(ctx context.Context, node int64, used time.Time, ttl time.Duration) (bool, error) {
	if node == 0 {
		return p.first.Renew(ctx, node, used, ttl)
	}
	return p.second.Renew(ctx, node-1, used, ttl)
}

func (p *twoLeasers) Release(ctx context.Context, node int64, used time.Time) error {
	if node == 0 {
		return p.first.Release(ctx, node, used)
	}
	return p.second.Release(ctx, node-1, used)
}

// TestLeasesAnotherInTime makes the Leaser of a node id unreachable. The Minter leases
// another node id before the first lease expires, and rejects no request.
func TestLeasesAnotherInTime(t *testing.T) {
	t.Parallel()
	var c clock
	p := &twoLeasers{
		first:  &remote{Leaser: idgen.NewMemoryLeases(c.now).Holder()},
		second: idgen.NewMemoryLeases(c.now).Holder(),
	}
	m := newMinter(t, idgen.Options{Leaser: p, Now: c.now})
	ids := mint(t, m, 10)
	p.first.down.Store(true)
	c.advance(ttl/2 + time.Second)
	testenv.Await(t, "Next() to use another node id", func() bool {
		ids = append(ids, mint(t, m, 1)...)
		return ids[len(ids)-1].Node() != 0
	})
	distinct(t, ids)
}
