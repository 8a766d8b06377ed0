package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestConnectionsAreBounded checks that the server keeps at most the limit of connections, and
// closes the longest idle one for a new one.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	p := start(t, dataDir(t), "TERSE_MAX_CONNECTIONS=3", "TERSE_TRUSTED_PROXIES=127.0.0.1/32")
	held := p.dial()
	must(t, held.SetDeadline(time.Now().Add(time.Minute)))
	_, err := io.WriteString(held, "GET /robots.txt HTTP/1.1\r\n")
	must(t, err)
	for i := range 6 {
		conn := p.dial()
		must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		_, err := io.WriteString(conn, "GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n")
		must(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("connection %d got no response: %v", i+1, err)
		}
		must(t, response.Body.Close())
	}
	if _, err := held.Read(make([]byte, 1)); err == nil {
		t.Error("the connection that waited longest is open")
	}
	evicted, open := p.metric("terse_http_connections_evicted_total"), p.metric("terse_http_connections")
	if refused := p.metric("terse_http_connections_refused_total"); evicted != 4 || open != 3 || refused != 0 {
		t.Errorf("the metrics show %v closed, %v open and %v refused connections, want 4, 3 and 0", evicted, open, refused)
	}
}

// TestUnknownTransferCoding checks that an unknown transfer coding returns 400 and closes the
// connection, because the server cannot know where the next request begins.
func TestUnknownTransferCoding(t *testing.T) {
	t.Parallel()
	p := start(t, dataDir(t))
	for _, codings := range []string{"x", "", "identity", "gzip, chunked", "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked", "\"chunked\""} {
		conn := p.dial()
		must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "+codings+"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
		must(t, err)
		all, err := io.ReadAll(conn)
		must(t, err)
		if got := string(all); !strings.HasPrefix(got, "HTTP/1.1 400 ") || strings.Count(got, "HTTP/1.1") != 1 {
			t.Errorf("Transfer-Encoding %q = %q, want one 400 and the end of the connection", codings, got)
		}
	}
}
