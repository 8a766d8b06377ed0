package idgen

import (
	"context"
	"time"
)

// Leaser leases node ids, 0 to Nodes-1. One Leaser is one holder. No other holder has
// the same identity, not even the same process after a restart.
//
// The clock of the lease store decides when a lease expires. The timestamps of ids
// come from the holders' clocks; they are whole milliseconds and are stored exactly.
// Implementations are safe for concurrent use. A call that returns an error may still
// have taken effect.
type Leaser interface {
	// Acquire leases a free node id until ttl from now. floor is the latest timestamp
	// recorded for that node id, or the zero time: the holder may use only later ones.
	// Acquire prefers a node id with a floor that is not in the future. It returns an
	// error when all node ids are leased.
	Acquire(ctx context.Context, ttl time.Duration) (node int64, floor time.Time, err error)

	// Renew makes the lease expire ttl from now and records used, the latest timestamp
	// that ids may have until the next Renew. held is false, and nothing changes, when
	// the caller does not hold the node id. After its lease has expired, the caller
	// still holds the node id until another holder acquires it.
	Renew(ctx context.Context, node int64, used time.Time, ttl time.Duration) (held bool, err error)

	// Release releases the node id. It records used, the latest timestamp of any minted
	// id, in place of the timestamp that Renew recorded. When the caller does not hold
	// the node id, Release changes nothing and returns nil.
	Release(ctx context.Context, node int64, used time.Time) error
}

// lease is the state of a Minter's node id. The Minter may mint ids above last, up to
// limit. limit is recorded with the lease before any of these ids is minted, and is
// the floor of the next holder. So two holders never mint the same id, even with wrong
// clocks.
type lease struct {
	node  int64
	ids   *generator
	last  ID        // latest minted id, here or by an earlier holder
	limit ID        // latest id that may be minted
	since time.Time // clock before the call that granted the lease
}

// age returns the age of the lease at now, by the wall clock or the monotonic clock,
// whichever is greater. The monotonic clock stands still while a machine is suspended,
// and the wall clock may be set back.
func (l *lease) age(now time.Time) time.Duration {
	return max(now.Sub(l.since), now.Round(0).Sub(l.since.Round(0)))
}

// next mints an id when the lease is younger than life. It reads the clock after it
// made the id. So an id from before a freeze is checked after the freeze, and dropped.
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
