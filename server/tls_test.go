package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/server"
)

// newCertificate returns a self-signed certificate for "localhost".
func newCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serverTLS returns a configuration with one certificate.
func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	cert := newCertificate(t)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName != "localhost" {
				return nil, errors.New("unknown name")
			}
			return cert, nil
		},
	}
}

// clientTLS returns the configuration of a client that accepts every certificate.
func clientTLS() *tls.Config {
	return &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}
}

// dialTLS connects and completes the handshake.
func dialTLS(t *testing.T, address string) (*tls.Conn, error) {
	t.Helper()
	conn, err := dial(t, address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, clientTLS())
	if err := secure.HandshakeContext(t.Context()); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

func TestTLSServesBothProtocols(t *testing.T) {
	t.Parallel()
	s := newServer(t, server.Options{TLS: serverTLS(t), MaxConnections: 100})
	for _, version := range []int{1, 2} {
		transport := &http.Transport{TLSClientConfig: clientTLS(), ForceAttemptHTTP2: version == 2}
		response, err := (&http.Client{Transport: transport}).Get("https://" + s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body) // an unread body would close the connection
		_ = response.Body.Close()
		if response.ProtoMajor != version || response.StatusCode != http.StatusOK {
			t.Errorf("answer = %s %s, want 200 by HTTP/%d", response.Proto, response.Status, version)
		}
		testenv.Await(t, "the connection to be idle", func() bool { return s.Idle() == 1 })
		transport.CloseIdleConnections()
		testenv.Await(t, "the connection to be closed", func() bool { return s.Idle() == 0 })
	}
}

func TestTLSRefusesOldVersionsAndUnknownNames(t *testing.T) {
	t.Parallel()
	s := newServer(t, server.Options{TLS: serverTLS(t)})
	old, unknown := clientTLS(), clientTLS()
	old.MaxVersion = tls.VersionTLS11
	unknown.ServerName = "other.example"
	for name, config := range map[string]*tls.Config{"TLS 1.1": old, "an unknown name": unknown} {
		conn, err := dial(t, s.addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := tls.Client(conn, config).HandshakeContext(t.Context()); err == nil {
			t.Errorf("handshake with %s = nil, want an error", name)
		}
		_ = conn.Close()
	}
}

// TestSlowHandshakesHoldNoPlace opens many connections that do not finish their handshake.
func TestSlowHandshakesHoldNoPlace(t *testing.T) {
	t.Parallel()
	s := newServer(t, server.Options{TLS: serverTLS(t)})
	for i := range 8 * runtime.GOMAXPROCS(0) {
		conn, err := dial(t, s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if i%2 == 0 {
			continue // sends nothing
		}
		begun := make(chan struct{})
		go func() { // reads nothing after its first message
			_ = tls.Client(&stalled{Conn: conn, begun: begun}, clientTLS()).HandshakeContext(t.Context())
		}()
		<-begun
	}
	conn, err := dialTLS(t, s.addr)
	if err != nil {
		t.Fatalf("handshake beside slow ones = %v, want nil", err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := get(conn); err != nil {
		t.Error(err)
	}
}

// stalled is a connection that reads nothing until it is closed.
type stalled struct {
	net.Conn
	begun chan struct{}
}

func (s *stalled) Write(b []byte) (int, error) {
	defer close(s.begun) // the client writes once, and then reads
	return s.Conn.Write(b)
}

func (s *stalled) Read([]byte) (int, error) {
	_, err := s.Conn.Read(nil)
	if err == nil {
		err = errors.New("stalled")
	}
	return 0, err
}

// TestSlowCertificateFinishesTheHandshake waits longer for the certificate than a client may
// take for the handshake.
func TestSlowCertificateFinishesTheHandshake(t *testing.T) {
	t.Parallel()
	config := serverTLS(t)
	known, first := config.GetCertificate, true
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if first {
			first = false
			<-time.After(server.HandshakeTimeout + time.Second) // an order takes this long
		}
		return known(hello)
	}
	s := newServer(t, server.Options{TLS: config})
	conn, err := dialTLS(t, s.addr)
	if err != nil {
		t.Fatalf("handshake = %v, want nil", err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := get(conn); err != nil {
		t.Error(err)
	}
}

// TestStopAwaitsTheRequestAfterAHandshake checks that a stop answers the request of a client that has
// just completed its handshake.
func TestStopAwaitsTheRequestAfterAHandshake(t *testing.T) {
	t.Parallel()
	s := newServer(t, server.Options{TLS: serverTLS(t)})
	conn, err := dialTLS(t, s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop(t)
	}()
	testenv.Await(t, "the listener to be closed", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		other, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr)
		if err == nil {
			_ = other.Close()
		}
		return err != nil
	})
	closes, err := get(conn)
	if err != nil || !closes {
		t.Errorf("request after the handshake: closes %v, %v, want an answer that closes the connection", closes, err)
	}
	<-stopped
}

// TestHandshakesAreBounded fills all places and the queue.
func TestHandshakesAreBounded(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s := newServer(t, server.Options{TLS: serverTLS(t), Registerer: reg})
	release := s.FillHandshakes()
	done := make(chan error, 1)
	go func() {
		conn, err := dialTLS(t, s.addr)
		if err == nil {
			err = conn.Close()
		}
		done <- err
	}()
	testenv.Await(t, "a handshake to wait", func() bool { return s.WaitingHandshakes() == 1 })
	empty := s.FillQueue()
	if _, err := dialTLS(t, s.addr); err == nil {
		t.Error("handshake with a full queue = nil, want an error")
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`# HELP terse_tls_handshakes_refused_total TLS handshakes that failed because too many were in progress.
# TYPE terse_tls_handshakes_refused_total counter
terse_tls_handshakes_refused_total 1
`), "terse_tls_handshakes_refused_total"); err != nil {
		t.Error(err)
	}
	empty()
	release()
	if err := <-done; err != nil {
		t.Errorf("the handshake that waited = %v, want nil", err)
	}
}
