// Package idgen mints the ids of links and converts them to codes.
//
// An [ID] is a Snowflake number: it sorts by time, and it is unique as long as no two
// live processes use the same node id. A [Minter] ensures this with a lease on its
// node id, through a [Leaser]. A [Cipher] converts an ID to its public code, one to
// one. So a code is unique without a lookup, and reveals neither the time nor the node
// nor the neighbours of its ID.
//
// The package stores no data and knows nothing about links. Stores implement Leaser;
// [MemoryLeases] serves a single process.
package idgen

import "time"

// The layout of an ID, from the highest bits: milliseconds since the epoch, node id,
// step within the millisecond. It is a data format: stored ids depend on it.
const (
	nodeBits  = 9
	stepBits  = 7
	timeShift = nodeBits + stepBits

	epochMilli = 1767225600000 // 2026-01-01T00:00:00Z in Unix milliseconds

	stepMask = 1<<stepBits - 1
	lowMask  = 1<<timeShift - 1
	maxMilli = 1<<(63-timeShift) - 1
)

// Nodes is the number of node ids: 0 to Nodes-1.
const Nodes = 1 << nodeBits

// ID is the number of one link: a Snowflake, never negative.
type ID int64

// Time returns the timestamp of id in UTC, in whole milliseconds.
func (id ID) Time() time.Time {
	return time.UnixMilli(id.milli() + epochMilli).UTC()
}

// Node returns the node id that minted id, 0 to Nodes-1.
func (id ID) Node() int64 { return int64(id) >> stepBits & (Nodes - 1) }

// milli returns the timestamp of id in milliseconds since the epoch.
func (id ID) milli() int64 { return int64(id) >> timeShift }

// lastOf returns the highest possible ID with a timestamp of t or earlier. It returns
// -1 for t before the epoch, and the greatest ID for t after the last timestamp.
func lastOf(t time.Time) ID {
	ms := min(max(t.UnixMilli()-epochMilli, -1), maxMilli)
	return ID(ms<<timeShift | lowMask)
}
