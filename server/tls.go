package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HandshakeTimeout is the time that a client has for each of two parts of a TLS handshake: to
// send its first message, and to finish once the certificate is known.
const HandshakeTimeout = ReadHeaderTimeout

// waitingHandshakes is the most TLS handshakes that wait for a processor. More would only be
// answered after their clients have left.
const waitingHandshakes = 1024

// errHandshakes is the error of a handshake that found no place.
var errHandshakes = errors.New("too many TLS handshakes at once")

// handshakes bounds the TLS handshakes that compute at the same time, so that a flood of them
// leaves processors to established connections. A handshake has its place only while the server
// computes, not while the client or a certificate is awaited.
type handshakes struct {
	config  *tls.Config // of the caller
	places  chan struct{}
	waiting atomic.Int64
	refused prometheus.Counter
}

func newHandshakes(config *tls.Config, m *metrics) *handshakes {
	return &handshakes{config: config, places: make(chan struct{}, 2*runtime.GOMAXPROCS(0)), refused: m.handshakesRefused}
}

// listener returns a listener of TLS connections over connections.
func (h *handshakes) listener(under net.Listener) net.Listener {
	config := h.config.Clone()
	config.GetConfigForClient = h.begin
	return tls.NewListener(under, config)
}

// begin is called with the client's first message. It returns the caller's configuration,
// because its session ticket keys may change at any time.
func (h *handshakes) begin(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	own, ok := hello.Conn.(*conn)
	if !ok {
		return h.config, nil
	}
	// The certificate may have to be obtained first. A later call returns it at once.
	if _, err := h.config.GetCertificate(hello); err != nil {
		return nil, err
	}
	if err := own.SetDeadline(time.Now().Add(HandshakeTimeout)); err != nil {
		return nil, err
	}
	return h.config, h.enter(hello.Context(), own)
}

// enter takes a place for the connection, until the connection writes or is closed.
func (h *handshakes) enter(ctx context.Context, own *conn) error {
	select {
	case h.places <- struct{}{}:
	default:
		if err := h.queue(ctx); err != nil {
			h.refused.Inc()
			return err
		}
	}
	own.computes.Store(h)
	return nil
}

func (h *handshakes) queue(ctx context.Context) error {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > waitingHandshakes {
		return errHandshakes
	}
	timeout := time.NewTimer(HandshakeTimeout)
	defer timeout.Stop()
	select {
	case h.places <- struct{}{}:
		return nil
	case <-timeout.C:
		return errHandshakes
	case <-ctx.Done():
		return ctx.Err()
	}
}

// computed gives back the place of a connection, if it has one.
func (c *conn) computed() {
	if c.computes.Load() == nil {
		return
	}
	if h := c.computes.Swap(nil); h != nil {
		<-h.places
	}
}

// under returns the connection that the server has accepted, without TLS.
func under(c net.Conn) net.Conn {
	if secure, ok := c.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return c
}
