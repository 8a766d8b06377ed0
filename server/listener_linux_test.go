package server

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// TestDrainedListenerAcceptsNobody holds that the kernel ignores a client who connects
// after the drain, and that this client then meets the next listener on the address.
func TestDrainedListenerAcceptsNobody(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.drain(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	dialed := make(chan error, 1)
	go func() {
		conn, err := net.DialTimeout("tcp", l.Addr().String(), 30*time.Second)
		if err == nil {
			err = conn.Close()
		}
		dialed <- err
	}()
	awaitSYN(t, l.Addr().(*net.TCPAddr).Port)
	if waiting, err := l.waiting(); waiting != 0 || err != nil {
		t.Errorf("%d connections wait after the drain, %v, want none", waiting, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := Listen(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = next.Close() }()
	if err := <-dialed; err != nil {
		t.Errorf("a client who connected between two listeners: %v", err)
	}
}

// TestDrainAwaitsTheQueue holds that a drain ends only when the last connection that
// the kernel accepted was taken.
func TestDrainAwaitsTheQueue(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	const clients = 20
	for range clients {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	if waiting, err := l.waiting(); waiting != clients || err != nil {
		t.Errorf("waiting() = %d, %v, want %d", waiting, err, clients)
	}
	drained := make(chan error, 1)
	go func() { drained <- l.drain(t.Context(), 0) }()
	for range clients {
		select {
		case err := <-drained:
			t.Fatalf("the drain ended with %v while connections wait", err)
		default:
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// awaitSYN waits until the kernel has sent a SYN to a local port, and no answer came.
func awaitSYN(t *testing.T, port int) {
	t.Helper()
	const synSent = "02" // of enum tcp_state
	pattern := regexp.MustCompile(fmt.Sprintf(`(?m)^ *\d+: \S+ \S+:%04X %s `, port, synSent))
	testenv.Await(t, fmt.Sprintf("a SYN to port %d without an answer", port), func() bool {
		table, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		return pattern.Match(table)
	})
}
