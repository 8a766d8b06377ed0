package clicks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// classify classifies clicks every FlushEvery until ctx ends, or sooner when a stripe is half
// full. It does not wait for the sink.
func (r *Recorder) classify(ctx context.Context) {
	tick := time.NewTicker(r.opts.FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.wake:
		}
		r.aggregate(ctx)
	}
}

// run flushes every FlushEvery until ctx ends. After a failure it waits longer.
func (r *Recorder) run(ctx context.Context) {
	timer := time.NewTimer(r.opts.FlushEvery)
	defer timer.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		switch err := r.Flush(ctx); {
		case err == nil:
			if failures > 0 {
				r.log.InfoContext(ctx, "clicks are flushed again", "failures", failures)
			}
			failures = 0
		case ctx.Err() != nil:
			return
		default:
			if failures == 0 {
				r.log.WarnContext(ctx, "clicks not flushed, will retry", "err", err)
			}
			failures++
			wake(r.unsaved)
		}
		timer.Reset(r.pause(failures))
	}
}

// pause returns the time until the next flush after a number of consecutive failures.
// It doubles with every failure, up to maxBackoff. Up to half of it is random, so that
// many processes do not retry together.
func (r *Recorder) pause(failures int) time.Duration {
	d := r.opts.FlushEvery
	if failures == 0 {
		return d
	}
	for range failures {
		d = min(2*d, max(maxBackoff, r.opts.FlushEvery))
	}
	return d - rand.N(d/2+1) //nolint:gosec // jitter
}

// Flush sends all clicks recorded before the call to the sink. It returns nil when the
// sink has acknowledged them all. Otherwise the clicks stay in the same batches for the
// next flush. Only one flush runs at a time; another call waits for it, or until its
// ctx ends.
func (r *Recorder) Flush(ctx context.Context) error {
	select {
	case r.sending <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.sending }()

	r.aggregate(ctx)
	err := r.send(ctx)
	if err == nil {
		r.mu.Lock()
		r.cut()
		r.mu.Unlock()
		err = r.send(ctx)
	}
	r.failing.Store(err != nil)
	if err == nil {
		r.settled.Store(time.Now().UnixNano())
	}
	return err
}

// flushUntil retries Flush until it succeeds or ctx ends.
func (r *Recorder) flushUntil(ctx context.Context) error {
	for failures := 1; ; failures++ {
		err := r.Flush(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(min(r.pause(failures), time.Second)):
		}
	}
}

// send sends the backlog to the sink, in order, and stops at the first error.
func (r *Recorder) send(ctx context.Context) error {
	for {
		b, ok, err := r.oldest(ctx)
		if err != nil || !ok {
			return err
		}
		began := time.Now()
		batchCtx, cancel := context.WithTimeout(ctx, r.opts.FlushTimeout)
		err = r.sink.AddClicks(batchCtx, b)
		cancel()
		r.metrics.duration.Observe(time.Since(began).Seconds())
		if err != nil {
			return fmt.Errorf("clicks: batch %d: %w", b.Seq, err)
		}
		r.metrics.flushed.Add(float64(b.Clicks()))
		r.remove(ctx, b.Clicks())
	}
}

// giveUp drops all clicks in memory that were not flushed, and returns their number.
func (r *Recorder) giveUp() int64 {
	r.sending <- struct{}{}
	defer func() { <-r.sending }()
	r.aggregate(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.open)
	r.openSize = 0
	r.backlog.memory, r.backlog.size = nil, 0
	lost := r.waiting.Load() - r.spooled.Load()
	r.waiting.Add(-lost)
	r.metrics.lost.Add(lost)
	return lost
}

// wake sends a message unless one waits already.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
