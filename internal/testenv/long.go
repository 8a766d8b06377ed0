package testenv

import "testing"

// Long skips a test that takes long when the tests run with -short, as make test does.
// Call it first.
func Long(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("runs with make test-long")
	}
}
