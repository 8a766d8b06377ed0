package idgen

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errNoNode reports that all node ids are leased.
var errNoNode = errors.New("all node ids are leased")

// MemoryLeases stores leases in the memory of one process. It is for tests, and for
// servers that also keep their links in memory only. Safe for concurrent use.
type MemoryLeases struct {
	now func() time.Time

	mu    sync.Mutex
	nodes [Nodes]memoryLease
}

// memoryLease is the state of one node id.
type memoryLease struct {
	holder *memoryHolder // nil when released or never leased
	until  time.Time
	used   time.Time
}

// NewMemoryLeases returns empty leases that expire by the clock now. A nil now means
// time.Now.
func NewMemoryLeases(now func() time.Time) *MemoryLeases {
	if now == nil {
		now = time.Now
	}
	return &MemoryLeases{now: now}
}

// Holder returns a Leaser with its own identity.
func (m *MemoryLeases) Holder() Leaser { return &memoryHolder{leases: m} }

// memoryHolder is one holder of MemoryLeases.
type memoryHolder struct{ leases *MemoryLeases }

var _ Leaser = (*memoryHolder)(nil)

// Acquire implements Leaser. It leases the lowest free node id with a floor in the
// past. Without one, it leases the free node id with the earliest floor.
func (h *memoryHolder) Acquire(ctx context.Context, ttl time.Duration) (int64, time.Time, error) {
	m := h.leases
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, time.Time{}, err
	}
	now := m.now()
	node := m.pick(now)
	if node < 0 {
		return 0, time.Time{}, errNoNode
	}
	m.nodes[node].holder = h
	m.nodes[node].until = now.Add(ttl)
	return int64(node), m.nodes[node].used, nil
}

// pick returns the node id to lease at now, or -1 when all are leased.
func (m *MemoryLeases) pick(now time.Time) int {
	best := -1
	for i := range m.nodes {
		n := &m.nodes[i]
		switch {
		case n.holder != nil && now.Before(n.until):
		case !n.used.After(now):
			return i
		case best < 0 || n.used.Before(m.nodes[best].used):
			best = i
		}
	}
	return best
}

// Renew implements Leaser.
func (h *memoryHolder) Renew(ctx context.Context, node int64, used time.Time, ttl time.Duration) (bool, error) {
	m := h.leases
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	n := h.held(node)
	if n == nil {
		return false, nil
	}
	n.until, n.used = m.now().Add(ttl), used
	return true, nil
}

// Release implements Leaser.
func (h *memoryHolder) Release(ctx context.Context, node int64, used time.Time) error {
	m := h.leases
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if n := h.held(node); n != nil {
		n.holder, n.used = nil, used
	}
	return nil
}

// held returns the lease of node when h is its holder, otherwise nil.
func (h *memoryHolder) held(node int64) *memoryLease {
	if node < 0 || node >= Nodes || h.leases.nodes[node].holder != h {
		return nil
	}
	return &h.leases.nodes[node]
}
