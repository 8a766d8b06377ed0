package certificates_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/domains/certificates"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

// secret is the key of the codes in tests.
var secret = []byte(rand.Text() + rand.Text())

// hosts are the allowed hosts. Safe for concurrent use.
type hosts struct {
	mu    sync.Mutex
	names map[string]bool
	asked map[string]int
	alone atomic.Bool
}

func newHosts(names ...string) *hosts {
	h := &hosts{names: map[string]bool{}, asked: map[string]int{}}
	for _, name := range names {
		h.names[name] = true
	}
	return h
}

// Allowed implements certificates.Hosts.
func (h *hosts) Allowed(host string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[host]++
	return h.names[host]
}

func (h *hosts) forget(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.names, host)
}

// openStore opens a store of certificates and closes it with the test.
func openStore(tb testing.TB) *sqlite.Store {
	tb.Helper()
	s := sqlitetest.Open(tb)
	return s
}

// node is a server with certificates.
type node struct {
	*certificates.Manager
	https, plain net.Addr
	closing      func()
}

// ports are the listeners of a node. Pebble sends challenges to them.
type ports struct{ plain, https net.Listener }

func listenTwice(t *testing.T) ports {
	t.Helper()
	var p ports
	for _, l := range []*net.Listener{&p.plain, &p.https} {
		var err error
		if *l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p ports) pebble(t *testing.T, opts testenv.PebbleOptions) *testenv.Pebble {
	t.Helper()
	opts.HTTPPort, opts.TLSPort = portOf(p.plain.Addr()), portOf(p.https.Addr())
	return testenv.NewPebble(t, opts)
}

func portOf(a net.Addr) int { return a.(*net.TCPAddr).Port }

// newNode starts a node at the ports. It closes with the test, or by close before.
func newNode(t *testing.T, p ports, ca *testenv.Pebble, under store.Certificates, allowed *hosts, change ...func(*certificates.Options)) *node {
	t.Helper()
	text, err := os.ReadFile(ca.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	opts := certificates.Options{
		Store: under, Secret: secret, Hosts: allowed, DefaultHost: "base.example", Logger: slog.New(slog.DiscardHandler),
		Directory: ca.Directory(), Email: "ops@example.com", Roots: roots, HTTP: p.plain.Addr(), HTTPS: p.https.Addr(),
		DNS: ca.DNS(), HTTPPort: portOf(p.plain.Addr()), Settle: time.Millisecond,
	}
	for _, change := range change {
		change(&opts)
	}
	m, err := certificates.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	config, err := certificates.TLSConfig(ctx, m.GetCertificate, secret)
	if err != nil {
		t.Fatal(err)
	}
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "app") })
	base := &url.URL{Scheme: "https", Host: "base.example"}
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	plain := &http.Server{Handler: m.Challenges(certificates.Redirect(certificates.RedirectOptions{Base: base, Hosts: allowed, Default: func(string) bool { return allowed.alone.Load() }, App: app})), ErrorLog: quiet, ReadHeaderTimeout: time.Minute}
	secure := &http.Server{Handler: app, ErrorLog: quiet, ReadHeaderTimeout: time.Minute}
	go func() { _ = plain.Serve(p.plain) }()
	go func() { _ = secure.Serve(tls.NewListener(p.https, config)) }()
	n := &node{Manager: m, https: p.https.Addr(), plain: p.plain.Addr(), closing: sync.OnceFunc(func() {
		stop()
		ending, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(plain.Close(), secure.Close(), m.Close(ending)); err != nil {
			t.Errorf("close the node: %v", err)
		}
	})}
	t.Cleanup(n.closing)
	return n
}

// handshake connects to an address as a client of host, and returns the certificate.
func handshake(t *testing.T, address, host string) (*x509.Certificate, error) {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		return nil, err
	}
	leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	return leaf, errors.Join(conn.Close(), leaf.VerifyHostname(host))
}
