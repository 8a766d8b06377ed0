package idgen

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pollFloor is how often the clock is read while it is waited for.
const pollFloor = 5 * time.Millisecond

// keep looks after the lease until ctx ends, and then gives it back. It looks
// often, and reads the clock each time, because timers stand still while a
// machine is suspended.
func (m *Minter) keep(ctx context.Context) {
	defer close(m.done)
	tick := time.NewTicker(min(m.opts.RenewEvery, time.Second))
	defer tick.Stop()
	failing := m.lease == nil // NewMinter has told
	for {
		select {
		case <-ctx.Done():
			m.closeErr = m.giveBack(ctx)
			return
		case <-tick.C:
		}
		err := m.tend(ctx)
		switch {
		case ctx.Err() != nil: // closing, not failing
		case err != nil && !failing:
			m.opts.Logger.WarnContext(ctx, "node id lease cannot be kept", "err", err)
		case err == nil && failing:
			m.opts.Logger.InfoContext(ctx, "node id lease is kept again")
		}
		failing = err != nil
	}
}

// tend renews the lease when it is due, and leases a node id when none is held.
// One whose lease cannot be renewed for half its time leases another, from
// wherever it can, before the first runs out.
func (m *Minter) tend(ctx context.Context) error {
	renewed, err := m.prolong(ctx)
	early := m.lease == nil || m.lease.age(m.opts.Now()) < m.opts.TTL/2
	if renewed || err != nil && early {
		return err
	}
	l, acquireErr := m.acquire(ctx)
	if acquireErr != nil {
		if m.lease == nil {
			m.let(acquireErr)
		}
		return errors.Join(err, acquireErr)
	}
	m.hold(l)
	m.opts.Logger.InfoContext(ctx, "node id leased", "node", l.node)
	return nil
}

// prolong renews the lease when it is due, and lets go one that cannot be used
// any more. It reports whether a lease is held that needs nothing now.
func (m *Minter) prolong(ctx context.Context) (renewed bool, err error) {
	l := m.lease
	if l == nil {
		return false, nil
	}
	now := m.opts.Now()
	if l.age(now) < m.opts.RenewEvery {
		return true, nil
	}
	if m.used(l).Sub(now) > maxDrift {
		// The clock was set back: another node id can go on at once.
		m.opts.Logger.WarnContext(ctx, "node id given back, the clock was set back", "node", l.node)
		return false, m.giveBack(ctx)
	}
	held, err := m.renew(ctx, l)
	if err == nil && !held {
		m.let(nil)
		m.opts.Logger.WarnContext(ctx, "node id lost", "node", l.node)
	}
	return held, err
}

// giveBack stops minting and releases the node id, if one is held.
func (m *Minter) giveBack(ctx context.Context) error {
	l := m.lease
	if l == nil {
		return nil
	}
	m.let(nil)
	return m.release(ctx, l.node, l.last.Time())
}

// acquire leases a node id and makes it ready to mint under. What cannot be
// made ready is given back as it was.
func (m *Minter) acquire(ctx context.Context) (*lease, error) {
	since := m.opts.Now()
	call, cancel := context.WithTimeout(ctx, m.opts.callTimeout())
	defer cancel()
	node, floor, err := m.opts.Leaser.Acquire(call, m.opts.TTL)
	m.metrics.call("acquire", err == nil, err)
	if err != nil {
		return nil, fmt.Errorf("acquire node id: %w", err)
	}
	l, err := m.ready(ctx, node, floor, since)
	if err != nil {
		return nil, errors.Join(err, m.release(ctx, node, floor))
	}
	return l, nil
}

// ready waits until the clock is past the floor of a node id just acquired, and
// records how far its timestamps may go before the first of them is used.
func (m *Minter) ready(ctx context.Context, node int64, floor, since time.Time) (*lease, error) {
	if err := m.awaitFloor(ctx, floor); err != nil {
		return nil, fmt.Errorf("node id %d: %w", node, err)
	}
	ids, err := newGenerator(node, m.opts.Now)
	if err != nil {
		return nil, err
	}
	last := lastOf(floor)
	l := &lease{node: node, ids: ids, last: last, limit: last, since: since}
	held, err := m.renew(ctx, l)
	if err == nil && !held {
		err = fmt.Errorf("node id %d: %w", node, ErrLeaseLost)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// awaitFloor returns once the clock shows a later millisecond than floor, or
// ErrClockBehind when that is more than maxDrift away.
func (m *Minter) awaitFloor(ctx context.Context, floor time.Time) error {
	for {
		behind := floor.Sub(m.opts.Now())
		switch {
		case behind <= -time.Millisecond:
			return nil
		case behind > maxDrift:
			return fmt.Errorf("%w: by %v", ErrClockBehind, behind.Round(time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollFloor):
		}
	}
}

// renew extends l and raises its limit, which never falls while it is held. Its
// outcome being unknown, after an error, l stays as it was: ids are minted only
// under what was acknowledged.
func (m *Minter) renew(ctx context.Context, l *lease) (held bool, err error) {
	since := m.opts.Now()
	limit := max(l.limit, lastOf(since.Add(m.opts.TTL+maxDrift)))
	ctx, cancel := context.WithTimeout(ctx, m.opts.callTimeout())
	defer cancel()
	held, err = m.opts.Leaser.Renew(ctx, l.node, limit.Time(), m.opts.TTL)
	m.metrics.call("renew", held, err)
	if err != nil {
		return false, fmt.Errorf("renew node id %d: %w", l.node, err)
	}
	if held {
		m.mu.Lock()
		l.since, l.limit = since, limit
		m.mu.Unlock()
		if l == m.lease {
			m.metrics.hold(l, m.opts.TTL)
		}
	}
	return held, nil
}

// release gives a node id back, also when ctx has ended.
func (m *Minter) release(ctx context.Context, node int64, used time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.opts.callTimeout())
	defer cancel()
	err := m.opts.Leaser.Release(ctx, node, used)
	m.metrics.call("release", err == nil, err)
	if err != nil {
		return fmt.Errorf("release node id %d: %w", node, err)
	}
	return nil
}
