//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patience is how long a visitor waits for a response.
	patience = 250 * time.Millisecond

	// connectPatience is how long a visitor waits for a free connection.
	connectPatience = 5 * time.Millisecond
)

// kind is one kind of requests of a crowd.
type kind struct {
	name   string
	weight int // relative frequency among all kinds
	ask    func() question
}

// question is a request and its expected response.
type question struct {
	request          []byte
	status, location string
}

// crowd sends requests at a fixed rate, even when the server is slow. A visitor leaves
// when the response is late, or when all connections are in use.
type crowd struct {
	kinds       []kind
	connections []*connection // each carries one request at a time
}

func newCrowd(address string, n int, kinds []kind) *crowd {
	c := &crowd{kinds: kinds}
	for range n {
		c.connections = append(c.connections, &connection{address: address})
	}
	return c
}

func (c *crowd) close() {
	for _, conn := range c.connections {
		conn.close()
	}
}

// run runs the crowd at a rate per second for a span of time. It returns when every
// visitor has a response or has left.
func (c *crowd) run(ctx context.Context, rate float64, span time.Duration) visits {
	s := schedule{start: time.Now(), every: time.Duration(float64(time.Second) / rate)}
	s.total = int64(span / s.every)
	parts := make([]visits, len(c.connections))
	var all sync.WaitGroup
	for i, conn := range c.connections {
		all.Go(func() { parts[i] = c.serve(ctx, conn, &s) })
	}
	all.Wait()
	v := visits{span: span, visitors: s.total}
	for _, part := range parts {
		v.add(part)
	}
	return v
}

// serve sends visitors' requests over one connection, one after another.
func (c *crowd) serve(ctx context.Context, conn *connection, s *schedule) (v visits) {
	for {
		due, ok := s.next()
		if !ok || ctx.Err() != nil {
			return v
		}
		time.Sleep(time.Until(due))
		k := c.pick()
		asked := c.kinds[k].ask()
		got, err := conn.exchange(asked.request, due.Add(patience))
		one := visit{kind: uint8(k), took: time.Since(due), retryAfter: got.retryAfter} //nolint:gosec // there are few kinds
		switch {
		case err != nil && one.took >= patience:
			one.outcome = late
		case err == nil && got.status == asked.status && got.location == asked.location:
			one.outcome = good
		case err == nil && got.status == "503":
			one.outcome = refused
		default:
			one.outcome = wrong
			v.failed = append(v.failed, explain(c.kinds[k].name, got, err))
		}
		v.sent = append(v.sent, one)
	}
}

// pick returns the kind of the next request, at random by weight.
func (c *crowd) pick() int {
	sum := 0
	for _, k := range c.kinds {
		sum += k.weight
	}
	n := rand.IntN(sum) //nolint:gosec // not a secret
	for i, k := range c.kinds {
		if n -= k.weight; n < 0 {
			return i
		}
	}
	return 0
}

// schedule contains the arrival times of the visitors.
type schedule struct {
	start time.Time
	every time.Duration
	total int64
	taken atomic.Int64 // visitors so far
}

// next returns the arrival time of the next visitor who has not left, or false after the
// last visitor. It does not wait for that time.
func (s *schedule) next() (time.Time, bool) {
	for {
		taken := s.taken.Load()
		gone := int64((time.Since(s.start) - connectPatience) / s.every)
		n := max(taken, gone)
		if n >= s.total {
			return time.Time{}, false
		}
		if s.taken.CompareAndSwap(taken, n+1) {
			return s.start.Add(time.Duration(n) * s.every), true
		}
	}
}
