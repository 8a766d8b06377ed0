package server

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"
)

// connections are the open connections of one server, and the listener that accepts
// them. It bounds the memory that they take: a further connection takes the place of the
// connection that waits longest for a request. If none waits, the further connection is
// closed at once, and a load balancer then tries another node. A sweep enforces the
// deadlines of all connections.
type connections struct {
	net.Listener
	most    int // 0: no bound
	each    int // most connections of one client network
	trusted Proxies
	secure  bool // below TLS
	clock   *clock
	metrics *metrics

	mu        sync.Mutex
	open      map[*conn]struct{}
	byNetwork map[netip.Addr]int
	idle      []idleConn // candidates to close, see longestIdle
	looked    int64      // when idle was collected, by the clock

	unanswered atomic.Int64 // connections without a first answer
}

func newConnections(opts Options) (*connections, error) {
	c := &connections{
		Listener: proxied(opts.Listener, opts.Proxies),
		most:     opts.MaxConnections,
		each:     max(1, opts.MaxConnections/networkPart),
		trusted:  opts.Trusted,
		secure:   opts.TLS != nil,
		clock:    newClock(),
		open:     map[*conn]struct{}{},

		byNetwork: map[netip.Addr]int{},
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

// add counts a connection, and closes another one if there is no room. It reports false if
// no connection may be closed for it.
func (c *connections) add(accepted net.Conn) (*conn, bool) {
	added := &conn{Conn: accepted, of: c, network: networkOf(accepted, c.trusted)}
	closed, ok := c.put(added)
	if closed != nil {
		c.metrics.evicted.Inc()
		_ = closed.Close()
	}
	return added, ok
}

// put adds a connection if there is room. It returns the connection to close for that.
func (c *connections) put(added *conn) (closed *conn, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := c.most > 0 && len(c.open) >= c.most
	capped := c.most > 0 && added.network.IsValid() && c.byNetwork[added.network] >= c.each
	if full || capped {
		closed = c.longestIdle(func(other *conn) bool { return !capped || other.network == added.network })
		if closed == nil {
			return nil, false
		}
		c.drop(closed)
	}
	c.open[added] = struct{}{}
	c.byNetwork[added.network]++
	c.unanswered.Add(1)
	added.waits(c.clock.at(time.Now()))
	return closed, true
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
	c.drop(closed)
}

// drop removes a connection. It may be called again. The caller holds mu.
func (c *connections) drop(closed *conn) {
	if _, is := c.open[closed]; !is {
		return
	}
	delete(c.open, closed)
	closed.waits(0)
	if c.byNetwork[closed.network]--; c.byNetwork[closed.network] == 0 {
		delete(c.byNetwork, closed.network)
	}
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
	network     netip.Addr // of the client; the zero Addr for a trusted proxy
	read, write deadline
	answered    atomic.Bool                // an answer was begun, or the connection is closed
	waiting     atomic.Int64               // since when it waits for a request, by the clock; 0 during a request
	requested   atomic.Bool                // a request has begun
	computes    atomic.Pointer[handshakes] // set while the connection has a place, see handshakes
}

// Close closes the connection. It may be called again.
func (c *conn) Close() error {
	c.computed()
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
	c.computed()
	if !c.of.secure || c.requested.Load() { // before the first request, a TLS handshake is written
		c.settle()
	}
	if !bytes.Equal(b, codingAnswer) {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(codingRefusal); err != nil {
		return 0, err
	}
	return len(b), nil
}
