package server

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// pair returns the two ends of a connection: the server's, with deadlines that only
// the test sweeps, and the client's.
func pair(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	all, err := newConnections(Options{Listener: l}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	accepted, err := all.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	return accepted.(*conn), client
}

// reads reads one byte in the background and returns its error.
func reads(c net.Conn) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()
	return done
}

func TestSweepEnforcesDeadlines(t *testing.T) {
	t.Parallel()
	server, _ := pair(t)
	if err := server.SetDeadline(time.Now()); err != nil { // later than the latest sweep
		t.Fatal(err)
	}
	read := reads(server)
	server.of.sweepOnce()
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read past its deadline = %v, want a timeout", err)
	}
	if _, err := server.Write(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write past its deadline = %v, want a timeout", err)
	}
}

// TestSweepLeavesOtherDeadlines holds that a deadline that has not passed, or that was
// cleared, interrupts nothing.
func TestSweepLeavesOtherDeadlines(t *testing.T) {
	t.Parallel()
	server, client := pair(t)
	for _, next := range []time.Time{time.Now().Add(time.Hour), {}} {
		if err := errors.Join(server.SetDeadline(time.Now()), server.SetDeadline(next)); err != nil {
			t.Fatal(err)
		}
		server.of.sweepOnce()
		mustTalk(t, server, client)
	}
}

// TestPassedDeadlineInterruptsAtOnce holds that a deadline in the past interrupts a
// read without a sweep, as net/http does after each request, and that the connection
// can be read once the deadline is cleared.
func TestPassedDeadlineInterruptsAtOnce(t *testing.T) {
	t.Parallel()
	server, client := pair(t)
	for _, past := range []time.Time{time.Unix(1, 0), server.of.clock.epoch.Add(-time.Second)} {
		read := reads(server)
		if err := server.SetReadDeadline(past); err != nil {
			t.Fatal(err)
		}
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read past its deadline = %v, want a timeout", err)
		}
		if err := server.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		mustTalk(t, server, client)
	}
}

// TestSweepRacesWithChange extends a deadline at the moment when the sweep enforces the
// old one. The connection must stay usable.
func TestSweepRacesWithChange(t *testing.T) {
	t.Parallel()
	server, client := pair(t)
	for range 300 {
		now := server.of.clock.at(time.Now())
		server.read.at.Store(now)
		var change sync.WaitGroup
		server.read.sweep(now, func(past time.Time) error {
			change.Go(func() { _ = server.SetReadDeadline(time.Now().Add(time.Hour)) })
			for server.read.at.Load() == passed {
				runtime.Gosched()
			}
			for range 10 {
				runtime.Gosched()
			}
			return server.Conn.SetReadDeadline(past)
		})
		change.Wait()
		mustTalk(t, server, client)
	}
}

// mustTalk makes sure that a byte travels in each direction.
func mustTalk(t *testing.T, server, client net.Conn) {
	t.Helper()
	one := make([]byte, 1)
	for _, ends := range [][2]net.Conn{{server, client}, {client, server}} {
		if _, err := ends[0].Write(one); err != nil {
			t.Fatalf("Write = %v", err)
		}
		if _, err := ends[1].Read(one); err != nil {
			t.Fatalf("Read = %v", err)
		}
	}
}
