package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/terse/terse/store"
)

// fly runs flights one after the other until no more are needed.
func (g *Group[Req, Res]) fly() {
	for calls := g.board(0); calls != nil; {
		reqs := make([]Req, len(calls))
		for i, c := range calls {
			reqs[i] = c.req
		}
		results := g.run(reqs)
		for i, c := range calls {
			c.result = &results[i]
			c.done <- struct{}{} // buffered, and received by the caller of c only
		}
		calls = g.board(len(calls))
	}
}

// board removes the calls of the next flight from the queue. answered is the number of
// calls that the goroutine's previous flight has answered. board returns nil, and the
// goroutine ends, when no calls wait or when they are too few beside another flight. The
// boarding lets one flight board at a time.
func (g *Group[Req, Res]) board(answered int) []*call[Req, Res] {
	g.boarding <- struct{}{}
	defer func() { <-g.boarding }()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight -= answered
	size := g.evenSize(answered)
	if g.opts.Linger > 0 && answered > 1 && len(g.queue) < size && !g.closed {
		g.linger(size)
	}
	n := min(len(g.queue), max(size, g.evenSize(0)))
	if n == 0 || n < g.opts.Beside && g.inFlight > 0 {
		g.runners--
		if len(g.queue) == 0 {
			g.queue = nil
		}
		return nil
	}
	g.inFlight += n
	calls := g.queue[:n:n]
	g.queue = g.queue[n:]
	g.startFlight()
	return calls
}

// evenSize returns the number of calls in each flight when the flights share all calls
// evenly. It assumes that all callers that were just answered call again.
func (g *Group[Req, Res]) evenSize(answered int) int {
	inside := g.inFlight + len(g.queue) + answered
	flights := max(1, min(g.opts.Flights, inside/g.opts.Beside))
	return min((inside+flights-1)/flights, g.opts.MaxBatch)
}

// startFlight starts a goroutine if enough calls wait. g.mu must be locked.
func (g *Group[Req, Res]) startFlight() {
	waiting := len(g.queue)
	if waiting > 0 && g.runners == 0 || waiting >= g.opts.Beside && g.runners < g.opts.Flights {
		g.runners++
		g.flying.Go(g.fly)
	}
}

// linger unlocks g.mu until expect calls wait or Linger has passed. g.mu must be locked,
// and is locked again afterwards.
func (g *Group[Req, Res]) linger(expect int) {
	full := make(chan struct{}, 1)
	g.full, g.expect = full, expect
	g.mu.Unlock()
	timer := time.NewTimer(g.opts.Linger)
	defer timer.Stop()
	select {
	case <-full:
	case <-timer.C:
	}
	g.mu.Lock()
	g.full = nil
}

// run returns one result for each request, even if Run panics or returns too few.
func (g *Group[Req, Res]) run(reqs []Req) []Result[Res] {
	ctx, cancel := context.WithTimeout(context.Background(), g.opts.Timeout)
	defer cancel()
	start := time.Now()
	results, err := g.recovered(ctx, reqs)
	if g.opts.Observe != nil {
		g.opts.Observe(len(reqs), time.Since(start))
	}
	switch {
	case err != nil:
		return fail[Res](len(reqs), err)
	case len(results) != len(reqs):
		return fail[Res](len(reqs), fmt.Errorf("batch: run gave %d results for %d requests", len(results), len(reqs)))
	}
	for i := range results {
		results[i].Err = outsider(results[i].Err)
	}
	return results
}

// recovered calls Run and turns its panic into an error.
func (g *Group[Req, Res]) recovered(ctx context.Context, reqs []Req) (results []Result[Res], err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return g.opts.Run(ctx, reqs), nil
}

// outsider replaces an error of the flight's context by store.ErrUnavailable, because the
// caller's own context has not ended.
func outsider(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %v", store.ErrUnavailable, err) //nolint:errorlint // must not match the caller's own deadline
	}
	return err
}

// fail returns err as the result of n requests.
func fail[Res any](n int, err error) []Result[Res] {
	results := make([]Result[Res], n)
	for i := range results {
		results[i].Err = err
	}
	return results
}
