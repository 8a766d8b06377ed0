// Package batch lets concurrent calls travel together: "batch while busy".
//
// A Group has one flight under way at a time, unless it was given more. Calls that
// arrive meanwhile wait and leave together in the next one, so an idle system adds
// no wait and a busy one shares the price of a round trip or an fsync among all who
// wait for it.
//
// It is not a scheduler or a cache: it delays no call of an idle system to make
// flights fuller, and answers no two calls with one result.
package batch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/terse/terse/store"
)

// Options say how a Group flies.
type Options[Req, Res any] struct {
	// Run answers all requests of one flight, result i for request i. It is called
	// by as many goroutines at a time as there are Flights. Its ctx belongs to the
	// Group, carries Timeout as a deadline and does not end when callers give up.
	// Required.
	Run func(ctx context.Context, reqs []Req) []Result[Res]

	// MaxBatch is the most requests in one flight. Default 256.
	MaxBatch int

	// Flights is the most flights under way at a time. They share the requests
	// evenly. Default 1. With a MaxBatch of 1 nothing travels together.
	Flights int

	// Beside is the fewest requests with which a flight leaves beside another one:
	// fewer wait until that has landed. Default 1; at most MaxBatch.
	Beside int

	// Linger is how long a flight may wait for the callers whom the one before has
	// just answered, when it answered several: they tend to come back at once, and
	// would otherwise travel in two groups by turns. Nobody waits for a lone
	// caller. Default 0: no flight waits.
	Linger time.Duration

	// MaxQueue is the most requests that may wait for a flight; further ones are
	// refused with store.ErrUnavailable. Default 4096.
	MaxQueue int

	// Timeout is the deadline of one flight. Default 10 s.
	Timeout time.Duration

	// Wait is the longest that a caller waits for its answer, in the queue and in
	// flight, before it is told store.ErrUnavailable. It costs less than a context
	// with a deadline. Default 0: as long as the caller's context.
	Wait time.Duration

	// Observe, if set, is told after each flight how many requests it carried
	// and how long it took, before its callers are answered.
	Observe func(size int, took time.Duration)
}

// Result is the answer to one request.
type Result[Res any] struct {
	Value Res
	Err   error
}

// PanicError is what the callers of a flight receive when Run panicked.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // of the goroutine that ran it
}

func (e *PanicError) Error() string { return fmt.Sprintf("batch: run panicked: %v", e.Value) }

// Group gathers calls into flights. Safe for concurrent use.
type Group[Req, Res any] struct {
	opts   Options[Req, Res]
	flying sync.WaitGroup // the goroutines that fly
	spare  sync.Pool      // of calls

	gate chan struct{} // holds a token while a flight boards

	mu     sync.Mutex
	queue  []*call[Req, Res] // waiting calls, oldest first
	full   chan struct{}     // tells the flight that lingers that as many wait as it expects; nil while none does
	expect int               // how many that are
	busy   int               // goroutines that fly
	aloft  int               // calls in flight
	closed bool
}

// call is one caller's request on its way. It is used again for another once
// nobody else knows it: with its answer, or taken out of the queue.
type call[Req, Res any] struct {
	req    Req
	result *Result[Res]
	done   chan struct{} // receives once, when result is set
	timer  *time.Timer   // runs while its caller waits; nil without Wait
}

// New returns a Group that is ready for calls.
func New[Req, Res any](opts Options[Req, Res]) (*Group[Req, Res], error) {
	opts.MaxBatch = cmp.Or(opts.MaxBatch, 256)
	opts.Flights = cmp.Or(opts.Flights, 1)
	opts.Beside = cmp.Or(opts.Beside, 1)
	opts.MaxQueue = cmp.Or(opts.MaxQueue, 4096)
	opts.Timeout = cmp.Or(opts.Timeout, 10*time.Second)
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	opts.Beside = min(opts.Beside, opts.MaxBatch)
	return &Group[Req, Res]{opts: opts, gate: make(chan struct{}, 1)}, nil
}

func (o *Options[Req, Res]) validate() error {
	var errs []error
	if o.Run == nil {
		errs = append(errs, errors.New("option Run is required"))
	}
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"MaxBatch", int64(o.MaxBatch)},
		{"Flights", int64(o.Flights)},
		{"Beside", int64(o.Beside)},
		{"MaxQueue", int64(o.MaxQueue)},
		{"Timeout", int64(o.Timeout)},
	} {
		if field.value < 1 {
			errs = append(errs, fmt.Errorf("option %s = %d, must be positive", field.name, field.value))
		}
	}
	if o.Linger < 0 {
		errs = append(errs, fmt.Errorf("option Linger = %v, must not be negative", o.Linger))
	}
	if o.Wait < 0 {
		errs = append(errs, fmt.Errorf("option Wait = %v, must not be negative", o.Wait))
	}
	return errors.Join(errs...)
}

// Do answers req with the next flight. When ctx ends while req waits, req is
// never run; when ctx ends after its flight began, req is done or not, as if
// the answer had been lost on the way. Both times Do returns ctx's error. A
// full or closed Group, a flight that ran out of time, and one for which the
// caller would have to wait too long answer store.ErrUnavailable.
func (g *Group[Req, Res]) Do(ctx context.Context, req Req) (Res, error) {
	var none Res
	if err := ctx.Err(); err != nil {
		return none, err
	}
	c := g.newCall(req)
	if err := g.enqueue(c); err != nil {
		g.recycle(c)
		return none, err
	}
	var late <-chan time.Time
	if c.timer != nil {
		late = c.timer.C
	}
	var err error
	select {
	case <-c.done:
		result := c.result
		g.recycle(c)
		return result.Value, result.Err
	case <-ctx.Done():
		err = ctx.Err()
	case <-late:
		err = fmt.Errorf("%w: no answer within %v", store.ErrUnavailable, g.opts.Wait)
	}
	if g.drop(c) {
		g.recycle(c)
	}
	return none, err
}

// newCall returns a call whose time begins to run.
func (g *Group[Req, Res]) newCall(req Req) *call[Req, Res] {
	c, ok := g.spare.Get().(*call[Req, Res])
	switch {
	case !ok:
		c = &call[Req, Res]{done: make(chan struct{}, 1)}
		if g.opts.Wait > 0 {
			c.timer = time.NewTimer(g.opts.Wait)
		}
	case c.timer != nil:
		c.timer.Reset(g.opts.Wait)
	}
	c.req = req
	return c
}

// recycle keeps c for another caller.
func (g *Group[Req, Res]) recycle(c *call[Req, Res]) {
	if c.timer != nil {
		c.timer.Stop() // nothing that it sent is received after this
	}
	var none Req
	c.req, c.result = none, nil
	g.spare.Put(c)
}

// Waiting reports how many calls wait for a flight.
func (g *Group[Req, Res]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.queue)
}

// Close refuses further calls and returns when those already accepted have
// their answers.
func (g *Group[Req, Res]) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.flying.Wait()
}

// enqueue adds c to the queue and sees to it that somebody flies.
func (g *Group[Req, Res]) enqueue(c *call[Req, Res]) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return fmt.Errorf("%w: closed", store.ErrUnavailable)
	case len(g.queue) >= g.opts.MaxQueue:
		return fmt.Errorf("%w: %d calls wait already", store.ErrUnavailable, len(g.queue))
	}
	g.queue = append(g.queue, c)
	switch {
	case g.full == nil:
		g.staff()
	case len(g.queue) >= g.expect:
		select {
		case g.full <- struct{}{}:
		default: // the flight has been told
		}
	}
	return nil
}

// drop takes c out of the queue, and reports whether it was there: otherwise its
// flight has begun.
func (g *Group[Req, Res]) drop(c *call[Req, Res]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.queue, c)
	if i < 0 {
		return false
	}
	g.queue = slices.Delete(g.queue, i, i+1)
	return true
}
