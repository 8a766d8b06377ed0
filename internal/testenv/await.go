package testenv

import (
	"testing"
	"time"
)

// patience is how long Await waits. It is far longer than a working program needs on a
// busy machine, and only passes in full when the program is broken.
const patience = 2 * time.Minute

// Await calls done until it returns true, and returns the time that passed. After two
// minutes it fails the test.
func Await(tb testing.TB, what string, done func() bool) time.Duration {
	tb.Helper()
	return AwaitWithin(tb, patience, what, done)
}

// AwaitWithin is Await with another limit.
func AwaitWithin(tb testing.TB, limit time.Duration, what string, done func() bool) time.Duration {
	tb.Helper()
	const shortest, longest = time.Millisecond, 20 * time.Millisecond
	began := time.Now()
	for pause := shortest; !done(); pause = min(2*pause, longest) {
		if time.Since(began) > limit {
			tb.Fatalf("waited %v for %s", limit, what)
		}
		time.Sleep(pause)
	}
	return time.Since(began)
}
