package main

import (
	"errors"
	"math"
	"runtime/debug"
	"testing"
)

// TestLimitMemory is not parallel, because the limit belongs to the process.
func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for _, tt := range []struct {
		name  string
		bytes uint64
		err   error
		want  int64
	}{
		{"no limit", math.MaxUint64, nil, before},
		{"unreadable limit", 1 << 30, errors.New("no cgroup"), before},
		{"ten GiB", 10 << 30, nil, 9 << 30},
	} {
		limitMemory(func() (uint64, error) { return tt.bytes, tt.err })
		if got := debug.SetMemoryLimit(-1); got != tt.want {
			t.Errorf("%s: limit = %d, want %d", tt.name, got, tt.want)
		}
	}
}
