package idgen

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Why a Minter does not mint. Both pass by themselves.
var (
	ErrLeaseLost   = errors.New("node id is not leased")
	ErrClockBehind = errors.New("clock is behind timestamps already used")
)

// Minter mints ids under a node id that it leases, renews and, when it was
// lost, leases anew in the background. Safe for concurrent use.
type Minter struct {
	opts    Options
	metrics *metrics

	stop     context.CancelFunc // ends the background work
	done     chan struct{}      // closed once it has ended
	closeErr error              // how giving the node id back went; set before done is closed

	mu    sync.Mutex
	lease *lease // nil while no node id is held; only the background work sets it
	lack  error  // why no node id is held
}

// NewMinter leases a node id and returns a Minter that holds it until Close.
// ctx bounds the start alone. A clock that stands up to two seconds before the
// last timestamp used under that node id is waited for. When no node id can be
// leased now, the Minter refuses to mint and tries again every second, so that
// a start does not fail for what may pass.
func NewMinter(ctx context.Context, opts Options) (*Minter, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("minter options: %w", err)
	}
	m := &Minter{opts: opts, metrics: newMetrics(), done: make(chan struct{})}
	if err := m.metrics.register(opts.Registerer); err != nil {
		return nil, fmt.Errorf("minter metrics: %w", err)
	}
	l, err := m.acquire(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		opts.Logger.WarnContext(ctx, "node id cannot be leased", "err", err)
		m.let(err)
	default:
		m.hold(l)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop = stop
	go m.keep(background)
	return m, nil
}

// Next returns a new id, greater than those before it under the same node id.
// It blocks for about a millisecond when 128 ids were already minted in the
// present one. It returns ErrLeaseLost, with the reason, while no node id is held
// or once it may belong to another process, and after Close, and ErrClockBehind
// while the clock stands before a timestamp that was already used.
func (m *Minter) Next() (ID, error) {
	id, err := m.next()
	m.metrics.count(err)
	return id, err
}

func (m *Minter) next() (ID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lease == nil {
		return 0, m.lack
	}
	return m.lease.next(m.opts.life())
}

// Close stops minting and gives the node id back with the last timestamp used.
// When ctx ends first, that goes on in the background, and the lease runs out
// if it fails. Every call returns the same outcome.
func (m *Minter) Close(ctx context.Context) error {
	m.stop()
	select {
	case <-m.done:
		return m.closeErr
	case <-ctx.Done():
		return fmt.Errorf("close minter: %w", ctx.Err())
	}
}

// hold makes l the lease under which ids are minted.
func (m *Minter) hold(l *lease) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lease = l
	m.metrics.hold(l, m.opts.TTL)
}

// let makes the Minter hold no node id. reason may be nil.
func (m *Minter) let(reason error) {
	lack := ErrLeaseLost
	if reason != nil {
		lack = fmt.Errorf("%w: %w", ErrLeaseLost, reason)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lease, m.lack = nil, lack
	m.metrics.hold(nil, 0)
}

// used returns the latest timestamp used under l.
func (m *Minter) used(l *lease) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return l.last.Time()
}
