package main

import (
	"math"
	"runtime/debug"
)

// memoryShare is the part of a container's memory up to which the heap may grow: the
// rest is for what Go does not count, and for the moment of a collection.
const memoryShare = 0.9

// limitMemory lets Go collect more often when it comes near the memory that it may
// use, which limit tells: GOMAXPROCS follows from a container, GOMEMLIMIT does not. No
// limit, or none that can be read, changes nothing.
func limitMemory(limit func() (uint64, error)) {
	if bytes, err := limit(); err == nil && bytes > 0 && bytes < math.MaxInt64 {
		debug.SetMemoryLimit(int64(float64(bytes) * memoryShare))
	}
}
