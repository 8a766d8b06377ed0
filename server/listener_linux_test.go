package server

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terse/terse/internal/testenv"
)

// TestDrainedListenerAcceptsNobody holds that the kernel ignores a client who connects
// after the drain, and that this client then meets the next listener on the address.
func TestDrainedListenerAcceptsNobody(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			testDrainedListener(t, address)
		})
	}
}

func testDrainedListener(t *testing.T, address string) {
	t.Helper()
	l, err := Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.drain(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	dialed := make(chan error, 1)
	go func() {
		conn, err := net.DialTimeout("tcp", dialable(l.Addr()), 30*time.Second)
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
		for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
			table, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if pattern.Match(table) {
				return true
			}
		}
		return false
	})
}

// dialable returns the address of a listener with a host that clients can dial. For a listener
// on all addresses it is one of IPv4.
func dialable(addr net.Addr) string {
	tcp := addr.(*net.TCPAddr)
	if tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return tcp.String()
}

// TestAcceptResetsTheOption checks that a connection does not keep what it inherits from a
// listener that ignores new connections. The test requires a time to live that its own packets
// have, because the connection must be new.
func TestAcceptResetsTheOption(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := control(l.TCPListener, func(fd int) error { return requireTTL(fd, 1) }); err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	l.ignoring.Store(true)
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = accepted.Close() }()
	if err := control(accepted.(*net.TCPConn), func(fd int) error {
		least, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL)
		if err == nil && least != 0 {
			err = fmt.Errorf("the accepted connection requires a time to live of %d, want 0", least)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
