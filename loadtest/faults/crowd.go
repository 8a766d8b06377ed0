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
	// patience is how long a visitor waits for an answer.
	patience = 250 * time.Millisecond

	// turnedAway is how long a visitor looks for a free connection.
	turnedAway = 5 * time.Millisecond
)

// kind is what a part of a crowd asks for.
type kind struct {
	name  string
	share int // of the shares of all kinds
	ask   func() question
}

// question is a request and what the good answer to it has.
type question struct {
	request          []byte
	status, location string
}

// crowd asks a server at a rate of its own, however that fares: a visitor whom it
// does not answer in time leaves, and so does one who finds every connection in use.
type crowd struct {
	kinds []kind
	wires []*wire // one request at a time each
}

func newCrowd(address string, connections int, kinds []kind) *crowd {
	c := &crowd{kinds: kinds}
	for range connections {
		c.wires = append(c.wires, &wire{address: address})
	}
	return c
}

func (c *crowd) close() {
	for _, w := range c.wires {
		w.hangUp()
	}
}

// come lets as many come as rate says, for a span of time, and returns once each of
// them has an answer or has left.
func (c *crowd) come(ctx context.Context, rate float64, span time.Duration) visits {
	s := schedule{start: time.Now(), every: time.Duration(float64(time.Second) / rate)}
	s.total = int64(span / s.every)
	parts := make([]visits, len(c.wires))
	var all sync.WaitGroup
	for i, w := range c.wires {
		all.Go(func() { parts[i] = c.serve(ctx, w, &s) })
	}
	all.Wait()
	v := visits{span: span, came: s.total}
	for _, part := range parts {
		v.add(part)
	}
	return v
}

// serve sends what comes over one connection, one after the other.
func (c *crowd) serve(ctx context.Context, w *wire, s *schedule) (v visits) {
	for {
		due, ok := s.next()
		if !ok || ctx.Err() != nil {
			return v
		}
		time.Sleep(time.Until(due))
		k := c.pick()
		asked := c.kinds[k].ask()
		got, err := w.exchange(asked.request, due.Add(patience))
		one := visit{kind: uint8(k), took: time.Since(due), retryAfter: got.retryAfter} //nolint:gosec // there are few
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

// pick returns what the next visitor asks for.
func (c *crowd) pick() int {
	sum := 0
	for _, k := range c.kinds {
		sum += k.share
	}
	n := rand.IntN(sum) //nolint:gosec // no secret
	for i, k := range c.kinds {
		if n -= k.share; n < 0 {
			return i
		}
	}
	return 0
}

// schedule is when visitors come.
type schedule struct {
	start time.Time
	every time.Duration
	total int64
	taken atomic.Int64 // how many have come
}

// next returns when the next visitor comes who is still there, and false after the
// last. It does not wait for that.
func (s *schedule) next() (time.Time, bool) {
	for {
		taken := s.taken.Load()
		gone := int64((time.Since(s.start) - turnedAway) / s.every)
		n := max(taken, gone)
		if n >= s.total {
			return time.Time{}, false
		}
		if s.taken.CompareAndSwap(taken, n+1) {
			return s.start.Add(time.Duration(n) * s.every), true
		}
	}
}
