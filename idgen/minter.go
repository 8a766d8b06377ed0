package idgen

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Temporary errors of a Minter.
var (
	ErrLeaseLost   = errors.New("node id is not leased")
	ErrClockBehind = errors.New("clock is behind timestamps already used")
)

// Minter mints ids with a leased node id. In the background it renews the lease, and
// leases another node id after a loss. Safe for concurrent use.
type Minter struct {
	opts    Options
	metrics *metrics

	stop     context.CancelFunc // ends the background goroutine
	done     chan struct{}      // closed when the background goroutine has ended
	closeErr error              // error of the release; set before done is closed

	mu      sync.Mutex
	lease   *lease // nil without a node id; only NewMinter and the background goroutine set it
	noLease error  // why lease is nil
}

// NewMinter leases a node id and returns a Minter that holds it until Close. ctx limits
// only the start. When the clock is up to two seconds behind the last timestamp of the
// node id, NewMinter waits for the clock. When no node id can be leased, NewMinter
// still succeeds: the Minter rejects requests and tries again every second.
func NewMinter(ctx context.Context, opts Options) (*Minter, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	metrics, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	m := &Minter{opts: opts, metrics: metrics, done: make(chan struct{})}
	l, err := m.acquire(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		opts.Logger.WarnContext(ctx, "node id cannot be leased", "err", err)
		m.dropLease(err)
	default:
		m.setLease(l)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop = stop
	go m.keep(background)
	return m, nil
}

// Next returns a new id, greater than all earlier ids of the same node id. It blocks for
// about a millisecond when the current millisecond has 128 ids already. It returns
// ErrLeaseLost, with the reason, when there is no node id, when the node id may belong
// to another process, and after Close. It returns ErrClockBehind when the clock is
// behind a timestamp that was already used.
func (m *Minter) Next() (ID, error) {
	id, err := m.next()
	m.metrics.count(err)
	return id, err
}

func (m *Minter) next() (ID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lease == nil {
		return 0, m.noLease
	}
	return m.lease.next(m.opts.life())
}

// Close stops minting and releases the node id with its last used timestamp. When ctx
// ends first, the release continues in the background; if it fails, the lease
// expires. Every call returns the same release error.
func (m *Minter) Close(ctx context.Context) error {
	m.stop()
	select {
	case <-m.done:
		return m.closeErr
	case <-ctx.Done():
		return fmt.Errorf("close minter: %w", ctx.Err())
	}
}

// setLease makes l the current lease.
func (m *Minter) setLease(l *lease) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lease = l
	m.metrics.setLease(l, m.opts.TTL)
}

// dropLease removes the current lease. reason may be nil.
func (m *Minter) dropLease(reason error) {
	noLease := ErrLeaseLost
	if reason != nil {
		noLease = fmt.Errorf("%w: %w", ErrLeaseLost, reason)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lease, m.noLease = nil, noLease
	m.metrics.setLease(nil, 0)
}

// used returns the latest timestamp that ids of l have used.
func (m *Minter) used(l *lease) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return l.last.Time()
}
