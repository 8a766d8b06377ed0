//go:build unix

package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// balancer sends each TCP connection to the next backend that accepts it.
type balancer struct {
	net.Listener
	turn     atomic.Int64
	mu       sync.Mutex
	backends []string
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	b := &balancer{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go b.forward(client)
		}
	}()
	return b
}

func (b *balancer) use(backends ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = backends
}

func (b *balancer) port() int { return b.Addr().(*net.TCPAddr).Port }

func (b *balancer) forward(client net.Conn) {
	defer func() { _ = client.Close() }()
	b.mu.Lock()
	backends := b.backends
	b.mu.Unlock()
	first := int(b.turn.Add(1))
	for i := range backends {
		backend, err := net.Dial("tcp", backends[(first+i)%len(backends)])
		if err != nil {
			continue
		}
		go func() {
			_, _ = io.Copy(backend, client)
			_ = backend.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(client, backend)
		_ = backend.Close()
		return
	}
}

// secureFleet is nodes with HTTPS over one shard, behind a balancer for each port.
type secureFleet struct {
	*fleet
	https, plain *balancer
	ca           *testenv.Pebble
}

const secureHost = "base.example"

// newSecureFleet starts n nodes.
func newSecureFleet(t *testing.T, n int, opts testenv.PebbleOptions) *secureFleet {
	t.Helper()
	f := &secureFleet{https: newBalancer(t), plain: newBalancer(t)}
	opts.HTTPPort, opts.TLSPort = f.plain.port(), f.https.port()
	f.ca = testenv.NewPebble(t, opts)
	f.fleet = newFleet(t, 1, testenv.ClusterOptions{})
	for range n {
		port, err := testenv.FreePort(t.Context())
		must(t, err)
		plain := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		f.plain.use(append(f.plain.backends, plain)...) // before the node checks that it is reached
		node := f.serve("TERSE_HTTPS=on", "TERSE_BASE_URL=https://"+net.JoinHostPort(secureHost, strconv.Itoa(f.https.port())), "TERSE_HTTP_LISTEN="+plain,
			"TERSE_ACME_URL="+f.ca.Directory(), "TERSE_ACME_CA_FILE="+f.ca.CAFile(), "TERSE_DNS_SERVER="+f.ca.DNS(), "TERSE_DOMAINS_NETWORKS=127.0.0.0/8", "TERSE_ACME_HTTP_PORT="+strconv.Itoa(f.plain.port()))
		f.https.use(append(f.https.backends, node.Addr())...)
	}
	return f
}

// handshake connects through the balancer, and returns the certificate.
func (f *secureFleet) handshake(ctx context.Context, host string) (*x509.Certificate, error) {
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", f.https.Addr().String())
	if err != nil {
		return nil, err
	}
	leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	return leaf, errors.Join(conn.Close(), leaf.VerifyHostname(host))
}

// get asks for a path of the base URL by HTTPS on a new connection.
func (f *secureFleet) get(ctx context.Context, path string) (*http.Response, error) {
	return f.getOf(ctx, secureHost, path)
}

// getOf is get for any host.
func (f *secureFleet) getOf(ctx context.Context, host, path string) (*http.Response, error) {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{ServerName: host, InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, f.https.Addr().String())
		},
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return response, response.Body.Close()
}

// TestCertificateOfTwoNodes has two nodes behind a balancer: the first handshakes at once lead to
// one certificate.
func TestCertificateOfTwoNodes(t *testing.T) {
	t.Parallel()
	f := newSecureFleet(t, 2, testenv.PebbleOptions{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := f.handshake(t.Context(), secureHost); err != nil {
				t.Errorf("handshake = %v, want nil", err)
			}
		})
	}
	wg.Wait()
	if _, err := f.handshake(t.Context(), "other.example"); err == nil {
		t.Error("handshake with a name that is not allowed = nil, want an error")
	}
	response, err := f.get(t.Context(), "/") //nolint:bodyclose // get closes it
	must(t, err)
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		t.Errorf("GET / = %s %s, want 200 by HTTP/2", response.Proto, response.Status)
	}
	if issued, orders := f.ca.Issued(), f.ca.Orders(); issued != 1 || orders != 1 {
		t.Errorf("%d certificates by %d orders, want one", issued, orders)
	}
}

// TestFirstHandshakesOfTenNames has two nodes behind a balancer and ten domains that are new: two
// concurrent handshakes for each name lead to one certificate for each.
func TestFirstHandshakesOfTenNames(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const names = 10
	f := newSecureFleet(t, 2, testenv.PebbleOptions{})
	if _, err := f.handshake(t.Context(), secureHost); err != nil {
		t.Fatal(err)
	}
	var hosts []string
	for i := range names {
		hosts = append(hosts, fmt.Sprintf("go%d.example.com", i))
		f.addDomain(fmt.Sprintf("domain%03d", i), hosts[i])
	}
	for _, backend := range f.plain.backends {
		for _, host := range hosts {
			testenv.Await(t, "each node to know "+host, func() bool {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+backend+"/", http.NoBody)
				must(t, err)
				r.Host = host
				response, err := client(t).Do(r)
				must(t, err)
				must(t, response.Body.Close())
				return strings.HasPrefix(response.Header.Get("Location"), "https://"+host)
			})
		}
	}
	var wg sync.WaitGroup
	for i := range 2 * names {
		wg.Go(func() {
			if _, err := f.handshake(t.Context(), hosts[i%names]); err != nil {
				t.Errorf("handshake with %s = %v, want nil", hosts[i%names], err)
			}
		})
	}
	wg.Wait()
	if issued, orders := f.ca.Issued(), f.ca.Orders(); issued != names+1 || orders != names+1 {
		t.Errorf("%d certificates by %d orders, want one for each of %d names and the base host", issued, orders, names)
	}
	for _, node := range f.nodes {
		for _, result := range []string{"failed", "unreachable"} {
			if n := node.metric("terse_certificate_orders_total", `result="`+result+`"`); n != 0 {
				t.Errorf("%v orders were %s, want none", n, result)
			}
		}
	}
}

// TestNodeKilledDuringAnOrder kills a node while it orders, and later the authority.
func TestNodeKilledDuringAnOrder(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newSecureFleet(t, 1, testenv.PebbleOptions{})
	// The node orders at its start. The lock of the dead process ends by itself.
	testenv.Await(t, "an order", func() bool { return f.ca.Orders() > 0 })
	must(t, f.nodes[0].Kill())
	must(t, f.nodes[0].Start(t.Context()))
	testenv.Await(t, "a certificate after the crash", func() bool {
		_, err := f.handshake(t.Context(), secureHost)
		return err == nil
	})
	must(t, f.ca.Kill())
	must(t, f.nodes[0].Stop())
	must(t, f.nodes[0].Start(t.Context()))
	if _, err := f.handshake(t.Context(), secureHost); err != nil {
		t.Errorf("handshake without the authority = %v, want nil: the certificate is stored", err)
	}
}

// TestRenewalAcrossARestart stops the node until its certificate has ended.
func TestRenewalAcrossARestart(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newSecureFleet(t, 1, testenv.PebbleOptions{Validity: 10 * time.Second})
	before, err := f.handshake(t.Context(), secureHost)
	must(t, err)
	must(t, f.nodes[0].Stop())
	testenv.Await(t, "the certificate to end", func() bool { return time.Now().After(before.NotAfter) })
	must(t, f.nodes[0].Start(t.Context()))
	testenv.Await(t, "another certificate", func() bool {
		after, err := f.handshake(t.Context(), secureHost)
		must(t, err)
		return after.NotAfter.After(before.NotAfter)
	})
	if n := strings.Count(f.ca.Log(), "accounts in memory"); n != 1 {
		t.Errorf("%d accounts were registered, want 1", n)
	}
}
