package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/terse/terse/store"
)

// fly runs one flight after the other until nobody waits.
func (g *Group[Req, Res]) fly() {
	for calls := g.board(); calls != nil; calls = g.board() {
		reqs := make([]Req, len(calls))
		for i, c := range calls {
			reqs[i] = c.req
		}
		results := g.run(reqs)
		for i, c := range calls {
			c.result = &results[i]
			c.done <- struct{}{} // its caller, when it is still there, is the only one to receive
		}
		g.linger(len(calls))
	}
}

// linger waits until as many calls wait as were just answered and did wait
// meanwhile, or until Linger is over. A single flight lingers at a time.
func (g *Group[Req, Res]) linger(answered int) {
	g.mu.Lock()
	expect := min(answered+len(g.queue), g.opts.MaxBatch)
	if g.opts.Linger <= 0 || answered == 1 || len(g.queue) >= expect || g.full != nil || g.closed {
		g.mu.Unlock()
		return
	}
	full := make(chan struct{})
	g.full, g.expect = full, expect
	g.mu.Unlock()
	timer := time.NewTimer(g.opts.Linger)
	defer timer.Stop()
	select {
	case <-full:
	case <-timer.C:
		g.mu.Lock()
		if g.full == full {
			g.full = nil
		}
		g.mu.Unlock()
	}
}

// board takes the calls of the next flight out of the queue. It returns nil,
// and the caller flies no more, when there are none.
func (g *Group[Req, Res]) board() []*call[Req, Res] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.queue), g.opts.MaxBatch)
	if n == 0 {
		g.busy--
		g.queue = nil
		return nil
	}
	calls := g.queue[:n:n]
	g.queue = g.queue[n:]
	return calls
}

// run answers reqs, whatever Run does.
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

// outsider returns err as it concerns a caller: that the flight's own context
// ended says nothing about the caller's.
func outsider(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %v", store.ErrUnavailable, err) //nolint:errorlint // must not match the caller's own deadline
	}
	return err
}

// fail answers n requests with err.
func fail[Res any](n int, err error) []Result[Res] {
	results := make([]Result[Res], n)
	for i := range results {
		results[i].Err = err
	}
	return results
}
