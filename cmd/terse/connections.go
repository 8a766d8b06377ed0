package main

import (
	"bytes"
	"errors"
	"net"
	"sync/atomic"

	"github.com/pires/go-proxyproto"
	"github.com/prometheus/client_golang/prometheus"
)

// boundedListener keeps the memory that connections take within bounds: those
// beyond the most are closed at once, which a load balancer takes for "ask another".
type boundedListener struct {
	net.Listener
	most    int64
	open    atomic.Int64
	refused prometheus.Counter
}

func newBoundedListener(l net.Listener, most int, reg prometheus.Registerer) (*boundedListener, error) {
	b := &boundedListener{Listener: l, most: int64(most), refused: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_http_connections_refused_total",
		Help: "Connections that were closed at once because as many as may be were open.",
	})}
	return b, errors.Join(
		reg.Register(b.refused),
		reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "terse_http_connections", Help: "Connections of clients that are open.",
		}, func() float64 { return float64(b.open.Load()) })),
		reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "terse_http_connections_most", Help: "Connections of clients that may be open.",
		}, func() float64 { return float64(most) })),
	)
}

// Accept returns the next connection that there is room for.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.most {
			return &boundedConn{Conn: conn, open: &l.open}, nil
		}
		l.open.Add(-1)
		l.refused.Inc()
		_ = conn.Close()
	}
}

// boundedConn is a connection that counts until it is closed.
type boundedConn struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

// Close closes the connection.
func (c *boundedConn) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// CloseWrite ends what is sent to the client and goes on to take what it sends. So
// net/http lets a client read a refusal that is still busy sending.
func (c *boundedConn) CloseWrite() error {
	under := c.Conn
	if proxied, ok := under.(*proxyproto.Conn); ok { // which hides it
		under = proxied.Raw()
	}
	if half, ok := under.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// What net/http writes, past every handler, to a client whose transfer coding it does
// not understand, and what that client is told in its place. RFC 9112 section 6.1 asks
// for the 501, and takes a coding for something that a server may lack; here it is the
// request that is wrong, and a 5xx is a fault of ours to whoever watches them.
var (
	codingAnswer  = []byte("HTTP/1.1 501 Not Implemented\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\nUnsupported transfer encoding")
	codingRefusal = []byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request: unsupported transfer encoding")
)

// Write writes to the client.
func (c *boundedConn) Write(b []byte) (int, error) {
	if !bytes.Equal(b, codingAnswer) {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(codingRefusal); err != nil {
		return 0, err
	}
	return len(b), nil
}
