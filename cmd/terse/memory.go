package main

import (
	"math"
	"runtime/debug"
)

// memoryShare is the share of the container's memory for the Go runtime. The rest is for
// memory that Go does not count, and for short peaks during a collection.
const memoryShare = 0.9

// limitMemory makes Go collect more often near the limit of the container, in bytes. Go
// takes GOMAXPROCS from the container by itself, but not the memory limit. Without a limit,
// or after an error, limitMemory changes nothing.
func limitMemory(limit func() (uint64, error)) {
	if bytes, err := limit(); err == nil && bytes > 0 && bytes < math.MaxInt64 {
		debug.SetMemoryLimit(int64(float64(bytes) * memoryShare))
	}
}
