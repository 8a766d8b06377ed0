package server

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"
)

// connections are the open connections of one server, and the listener that accepts
// them. It bounds the memory that they take: further connections are closed at once,
// and a load balancer then tries another node. A sweep enforces their deadlines.
type connections struct {
	net.Listener
	most    int // 0: no bound
	clock   *clock
	metrics *metrics

	mu   sync.Mutex
	open map[*conn]struct{}

	unanswered atomic.Int64 // connections without a first answer
}

func newConnections(opts Options) (*connections, error) {
	c := &connections{
		Listener: proxied(opts.Listener, opts.Proxies),
		most:     opts.MaxConnections,
		clock:    newClock(),
		open:     map[*conn]struct{}{},
	}
	var err error
	c.metrics, err = newMetrics(opts.Registerer, c.count, c.most)
	return c, err
}

// Accept returns the next connection within the bound.
func (c *connections) Accept() (net.Conn, error) {
	for {
		accepted, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if bounded, ok := c.add(accepted); ok {
			return bounded, nil
		}
		c.metrics.refused.Inc()
		_ = accepted.Close()
	}
}

// add counts a connection. It reports false if the bound is reached.
func (c *connections) add(accepted net.Conn) (*conn, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most > 0 && len(c.open) >= c.most {
		return nil, false
	}
	added := &conn{Conn: accepted, of: c}
	c.open[added] = struct{}{}
	c.unanswered.Add(1)
	return added, true
}

// awaitAnswers returns when every connection has had its first answer or was closed,
// or when ctx ends.
func (c *connections) awaitAnswers(ctx context.Context) {
	for c.unanswered.Load() > 0 && ctx.Err() == nil {
		pause(ctx, pollEvery)
	}
}

func (c *connections) remove(closed *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, closed)
}

// count returns how many connections are open.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// sweep enforces the deadlines of all connections, again and again, until stop is closed.
func (c *connections) sweep(stop <-chan struct{}) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			c.sweepOnce()
		}
	}
}

func (c *connections) sweepOnce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.tick()
	for open := range c.open {
		open.read.sweep(now, open.Conn.SetReadDeadline)
		open.write.sweep(now, open.Conn.SetWriteDeadline)
	}
}

// conn is a connection that counts until it is closed.
type conn struct {
	net.Conn
	of          *connections
	read, write deadline
	answered    atomic.Bool // something was written, or the connection is closed
}

// Close closes the connection. It may be called again.
func (c *conn) Close() error {
	c.settle()
	c.of.remove(c)
	return c.Conn.Close()
}

// settle notes that the first request on the connection is being answered.
func (c *conn) settle() {
	if !c.answered.Load() && !c.answered.Swap(true) {
		c.of.unanswered.Add(-1)
	}
}

// SetDeadline sets both deadlines, which the sweep enforces.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the deadline of reads, which the sweep enforces.
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.read.change(t, c.of.clock, c.Conn.SetReadDeadline)
}

// SetWriteDeadline sets the deadline of writes, which the sweep enforces.
func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.write.change(t, c.of.clock, c.Conn.SetWriteDeadline)
}

// CloseWrite closes the direction to the client and keeps reading. net/http calls it
// so that a client which is still sending can read a refusal.
func (c *conn) CloseWrite() error {
	under := c.Conn
	if behind, ok := under.(*proxyproto.Conn); ok { // it has no CloseWrite
		under = behind.Raw()
	}
	if half, ok := under.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// net/http writes codingAnswer, without calling a handler, when it does not support
// the transfer coding of a request. Write replaces it by codingRefusal. RFC 9112
// section 6.1 suggests the 501; the fault is the request's, and monitoring counts a
// 5xx as a fault of the server.
var (
	codingAnswer  = []byte("HTTP/1.1 501 Not Implemented\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\nUnsupported transfer encoding")
	codingRefusal = []byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request: unsupported transfer encoding")
)

// Write writes to the client.
func (c *conn) Write(b []byte) (int, error) {
	c.settle()
	if !bytes.Equal(b, codingAnswer) {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(codingRefusal); err != nil {
		return 0, err
	}
	return len(b), nil
}
