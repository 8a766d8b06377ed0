// Package batch runs concurrent calls together in batches.
//
// A Group runs one batch at a time, or up to Options.Parallel of them. A batch is one call of
// Options.Run with several requests. Calls that arrive while a batch runs wait and share
// the next batch. So calls of an idle system do not wait, and all callers of a batch share
// the cost of a round trip or an fsync.
//
// It is not a scheduler: with Linger 0, no call of an idle system is delayed to make a batch
// larger. It is not a cache: each call has its own result.
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
	// Run answers all requests of one batch: result i is for request i. Up to Parallel
	// goroutines call it at the same time. ctx ends after Timeout. It does not end when
	// the contexts of callers end. Required.
	Run func(ctx context.Context, reqs []Req) []Result[Res]

	// MaxBatch is the maximum number of requests in one batch. Default 256.
	MaxBatch int

	// Parallel is the maximum number of batches at the same time. They share the requests evenly.
	// Default 1. With a MaxBatch of 1 each call has a batch of its own.
	Parallel int

	// MinParallel is the minimum size of a batch that starts while another one runs.
	// Fewer requests wait for the end of the other batch. Default 1; at most MaxBatch.
	MinParallel int

	// Linger is how long a batch may wait for callers that the previous batch has
	// answered, if it answered several. Such callers tend to call again at once, and
	// would otherwise alternate in two groups. After a batch with one caller there is
	// no wait. Default 0: no wait.
	Linger time.Duration

	// MaxQueue is the maximum number of requests that wait for a batch. Further requests fail
	// with store.ErrUnavailable. Default 4096.
	MaxQueue int

	// Timeout is the deadline of one batch. Default 10 s.
	Timeout time.Duration

	// Wait is the longest time that a caller waits for its answer, in the queue and in
	// its batch. Then Do returns store.ErrUnavailable. It costs less than a context with
	// a deadline. Default 0: until the caller's context ends.
	Wait time.Duration

	// Observe, if set, is called after each batch, before its callers are answered,
	// with the number of requests and the duration.
	Observe func(size int, took time.Duration)
}

func (o Options[Req, Res]) withDefaults() Options[Req, Res] {
	o.MaxBatch = cmp.Or(o.MaxBatch, 256)
	o.Parallel = cmp.Or(o.Parallel, 1)
	o.MinParallel = cmp.Or(o.MinParallel, 1)
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
	check(o.Parallel > 0, "Parallel must be positive")
	check(o.MinParallel > 0, "MinParallel must be positive")
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

// PanicError is the error of all callers of a batch when Run panicked.
type PanicError struct {
	Value any    // the value of the panic
	Stack []byte // of the goroutine that called Run
}

func (e *PanicError) Error() string { return fmt.Sprintf("batch: run panicked: %v", e.Value) }

// Group collects calls into batches. Safe for concurrent use.
type Group[Req, Res any] struct {
	opts    Options[Req, Res]
	running sync.WaitGroup // goroutines that run batches
	pool    sync.Pool      // calls that can be reused

	takeLock chan struct{} // has a token while a batch takes its calls

	mu           sync.Mutex
	queue        []*call[Req, Res] // waiting calls, oldest first
	enough       chan struct{}     // ends the wait of a lingering batch; nil while no batch lingers
	enoughCalls  int               // how many waiting calls end that wait
	runners      int               // number of goroutines that run batches
	runningCalls int               // calls in running batches
	closed       bool
}

// call is the request of one caller. It is reused after its answer was received, or after it
// was removed from the queue: no goroutine refers to it then.
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
	opts.MinParallel = min(opts.MinParallel, opts.MaxBatch)
	return &Group[Req, Res]{opts: opts, takeLock: make(chan struct{}, 1)}, nil
}

// Do answers req with the next batch. If ctx ends before the batch starts, Do returns
// the error of ctx and req never runs. If ctx ends while the batch runs, Do returns the
// error of ctx and req may or may not have run. Do returns store.ErrUnavailable if the
// Group is full or closed, if the batch exceeds Timeout, or if the answer takes longer
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

// Waiting reports how many calls wait for a batch.
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
	g.running.Wait()
}

// enqueue adds c to the queue and starts a goroutine for its batch if needed.
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
	case g.enough == nil:
		g.startRunner()
	case len(g.queue) >= g.enoughCalls:
		select {
		case g.enough <- struct{}{}:
		default: // the wait is already over
		}
	}
	return nil
}

// drop removes c from the queue. It returns false if the batch of c has started.
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
