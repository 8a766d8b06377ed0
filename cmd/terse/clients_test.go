package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// dial opens a raw connection to the public listener.
func (p *program) dial() net.Conn {
	p.t.Helper()
	conn, err := net.Dial("tcp", strings.Replace(strings.TrimPrefix(p.url, "http://"), "localhost", "127.0.0.1", 1))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestTooManyHeaders holds that a client is told of its headers, to the end of the answer,
// while it is still busy sending them; behind a balancer of TCP too.
func TestTooManyHeaders(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		environ []string
		begin   []byte
	}{
		"direct":  {},
		"proxied": {[]string{"TERSE_PROXY_PROTOCOL=true", "TERSE_TRUSTED_PROXIES=127.0.0.1/32"}, proxyHeader(t, 2, "198.51.100.1")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, filepath.Join(t.TempDir(), "data"), tt.environ...)
			head := append(tt.begin, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", 1<<20)+"\r\n\r\n"...)
			ask := func() (string, error) {
				conn := p.dial()
				must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
				go func() { _, _ = conn.Write(head) }()
				answer, err := io.ReadAll(conn)
				return string(answer), err
			}
			answer, err := ask()
			for range 4 { // net/http waits half a second, which a busy machine may not have
				if err == nil {
					break
				}
				answer, err = ask()
			}
			if err != nil || !strings.HasPrefix(answer, "HTTP/1.1 431 ") {
				t.Errorf("1 MiB of headers are answered %q, then %v, want 431 and the end", answer, err)
			}
		})
	}
}

// TestSlowClientsAreClosed holds that neither headers nor a body that trickle
// in keep a connection.
func TestSlowClientsAreClosed(t *testing.T) {
	t.Parallel()
	p := start(t, filepath.Join(t.TempDir(), "data"))
	for name, begin := range map[string]string{
		"headers": "GET / HTTP/1.1\r\nHost: x\r\n",
		"body":    "POST /api/v1/links HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := p.dial()
			if _, err := io.WriteString(conn, begin); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(readTimeout + 5*time.Second)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if netErr := net.Error(nil); errors.As(err, &netErr) && netErr.Timeout() {
				t.Errorf("the connection is open after %v, answer %q", readTimeout+5*time.Second, answer)
			}
		})
	}
}

// TestHugeBodyIsCutOff holds that a body is not read past its limit.
func TestHugeBodyIsCutOff(t *testing.T) {
	t.Parallel()
	p := start(t, filepath.Join(t.TempDir(), "data"))
	const size = 100 << 20
	body := &countingReader{r: io.LimitReader(zeros{}, size)}
	response, err := client().Post(p.url+"/api/v1/links", "application/json", body)
	if err == nil {
		_ = response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("100 MiB = %d, want 413", response.StatusCode)
		}
	}
	if taken := body.n.Load(); taken > size/4 {
		t.Errorf("%d bytes of a body of 100 MiB were taken", taken)
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// countingReader counts what was read of it. The transport may go on reading
// after the answer has come.
type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
