//go:build unix

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pair is the files of a certificate and its private key.
type pair struct{ certificate, key string }

// measureTLS compares redirects by HTTPS with a bare net/http handler that has the same certificate
// and sends the same bytes: on connections that are kept, and with a new connection for each.
func measureTLS(ctx context.Context, b *bench) ([]figure, error) {
	folder, err := os.MkdirTemp("", "terse-ratio-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	p, err := newPair(folder)
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	product, err := startTerse(ctx, b.opts.terse, "TERSE_HTTPS=on", "TERSE_HTTP_LISTEN=127.0.0.1:0", fmt.Sprintf("TERSE_LISTEN=127.0.0.1:%d", port),
		fmt.Sprintf("TERSE_BASE_URL=https://127.0.0.1:%d", port), "TERSE_TLS_CERT_FILE="+p.certificate, "TERSE_TLS_KEY_FILE="+p.key)
	if err != nil {
		return nil, err
	}
	defer product.stop()
	l, err := createLink(ctx, product.url)
	if err != nil {
		return nil, err
	}
	yardstick, err := startBare(ctx, l, "-bare-certificate", p.certificate, "-bare-key", p.key)
	if err != nil {
		return nil, err
	}
	defer yardstick.stop()
	bare, hit := newRepeated(yardstick.url, l.code), newRepeated(product.url, l.code)
	if err := sameAnswer(bare, hit); err != nil {
		return nil, err
	}
	var figures []figure
	for _, of := range []struct {
		connections string
		load        func(r *repeated) *load
	}{
		{"kept connections", func(r *repeated) *load { return r.load(b.opts) }},
		{"a new connection for each", func(r *repeated) *load { return r.reconnecting(b.opts) }},
	} {
		found, err := takeTurns(ctx, b.opts.rounds, side{"bare net/http handler over TLS", of.load(bare).run}, side{"terse over TLS", of.load(hit).run})
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{
			what:      "redirect over TLS, L1 hit, " + of.connections,
			measured:  perSecond(found[1]),
			yardstick: "bare net/http handler over TLS " + perSecond(found[0]),
			ratio:     ratioOf(found[1], found[0]),
			aim:       "0.90 or more",
		})
	}
	return figures, nil
}

// reconnecting is load with a new connection and a full handshake for each request.
func (r *repeated) reconnecting(o options) *load {
	l := r.load(o)
	l.talk = func(net.Conn) exchange {
		return func() error {
			conn, err := net.Dial("tcp", r.address)
			if err != nil {
				return err
			}
			return errors.Join(r.talk(conn)(), conn.Close())
		}
	}
	return l
}

// trust is the TLS configuration of the clients.
func (r *repeated) trust() *tls.Config {
	config := anyCertificate()
	config.NextProtos = []string{"http/1.1"}
	return config
}

// anyCertificate accepts the self-signed certificate of the measured servers.
func anyCertificate() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true} //nolint:gosec // servers of this command on loopback
}

// newPair writes a self-signed certificate and its private key.
func newPair(folder string) (pair, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return pair{}, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return pair{}, err
	}
	p := pair{filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")}
	return p, errors.Join(
		os.WriteFile(p.certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(p.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600),
	)
}

// freePort returns a port that is free now.
func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
