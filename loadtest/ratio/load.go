//go:build unix

package main

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is the client of one server. It keeps connections open with one request in flight
// each. It costs little, and the same for every server.
type load struct {
	address     string
	connections int
	turn        time.Duration

	// every is the time between two requests of all connections together. 0: each
	// connection sends the next request as soon as it has its answer.
	every time.Duration

	// talk returns a function that sends one request over conn and reads its answer. It
	// is called once for each connection.
	talk func(conn net.Conn) exchange

	latencies []time.Duration // of the latest run, when every is set
}

type exchange func() error

// address returns the host and port of a server's URL.
func address(url string) string {
	_, address, _ := strings.Cut(url, "://")
	return address
}

// run loads the server for one turn and returns the requests per second.
func (l *load) run(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.turn)
	defer cancel()
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		requests int
		failed   error
		sent     atomic.Int64
	)
	l.latencies = nil
	start := time.Now()
	for range l.connections {
		wg.Go(func() {
			c := connection{load: l, start: start, sent: &sent}
			err := c.repeat(ctx)
			mu.Lock()
			defer mu.Unlock()
			requests += c.requests
			l.latencies = append(l.latencies, c.latencies...)
			if failed == nil {
				failed = err
			}
		})
	}
	wg.Wait()
	return float64(requests) / time.Since(start).Seconds(), failed
}

// connection is one connection of a load.
type connection struct {
	load      *load
	start     time.Time
	sent      *atomic.Int64 // requests of all connections
	requests  int
	latencies []time.Duration
}

// repeat sends requests until ctx ends.
func (c *connection) repeat(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.load.address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(c.load.turn + 10*time.Second)); err != nil {
		return err
	}
	next := c.load.talk(conn)
	for ctx.Err() == nil {
		due, ok := c.await(ctx)
		if !ok {
			break
		}
		if err := next(); err != nil {
			return err
		}
		c.requests++
		if c.load.every > 0 {
			c.latencies = append(c.latencies, time.Since(due))
		}
	}
	return nil
}

// await waits until the next request is due and returns its start for the latency. A
// request that is late because the connection was busy starts when it was due.
func (c *connection) await(ctx context.Context) (time.Time, bool) {
	if c.load.every == 0 {
		return time.Time{}, true
	}
	due := c.start.Add(time.Duration(c.sent.Add(1)) * c.load.every)
	wait := time.Until(due)
	if wait <= 0 {
		return due, true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return due, false
	case <-timer.C:
		return time.Now(), true
	}
}
