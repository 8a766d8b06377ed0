package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/terse/terse/server"
)

// createVia creates a link over a new connection that begins with the given bytes. It
// returns the status, or an error without a response.
func (p *node) createVia(begin []byte, headers string) (int, error) {
	p.t.Helper()
	conn := p.dial()
	defer func() { _ = conn.Close() }()
	const body = `{"url":"https://example.com"}`
	request := fmt.Sprintf("POST /api/v1/links HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", len(body), headers, body)
	if err := conn.SetDeadline(time.Now().Add(server.ReadHeaderTimeout + 10*time.Second)); err != nil {
		p.t.Fatal(err)
	}
	if _, err := conn.Write(append(begin, request...)); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// proxyHeader returns a PROXY header that names a client.
func proxyHeader(t *testing.T, version byte, client string) []byte {
	t.Helper()
	source := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(client), 4321))
	header := proxyproto.HeaderProxyFromAddrs(version, source, &net.TCPAddr{IP: source.IP, Port: 80})
	text, err := header.Format()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestProxyProtocol checks that a trusted proxy must send a PROXY header on each connection,
// and that the header gives the address of the client. X-Forwarded-For counts only when the
// address in the header is a trusted proxy too.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	p := start(t, dataDir(t), "TERSE_PROXY_PROTOCOL=true",
		"TERSE_TRUSTED_PROXIES=127.0.0.1/32,10.0.0.0/8", "TERSE_LIMIT_CREATE_ANONYMOUS=2/1h")
	for _, tt := range []struct {
		name    string
		version byte
		client  string
		headers string
	}{
		{"version 1", 1, "198.51.100.1", ""},
		{"version 2", 2, "198.51.100.2", ""},
		{"version 1, IPv6", 1, "2001:db8:1::1", ""},
		{"version 2, IPv6", 2, "2001:db8:2::1", ""},
		{"a client who forges a header", 2, "198.51.100.3", "X-Forwarded-For: 203.0.113.%d\r\n"},
		{"a proxy behind the proxy", 2, "10.1.2.3", "X-Forwarded-For: 203.0.113.1%d, 198.51.100.4\r\n"},
	} {
		for i, want := range []int{http.StatusCreated, http.StatusCreated, http.StatusTooManyRequests} {
			headers := tt.headers
			if strings.Contains(headers, "%d") {
				headers = fmt.Sprintf(headers, i)
			}
			if got, err := p.createVia(proxyHeader(t, tt.version, tt.client), headers); got != want {
				t.Errorf("create %d of %s = %d, %v, want %d", i+1, tt.name, got, err, want)
			}
		}
	}
	for name, begin := range map[string]string{
		"no header":             "",
		"garbage":               "PROXY nonsense\r\n",
		"a header without end":  "PROXY TCP4 " + strings.Repeat("1", 200),
		"version 2 without end": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff",
	} {
		if got, err := p.createVia([]byte(begin), ""); err == nil && got < 400 {
			t.Errorf("create with %s = %d, want an error", name, got)
		}
	}
}

// TestProxyHeaderOfStrangers checks that a PROXY header from an untrusted address returns
// 400, and that such an address is served without the header.
func TestProxyHeaderOfStrangers(t *testing.T) {
	t.Parallel()
	p := start(t, dataDir(t), "TERSE_PROXY_PROTOCOL=true", "TERSE_TRUSTED_PROXIES=192.0.2.0/24", "TERSE_LIMIT_CREATE_ANONYMOUS=2/1h")
	for i := range 2 {
		if got, err := p.createVia(proxyHeader(t, 1, fmt.Sprintf("198.51.100.%d", i)), ""); got != http.StatusBadRequest {
			t.Errorf("create with a stranger's PROXY header = %d, %v, want 400", got, err)
		}
	}
	for i, want := range []int{http.StatusCreated, http.StatusCreated, http.StatusTooManyRequests} {
		if got, err := p.createVia(nil, ""); got != want {
			t.Errorf("create %d without a header = %d, %v, want %d", i+1, got, err, want)
		}
	}
}

// TestSilentProxyIsClosed checks a proxy that sends no PROXY header, or only a part of it.
// Its connection is closed after a timeout, and other connections are served meanwhile.
func TestSilentProxyIsClosed(t *testing.T) {
	t.Parallel()
	p := start(t, dataDir(t), "TERSE_PROXY_PROTOCOL=true", "TERSE_TRUSTED_PROXIES=127.0.0.1/32")
	for _, begin := range []string{"", "PROXY TCP4 ", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"} {
		t.Run(fmt.Sprintf("%q", begin), func(t *testing.T) {
			t.Parallel()
			silent := p.dial()
			if _, err := io.WriteString(silent, begin); err != nil {
				t.Fatal(err)
			}
			if got, err := p.createVia(proxyHeader(t, 1, "198.51.100.1"), ""); got != http.StatusCreated {
				t.Errorf("create beside a silent proxy = %d, %v, want 201", got, err)
			}
			if err := silent.SetReadDeadline(time.Now().Add(server.ReadHeaderTimeout + 10*time.Second)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(silent)
			if netErr := net.Error(nil); errors.As(err, &netErr) && netErr.Timeout() {
				t.Errorf("the connection is open after %v, answer %q", server.ReadHeaderTimeout+10*time.Second, answer)
			}
		})
	}
}
