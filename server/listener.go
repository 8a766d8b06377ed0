package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// Listener is a TCP listener that can stop without resetting connections which the
// kernel has accepted.
type Listener struct {
	*net.TCPListener
	inherited bool        // from systemd, which passes connections in the queue to the next process
	ignoring  atomic.Bool // the kernel ignores new connections, see drain
}

// Listen opens a listener before anything is served, so that an address in use is
// reported at once.
func Listen(ctx context.Context, address string) (*Listener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false) // its sockets lack an option that drain needs
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", address, err)
	}
	return &Listener{TCPListener: l.(*net.TCPListener)}, nil
}

// drain returns when no connection waits to be accepted and no new one can arrive, or
// when ctx ends. The caller accepts connections during drain, and closes the listener
// after it. handshakes is how long drain waits for clients that have sent their SYN and
// not yet the ACK.
//
// The kernel ignores each new SYN from here on. The client repeats its SYN after a
// second, and then reaches the next process, or is refused. Without this, closing the
// listener resets the connections that arrive between the last Accept and the close.
//
// An inherited listener is left unchanged: the next process accepts the connections in
// its queue.
func (l *Listener) drain(ctx context.Context, handshakes time.Duration) error {
	if l.inherited {
		return nil
	}
	err := l.ignoreNew()
	pause(ctx, handshakes)
	for ctx.Err() == nil {
		waiting, failed := l.waiting()
		if failed != nil || waiting == 0 {
			return errors.Join(err, failed)
		}
		pause(ctx, pollEvery)
	}
	return err
}

// pollEvery is the time between two looks at what a stop waits for.
const pollEvery = 2 * time.Millisecond

// pause returns after d, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
