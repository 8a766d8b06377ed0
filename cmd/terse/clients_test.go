package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/server"
)

// TestTooManyHeaders checks that a client receives the whole 431 response while it still
// sends headers. It holds behind a TCP load balancer too.
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
			p := start(t, dataDir(t), tt.environ...)
			head := append(tt.begin, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", 1<<20)+"\r\n\r\n"...)
			ask := func() (string, error) {
				conn := p.dial()
				must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
				go func() { _, _ = conn.Write(head) }()
				answer, err := io.ReadAll(conn)
				return string(answer), err
			}
			answer, err := ask()
			for range 4 { // net/http waits only half a second for the client; a busy machine may need longer
				if err == nil {
					break
				}
				answer, err = ask()
			}
			if err != nil || !strings.HasPrefix(answer, "HTTP/1.1 431 ") {
				t.Errorf("1 MiB of headers = %q, %v, want 431 and the end of the connection", answer, err)
			}
		})
	}
}

// TestSlowClientsAreClosed checks that the server closes a connection whose headers or body
// do not arrive in time.
func TestSlowClientsAreClosed(t *testing.T) {
	t.Parallel()
	p := start(t, dataDir(t))
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
			if err := conn.SetReadDeadline(time.Now().Add(10 * server.ReadTimeout)); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if netErr := net.Error(nil); errors.As(err, &netErr) && netErr.Timeout() {
				t.Errorf("the connection is open after %v, answer %q", 10*server.ReadTimeout, answer)
			}
		})
	}
}

// TestHugeBodyIsCutOff checks that the server does not read a body beyond the limit, and that
// the client receives a 413.
func TestHugeBodyIsCutOff(t *testing.T) {
	t.Parallel()
	p := start(t, dataDir(t))
	const size = 100 << 20
	for name, head := range map[string]string{
		"length": fmt.Sprintf("Content-Length: %d\r\n\r\n", size),
		"chunks": fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", size),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := p.dial()
			must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			_, err := io.WriteString(conn, "POST /api/v1/links HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+head)
			must(t, err)
			taken := make(chan int64)
			go func() {
				n, _ := io.Copy(conn, io.LimitReader(zeros{}, size))
				taken <- n
			}()
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			if response.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("100 MiB = %d, want 413", response.StatusCode)
			}
			_ = response.Body.Close()
			if n := <-taken; n > size/4 {
				t.Errorf("the server read %d bytes of a body of 100 MiB", n)
			}
		})
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
