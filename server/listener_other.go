//go:build !linux

package server

// ignoreNew does nothing: connections that arrive as the listener closes are reset.
func (*Listener) ignoreNew() error { return nil }

// waiting returns 0: the length of the queue is known on Linux alone.
func (*Listener) waiting() (int, error) { return 0, nil }
