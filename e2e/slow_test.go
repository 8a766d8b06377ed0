//go:build unix

package e2e_test

import (
	"flag"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

var slowClients = flag.Int("slow-clients", 1000, "how many connections TestSlowClientsTakeLittle opens; 10000 need as many open files")

// mostPerConnection is the limit of memory for one connection with a slow client and a
// head of 12 KiB: the documented 40 KiB, and half as much for garbage in the heap.
const mostPerConnection = 60 << 10

// TestSlowClientsTakeLittle checks the memory of one slow client, on which the choice of
// TERSE_MAX_CONNECTIONS depends, and that other clients are served at the same time.
func TestSlowClientsTakeLittle(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	p := startBy(t, testenv.TerseOptions{
		Binary: testenv.BuildRelease(t), Environment: []string{"GOGC=100"}, // keeps garbage small beside the memory of connections
	})
	c := client(t)
	code, err := shorten(c, p.url, "https://example.com/")
	must(t, err)
	memory := func() float64 { return p.metric("process_resident_memory_bytes") }
	before := memory()
	head := "GET /" + code + " HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("a", 12<<10)
	// On a busy machine the first connections may be closed before the last ones open. The
	// process keeps their memory, so the test divides by the largest number of connections
	// that were open at the same time.
	open := 0.0
	count := func() float64 {
		open = max(open, p.metric("terse_http_connections"))
		return open
	}
	held := make([]net.Conn, *slowClients)
	for i := range held {
		held[i] = p.dial()
		if _, err := io.WriteString(held[i], head); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			count()
		}
	}
	testenv.Await(t, "connections", func() bool { return count() >= 100 })
	most := memory()
	if got := location(t, c, p.url, code); got != "https://example.com/" {
		t.Errorf("Location beside %d slow clients = %q", *slowClients, got)
	}
	each := (most - before) / open
	t.Logf("%v slow clients take %.0f MiB, %.1f KiB each", open, (most-before)/(1<<20), each/(1<<10))
	if each > mostPerConnection {
		t.Errorf("a slow client takes %.0f KiB, want %d at most", each/(1<<10), mostPerConnection>>10)
	}
	testenv.Await(t, "slow clients to be closed", func() bool { return p.metric("terse_http_connections") <= 1 })
}
