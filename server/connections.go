package server

import (
	"bytes"
	"errors"
	"net"
	"sync/atomic"

	"github.com/pires/go-proxyproto"
	"github.com/prometheus/client_golang/prometheus"
)

// boundedListener bounds the memory that connections take: it closes further
// connections at once, and a load balancer then tries another node.
type boundedListener struct {
	net.Listener
	most    int64 // 0: no bound
	open    atomic.Int64
	refused prometheus.Counter
}

func newBoundedListener(opts Options) (*boundedListener, error) {
	l := &boundedListener{Listener: proxied(opts.Listener, opts.Proxies), most: int64(opts.MaxConnections)}
	l.refused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "terse_http_connections_refused_total",
		Help: "Connections that were closed at once because as many as may be were open.",
	})
	if opts.Registerer == nil {
		return l, nil
	}
	return l, errors.Join(
		opts.Registerer.Register(l.refused),
		opts.Registerer.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "terse_http_connections", Help: "Connections of clients that are open.",
		}, func() float64 { return float64(l.open.Load()) })),
		opts.Registerer.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "terse_http_connections_most", Help: "Connections of clients that may be open.",
		}, func() float64 { return float64(l.most) })),
	)
}

// Accept returns the next connection within the bound.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if open := l.open.Add(1); l.most == 0 || open <= l.most {
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

// CloseWrite closes the direction to the client and keeps reading. net/http calls it
// so that a client which is still sending can read a refusal.
func (c *boundedConn) CloseWrite() error {
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
func (c *boundedConn) Write(b []byte) (int, error) {
	if !bytes.Equal(b, codingAnswer) {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(codingRefusal); err != nil {
		return 0, err
	}
	return len(b), nil
}
