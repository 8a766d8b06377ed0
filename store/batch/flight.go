package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/terse/terse/store"
)

// fly runs one flight after the other until none is needed.
func (g *Group[Req, Res]) fly() {
	for calls := g.board(0); calls != nil; {
		reqs := make([]Req, len(calls))
		for i, c := range calls {
			reqs[i] = c.req
		}
		results := g.run(reqs)
		for i, c := range calls {
			c.result = &results[i]
			c.done <- struct{}{} // its caller, when it is still there, is the only one to receive
		}
		calls = g.board(len(calls))
	}
}

// board takes the calls of the next flight out of the queue, after one that has
// answered some. It returns nil, and the caller flies no more, when nobody waits or
// the flights under way are enough. One flight boards at a time: who lands
// meanwhile has to wait until it has left.
func (g *Group[Req, Res]) board(answered int) []*call[Req, Res] {
	g.gate <- struct{}{}
	defer func() { <-g.gate }()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.aloft -= answered
	share := g.share(answered)
	if g.opts.Linger > 0 && answered > 1 && len(g.queue) < share && !g.closed {
		g.linger(share)
	}
	n := min(len(g.queue), max(share, g.share(0)))
	if n == 0 || n < g.opts.Beside && g.aloft > 0 {
		g.busy--
		if len(g.queue) == 0 {
			g.queue = nil
		}
		return nil
	}
	g.aloft += n
	calls := g.queue[:n:n]
	g.queue = g.queue[n:]
	g.staff()
	return calls
}

// share returns how many calls a flight carries when all flights carry as many, and
// so many callers come back who were just answered.
func (g *Group[Req, Res]) share(answered int) int {
	inside := g.aloft + len(g.queue) + answered
	flights := max(1, min(g.opts.Flights, inside/g.opts.Beside))
	return min((inside+flights-1)/flights, g.opts.MaxBatch)
}

// staff sees to it that somebody flies when calls wait. The Group is locked.
func (g *Group[Req, Res]) staff() {
	waiting := len(g.queue)
	if waiting > 0 && g.busy == 0 || waiting >= g.opts.Beside && g.busy < g.opts.Flights {
		g.busy++
		g.flying.Go(g.fly)
	}
}

// linger waits until so many calls wait, or until Linger is over. The Group is
// locked before and after.
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
