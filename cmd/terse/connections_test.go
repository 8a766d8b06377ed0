package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// TestConnectionsAreBounded checks that the server closes connections above the limit at
// once, and accepts new ones after a client leaves.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	p := start(t, dataDir(t), "TERSE_MAX_CONNECTIONS=3")
	answers := func() bool {
		conn := p.dial()
		must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		if _, err := io.WriteString(conn, "GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return false
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return false
		}
		return response.Body.Close() == nil
	}
	held := p.dial()
	_, err := io.WriteString(held, "GET /robots.txt HTTP/1.1\r\n")
	must(t, err)
	for range 2 {
		if !answers() {
			t.Error("a connection below the limit got no response")
		}
	}
	if answers() {
		t.Error("a connection above the limit got a response")
	}
	if p.metric("terse_http_connections_refused_total") != 1 || p.metric("terse_http_connections") != 3 {
		t.Error("the metrics do not show 3 connections and 1 refused one")
	}
	must(t, held.Close())
	testenv.Await(t, "room for another connection", answers)
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
