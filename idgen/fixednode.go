package idgen

import (
	"context"
	"time"
)

// NodeLeaser is a Leaser that can lease a given node id.
type NodeLeaser interface {
	Leaser

	// AcquireNode leases this node id as Acquire does. It returns an error when another
	// holder has it.
	AcquireNode(ctx context.Context, node int64, ttl time.Duration) (floor time.Time, err error)
}

// FixedNode returns a Leaser that leases one node id and no other. Its Acquire returns the
// error of AcquireNode when another holder has the node id.
func FixedNode(leaser NodeLeaser, node int64) Leaser { return fixedNode{leaser, node} }

// fixedNode implements FixedNode.
type fixedNode struct {
	NodeLeaser
	node int64
}

// Acquire implements Leaser.
func (f fixedNode) Acquire(ctx context.Context, ttl time.Duration) (node int64, floor time.Time, err error) {
	floor, err = f.AcquireNode(ctx, f.node, ttl)
	return f.node, floor, err
}
