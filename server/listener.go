package server

import (
	"context"
	"fmt"
	"net"
)

// Listener is a TCP listener.
type Listener struct {
	*net.TCPListener
}

// Listen opens a listener before anything is served, so that an address in use is
// reported at once.
func Listen(ctx context.Context, address string) (*Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", address, err)
	}
	return &Listener{TCPListener: l.(*net.TCPListener)}, nil
}
