package server_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/server"
)

// everyPeer trusts every peer.
type everyPeer struct{}

func (everyPeer) Trusts(netip.Addr) bool { return true }

// dialFrom connects from a loopback address.
func dialFrom(t *testing.T, from, address string) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: within, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// closed reports whether the server has closed an idle connection.
func closed(t *testing.T, conn net.Conn) bool {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	isOpen := errors.As(err, &timeout) && timeout.Timeout()
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	return !isOpen
}

// TestFullServerClosesTheLongestIdle checks that a new connection to a full server takes the
// place of the connection that waits longest for a request: kept alive, or without a first one.
func TestFullServerClosesTheLongestIdle(t *testing.T) {
	t.Parallel()
	r := newServer(t, server.Options{MaxConnections: 4, Trusted: everyPeer{}})
	idle := func(n int) {
		t.Helper()
		testenv.Await(t, "all connections to be idle", func() bool { return r.Idle() == n })
	}
	var conns []net.Conn
	for i := range 4 {
		conn := dialFrom(t, "127.0.0.1", r.addr)
		if i != 1 { // which sends no request
			if _, err := get(conn); err != nil {
				t.Fatal(err)
			}
		}
		conns = append(conns, conn)
		idle(len(conns))
	}
	if _, err := get(conns[0]); err != nil { // conns[1] waits longest now
		t.Fatal(err)
	}
	for n, next := range []int{1, 2, 3, 0} {
		idle(len(conns))
		conn := dialFrom(t, "127.0.0.1", r.addr)
		if _, err := get(conn); err != nil {
			t.Errorf("connection %d to a full server: %v", n, err)
		}
		testenv.Await(t, "the longest idle connection to be closed", func() bool { return closed(t, conns[next]) })
		conns[next] = conn
		for i, other := range conns {
			if closed(t, other) {
				t.Errorf("after %d new connections, connection %d is closed", n+1, i)
			}
		}
	}
}

// TestBusyConnectionsStay checks that no connection with a request in progress is closed for a
// new one.
func TestBusyConnectionsStay(t *testing.T) {
	t.Parallel()
	entered, finish := make(chan struct{}, 2), make(chan struct{})
	r := newServer(t, server.Options{MaxConnections: 2, Trusted: everyPeer{}, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-finish
		_, _ = io.WriteString(w, "hello")
	})})
	answers := make(chan error, 2)
	for range 2 {
		conn := dialFrom(t, "127.0.0.1", r.addr)
		go func() {
			_, err := get(conn)
			answers <- err
		}()
		<-entered
	}
	if _, err := get(dialFrom(t, "127.0.0.1", r.addr)); err == nil {
		t.Error("a connection beyond the bound was answered while all others are busy")
	}
	close(finish)
	for range 2 {
		if err := <-answers; err != nil {
			t.Errorf("a busy connection: %v", err)
		}
	}
}

// TestEndedConnectionsGiveNoPlace checks that the number of connections stays bounded when
// connections end after they were collected as idle.
func TestEndedConnectionsGiveNoPlace(t *testing.T) {
	t.Parallel()
	const most = 8
	r := newServer(t, server.Options{MaxConnections: most, Trusted: everyPeer{}})
	open := func() net.Conn {
		conn := dialFrom(t, "127.0.0.1", r.addr)
		if _, err := get(conn); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	var conns []net.Conn
	for range most + 1 { // the last one makes the server collect its idle connections
		conns = append(conns, open())
		testenv.Await(t, "the connection to be idle", func() bool { return r.Idle() == min(len(conns), most) })
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	conns = nil
	for range 3 * most {
		testenv.Await(t, "an idle connection, or room for one", func() bool { return r.Idle() > 0 || len(conns) == 0 })
		conns = append(conns, open())
	}
	testenv.Await(t, "the connections beyond the bound to be closed", func() bool {
		alive := 0
		for _, conn := range conns {
			if !closed(t, conn) {
				alive++
			}
		}
		return alive <= most
	})
}

// TestNetworksHaveABound checks that one client network has at most a quarter of all
// connections. A further one takes the place of its own longest idle one.
func TestNetworksHaveABound(t *testing.T) {
	t.Parallel()
	r := newServer(t, server.Options{MaxConnections: 8})
	other := dialFrom(t, "127.0.0.2", r.addr)
	if _, err := get(other); err != nil {
		t.Fatal(err)
	}
	const part = 2 // of 8 connections
	var conns []net.Conn
	for range 2 * part {
		conn := dialFrom(t, "127.0.0.1", r.addr)
		if _, err := get(conn); err != nil {
			t.Fatalf("a connection of a network that has its part: %v", err)
		}
		conns = append(conns, conn)
		testenv.Await(t, "the connection to be idle", func() bool { return r.Idle() == 1+min(len(conns), part) })
	}
	testenv.Await(t, "the oldest connections of the network to be closed", func() bool { return closed(t, conns[0]) && closed(t, conns[1]) })
	for name, conn := range map[string]net.Conn{"the newest": conns[3], "the second newest": conns[2], "another network's": other} {
		if closed(t, conn) {
			t.Errorf("%s connection is closed", name)
		}
	}
}
