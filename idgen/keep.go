package idgen

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pollFloor is the interval between two readings of the clock in awaitFloor.
const pollFloor = 5 * time.Millisecond

// keep keeps a node id leased until ctx ends, and then releases it. It reads the clock
// at short intervals, because timers stand still while a machine is suspended.
func (m *Minter) keep(ctx context.Context) {
	defer close(m.done)
	tick := time.NewTicker(min(m.opts.RenewEvery, time.Second))
	defer tick.Stop()
	failing := m.lease == nil // NewMinter has logged it
	for {
		select {
		case <-ctx.Done():
			m.closeErr = m.releaseLease(ctx)
			return
		case <-tick.C:
		}
		err := m.maintain(ctx)
		switch {
		case ctx.Err() != nil: // closing, not failing
		case err != nil && !failing:
			m.opts.Logger.WarnContext(ctx, "node id lease cannot be maintained", "err", err)
		case err == nil && failing:
			m.opts.Logger.InfoContext(ctx, "node id lease is maintained again")
		}
		failing = err != nil
	}
}

// maintain renews the lease when it is due, and leases a node id when the Minter has no lease.
// When renewals have failed for half of the TTL, it leases another node id before the
// first lease expires.
func (m *Minter) maintain(ctx context.Context) error {
	renewed, err := m.renewIfDue(ctx)
	early := m.lease == nil || m.lease.age(m.opts.Now()) < m.opts.TTL/2
	if renewed || err != nil && early {
		return err
	}
	l, acquireErr := m.acquire(ctx)
	if acquireErr != nil {
		if m.lease == nil {
			m.dropLease(acquireErr)
		}
		return errors.Join(err, acquireErr)
	}
	m.setLease(l)
	m.opts.Logger.InfoContext(ctx, "node id leased", "node", l.node)
	return nil
}

// renewIfDue renews the lease when it is due, and drops a lease that cannot be used
// any longer. It reports whether the Minter has a lease that needs no action now.
func (m *Minter) renewIfDue(ctx context.Context) (renewed bool, err error) {
	l := m.lease
	if l == nil {
		return false, nil
	}
	now := m.opts.Now()
	if l.age(now) < m.opts.RenewEvery {
		return true, nil
	}
	if m.used(l).Sub(now) > maxDrift {
		// The clock was set back. Another node id can mint at once.
		m.opts.Logger.WarnContext(ctx, "node id released because the clock was set back", "node", l.node)
		return false, m.releaseLease(ctx)
	}
	held, err := m.renew(ctx, l)
	if err == nil && !held {
		m.dropLease(nil)
		m.opts.Logger.WarnContext(ctx, "node id lease lost", "node", l.node)
	}
	return held, err
}

// releaseLease stops minting and releases the node id, if there is one.
func (m *Minter) releaseLease(ctx context.Context) error {
	l := m.lease
	if l == nil {
		return nil
	}
	m.dropLease(nil)
	return m.release(ctx, l.node, l.last.Time())
}

// acquire leases a node id and prepares it for minting. When the preparation fails, it
// releases the node id with the floor unchanged.
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

// ready waits until the clock is past the floor of a new lease. Then it records the
// limit of the lease's timestamps, before the first of them is used.
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

// awaitFloor waits until the clock is in a later millisecond than floor. It returns
// ErrClockBehind when the clock is more than maxDrift behind floor.
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

// renew extends l and raises its limit. The limit never decreases during a lease. After
// an error the outcome of the call is unknown, so l stays unchanged: ids are minted
// only under an acknowledged lease.
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
			m.metrics.setLease(l, m.opts.TTL)
		}
	}
	return held, nil
}

// release releases a node id, even when ctx has ended.
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
