// Package idgen mints the numbers behind links and turns them into codes.
//
// An [ID] is a Snowflake: it sorts by time and is unique as long as no two live
// processes share a node id. A [Minter] sees to that with a lease on its node
// id, kept through a [Leaser]. A [Cipher] turns an ID into the code that people
// see, one to one, so that a code is unique without a lookup and tells nothing
// of the time, the node or the neighbours of its ID.
//
// The package keeps no data of its own and knows nothing of links: databases
// satisfy Leaser from outside, and [MemoryLeases] serves a single process.
package idgen

import "time"

// The layout of an ID, highest bits first: milliseconds since the epoch, node
// id, step within the millisecond. It is a data format: ids are stored.
const (
	nodeBits  = 9
	stepBits  = 7
	timeShift = nodeBits + stepBits

	epochMilli = 1767225600000 // 2026-01-01T00:00:00Z in Unix milliseconds

	stepMask = 1<<stepBits - 1
	lowMask  = 1<<timeShift - 1
	maxMilli = 1<<(63-timeShift) - 1
)

// Nodes is how many node ids there are: they run from 0 to Nodes-1.
const Nodes = 1 << nodeBits

// ID is the number of one link: a positive Snowflake.
type ID int64

// Time returns the timestamp that id carries: UTC, whole milliseconds.
func (id ID) Time() time.Time {
	return time.UnixMilli(id.milli() + epochMilli).UTC()
}

// Node returns the node id under which id was minted, 0 to Nodes-1.
func (id ID) Node() int64 { return int64(id) >> stepBits & (Nodes - 1) }

// milli returns the milliseconds from the epoch to the timestamp of id.
func (id ID) milli() int64 { return int64(id) >> timeShift }

// lastOf returns the highest number an ID can have whose timestamp is at most
// t. Times that no ID can carry count as the nearest ones beyond either end.
func lastOf(t time.Time) ID {
	ms := min(max(t.UnixMilli()-epochMilli, -1), maxMilli)
	return ID(ms<<timeShift | lowMask)
}
