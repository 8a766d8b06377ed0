package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/terse/terse/store"
)

// runBatches runs batches one after the other until no more are needed.
func (g *Group[Req, Res]) runBatches() {
	for calls := g.take(0); calls != nil; {
		reqs := make([]Req, len(calls))
		for i, c := range calls {
			reqs[i] = c.req
		}
		results := g.run(reqs)
		for i, c := range calls {
			c.result = &results[i]
			c.done <- struct{}{} // buffered, and received by the caller of c only
		}
		calls = g.take(len(calls))
	}
}

// take removes the calls of the next batch from the queue. answered is the number of calls
// that the goroutine's previous batch has answered. take returns nil, and the goroutine
// ends, when no calls wait, or fewer than MinParallel while another batch runs. One batch
// at a time takes its calls.
func (g *Group[Req, Res]) take(answered int) []*call[Req, Res] {
	g.takeLock <- struct{}{}
	defer func() { <-g.takeLock }()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.runningCalls -= answered
	size := g.evenSize(answered)
	if g.opts.Linger > 0 && answered > 1 && len(g.queue) < size && !g.closed {
		g.linger(size)
	}
	n := min(len(g.queue), max(size, g.evenSize(0)))
	if n == 0 || n < g.opts.MinParallel && g.runningCalls > 0 {
		g.runners--
		if len(g.queue) == 0 {
			g.queue = nil
		}
		return nil
	}
	g.runningCalls += n
	calls := g.queue[:n:n]
	g.queue = g.queue[n:]
	g.startRunner()
	return calls
}

// evenSize returns the number of calls in each batch when the batches share all calls
// evenly. It assumes that all callers that were just answered call again.
func (g *Group[Req, Res]) evenSize(answered int) int {
	inside := g.runningCalls + len(g.queue) + answered
	batches := max(1, min(g.opts.Parallel, inside/g.opts.MinParallel))
	return min((inside+batches-1)/batches, g.opts.MaxBatch)
}

// startRunner starts a goroutine if enough calls wait. g.mu must be locked.
func (g *Group[Req, Res]) startRunner() {
	waiting := len(g.queue)
	if waiting > 0 && g.runners == 0 || waiting >= g.opts.MinParallel && g.runners < g.opts.Parallel {
		g.runners++
		g.running.Go(g.runBatches)
	}
}

// linger unlocks g.mu until the given number of calls waits or Linger has passed. g.mu must be
// locked, and is locked again afterwards.
func (g *Group[Req, Res]) linger(calls int) {
	enough := make(chan struct{}, 1)
	g.enough, g.enoughCalls = enough, calls
	g.mu.Unlock()
	timer := time.NewTimer(g.opts.Linger)
	defer timer.Stop()
	select {
	case <-enough:
	case <-timer.C:
	}
	g.mu.Lock()
	g.enough = nil
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

// outsider replaces an error of the batch's context by store.ErrUnavailable, because the
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
