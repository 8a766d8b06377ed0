// Package batch runs concurrent calls together: "batch while busy".
//
// A Group runs one flight at a time, or Options.Flights of them. A flight is one call of
// Options.Run with several requests. Calls that arrive during a flight wait and leave
// together in the next one. So an idle system adds no wait, and a busy system shares the
// cost of a round trip or an fsync among all waiting callers.
//
// It is not a scheduler and not a cache: with Linger 0 no call of an idle system is
// delayed to make a flight fuller, and each call has its own result.
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

// Options configure a Group.
type Options[Req, Res any] struct {
	// Run answers all requests of one flight: result i is for request i. Up to Flights
	// goroutines call it at the same time. ctx has Timeout as its deadline. It does not
	// end when callers give up. Required.
	Run func(ctx context.Context, reqs []Req) []Result[Res]

	// MaxBatch is the most requests in one flight. Default 256.
	MaxBatch int

	// Flights is the most flights at the same time. They share the requests evenly.
	// Default 1. With a MaxBatch of 1 each call has a flight of its own.
	Flights int

	// Beside is the fewest requests for a flight that leaves during another one. Fewer
	// requests wait until the other has ended. Default 1; at most MaxBatch.
	Beside int

	// Linger is how long a flight may wait for callers that the previous flight has
	// answered, if it answered several. Such callers tend to call again at once, and
	// would otherwise alternate in two groups. After a flight with one caller there is
	// no wait. Default 0: no wait.
	Linger time.Duration

	// MaxQueue is the most requests that may wait for a flight. Further requests fail
	// with store.ErrUnavailable. Default 4096.
	MaxQueue int

	// Timeout is the deadline of one flight. Default 10 s.
	Timeout time.Duration

	// Wait is the longest time that a caller waits for its answer, in the queue and in
	// flight. After it Do returns store.ErrUnavailable. It costs less than a context with
	// a deadline. Default 0: until the caller's context ends.
	Wait time.Duration

	// Observe, if set, is called after each flight, before its callers are answered,
	// with the number of requests and the duration.
	Observe func(size int, took time.Duration)
}

func (o Options[Req, Res]) withDefaults() Options[Req, Res] {
	o.MaxBatch = cmp.Or(o.MaxBatch, 256)
	o.Flights = cmp.Or(o.Flights, 1)
	o.Beside = cmp.Or(o.Beside, 1)
	o.MaxQueue = cmp.Or(o.MaxQueue, 4096)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	return o
}

func (o *Options[Req, Res]) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("batch: Options."+problem))
		}
	}
	check(o.Run != nil, "Run is required")
	check(o.MaxBatch > 0, "MaxBatch must be positive")
	check(o.Flights > 0, "Flights must be positive")
	check(o.Beside > 0, "Beside must be positive")
	check(o.Linger >= 0, "Linger must not be negative")
	check(o.MaxQueue > 0, "MaxQueue must be positive")
	check(o.Timeout > 0, "Timeout must be positive")
	check(o.Wait >= 0, "Wait must not be negative")
	return errors.Join(errs...)
}

// Result is the answer to one request.
type Result[Res any] struct {
	Value Res
	Err   error
}

// PanicError is the error of all callers of a flight when Run panicked.
type PanicError struct {
	Value any    // the value of the panic
	Stack []byte // of the goroutine that called Run
}

func (e *PanicError) Error() string { return fmt.Sprintf("batch: run panicked: %v", e.Value) }

// Group collects calls into flights. Safe for concurrent use.
type Group[Req, Res any] struct {
	opts   Options[Req, Res]
	flying sync.WaitGroup // goroutines that run flights
	pool   sync.Pool      // calls that can be reused

	boarding chan struct{} // has a token while a flight boards

	mu       sync.Mutex
	queue    []*call[Req, Res] // waiting calls, oldest first
	full     chan struct{}     // ends the wait of a lingering flight; nil while none lingers
	expect   int               // how many waiting calls end that wait
	runners  int               // number of goroutines that run flights
	inFlight int               // calls in flight
	closed   bool
}

// call is the request of one caller. It is reused once no goroutine refers to it: after
// its answer was received, or after it was removed from the queue.
type call[Req, Res any] struct {
	req    Req
	result *Result[Res]
	done   chan struct{} // receives one value when result is set
	timer  *time.Timer   // runs while the caller waits; nil without Wait
}

// New returns a Group that is ready for calls, or an error with every invalid option.
func New[Req, Res any](opts Options[Req, Res]) (*Group[Req, Res], error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	opts.Beside = min(opts.Beside, opts.MaxBatch)
	return &Group[Req, Res]{opts: opts, boarding: make(chan struct{}, 1)}, nil
}

// Do answers req with the next flight. If ctx ends before the flight begins, Do returns
// the error of ctx and req never runs. If ctx ends during the flight, Do returns the
// error of ctx and req may or may not have run. Do returns store.ErrUnavailable if the
// Group is full or closed, if the flight exceeds Timeout, or if the answer takes longer
// than Wait.
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

// newCall returns a call and starts its timer.
func (g *Group[Req, Res]) newCall(req Req) *call[Req, Res] {
	c, ok := g.pool.Get().(*call[Req, Res])
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

// recycle makes c available for another caller.
func (g *Group[Req, Res]) recycle(c *call[Req, Res]) {
	if c.timer != nil {
		c.timer.Stop() // since Go 1.23 no earlier tick is received after Stop or Reset
	}
	var none Req
	c.req, c.result = none, nil
	g.pool.Put(c)
}

// Waiting reports how many calls wait for a flight.
func (g *Group[Req, Res]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.queue)
}

// Close rejects further calls and returns when all accepted calls have their answers.
func (g *Group[Req, Res]) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.flying.Wait()
}

// enqueue adds c to the queue and starts a goroutine for its flight if needed.
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
		g.startFlight()
	case len(g.queue) >= g.expect:
		select {
		case g.full <- struct{}{}:
		default: // the wait is already over
		}
	}
	return nil
}

// drop removes c from the queue. It returns false if the flight of c has begun.
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
