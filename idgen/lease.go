package idgen

import (
	"context"
	"time"
)

// Leaser leases node ids, 0 to Nodes-1, to processes. One Leaser is one holder,
// and no other holder has the same identity, not even after a restart.
//
// Whether a lease has run out is judged by the clock of the place that keeps
// the leases. Timestamps of ids come from the holders' clocks, are whole
// milliseconds, and are kept exactly. Implementations are safe for concurrent
// use; one whose answer is lost may have done what it was asked.
type Leaser interface {
	// Acquire leases a node id that nobody holds until ttl from now. floor is
	// the latest timestamp recorded for that node id, zero when there is none:
	// the holder uses later ones only. A node id whose floor is not in the future
	// is preferred. That all node ids are held is an error.
	Acquire(ctx context.Context, ttl time.Duration) (node int64, floor time.Time, err error)

	// Renew makes the lease end ttl from now and records used, the latest
	// timestamp that ids may carry until the next Renew. held is false, and
	// nothing is changed, when the caller does not hold the node id. A lease that
	// ran out is still held until somebody else acquires the node id.
	Renew(ctx context.Context, node int64, used time.Time, ttl time.Duration) (held bool, err error)

	// Release gives the node id back and records used, the latest timestamp that
	// ids do carry, in place of what Renew recorded. It changes nothing, without
	// an error, when the caller does not hold the node id.
	Release(ctx context.Context, node int64, used time.Time) error
}

// lease is what a Minter knows of the node id that it holds. The ids it may
// still mint are those above last, up to limit. Because limit is recorded with
// the lease before any of them is minted, and becomes the floor of the next
// holder, no two holders can mint the same id, whatever their clocks do.
type lease struct {
	node  int64
	ids   *generator
	last  ID        // the latest that was minted here, or by earlier holders
	limit ID        // the latest that may be minted
	since time.Time // the clock before the call that granted the lease was sent
}

// age reports how old the lease is at now: by the wall clock or the monotonic
// clock, whichever says more. The monotonic clock stands still while a machine
// is suspended, and the wall clock may be set back.
func (l *lease) age(now time.Time) time.Duration {
	return max(now.Sub(l.since), now.Round(0).Sub(l.since.Round(0)))
}

// next mints an id when the lease is younger than life. The clock is read after
// the id was made: one made before a freeze and looked at after it is dropped.
func (l *lease) next(life time.Duration) (ID, error) {
	id, now := l.ids.next()
	switch {
	case l.age(now) >= life:
		return 0, ErrLeaseLost
	case id <= l.last:
		return 0, ErrClockBehind
	case id > l.limit:
		return 0, ErrLeaseLost
	}
	l.last = id
	return id, nil
}
