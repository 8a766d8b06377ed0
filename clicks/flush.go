package clicks

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/terse/terse/store"
)

// run flushes every FlushEvery until ctx ends, or sooner when a stripe is half full.
// After a failure it only waits for the next pause, even when stripes are full.
func (r *Recorder) run(ctx context.Context) {
	defer close(r.stopped)
	timer := time.NewTimer(r.opts.FlushEvery)
	defer timer.Stop()
	wake, failures := r.wake, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-wake:
		}
		switch err := r.Flush(ctx); {
		case err == nil:
			if failures > 0 {
				r.log.InfoContext(ctx, "clicks are flushed again", "failures", failures)
			}
			wake, failures = r.wake, 0
		case ctx.Err() != nil:
			return
		default:
			if failures == 0 {
				r.log.WarnContext(ctx, "clicks not flushed, will retry", "err", err)
			}
			wake, failures = nil, failures+1
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
	case r.flushing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.flushing }()

	if err := r.send(ctx); err != nil {
		return err
	}
	r.cut()
	return r.send(ctx)
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
	for len(r.backlog) > 0 {
		b := r.backlog[0]
		began := time.Now()
		batchCtx, cancel := context.WithTimeout(ctx, r.opts.FlushTimeout)
		err := r.sink.AddClicks(batchCtx, b)
		cancel()
		r.metrics.duration.Observe(time.Since(began).Seconds())
		if err != nil {
			return fmt.Errorf("clicks: batch %d: %w", b.Seq, err)
		}
		n := clicksIn(b)
		r.metrics.flushed.Add(float64(n))
		r.waiting.Add(-n)
		r.backlog = slices.Delete(r.backlog, 0, 1)
	}
	return nil
}

// cut moves the clicks of all stripes into batches. Each code is in one batch only. The
// codes are sorted, so that sinks lock their rows in the same order.
func (r *Recorder) cut() {
	var merged []store.ClickCount
	index := map[string]int{}
	for i := range r.stripes {
		r.stripes[i].take(func(row row) {
			r.waiting.Add(row.clicks)
			last := time.UnixMicro(row.last).UTC()
			if at, ok := index[row.code]; ok {
				m := &merged[at]
				m.N += row.clicks
				if last.After(m.Last) {
					m.Last = last
				}
				return
			}
			index[row.code] = len(merged)
			merged = append(merged, store.ClickCount{Code: row.code, N: row.clicks, Last: last})
		})
	}
	slices.SortFunc(merged, func(a, b store.ClickCount) int { return cmp.Compare(a.Code, b.Code) })
	for counts := range slices.Chunk(merged, r.opts.MaxBatch) {
		r.seq++
		r.backlog = append(r.backlog, store.ClickBatch{Recorder: r.name, Seq: r.seq, Counts: counts})
	}
}

// giveUp drops all clicks that were not flushed, and returns their number.
func (r *Recorder) giveUp() int64 {
	r.flushing <- struct{}{}
	defer func() { <-r.flushing }()
	r.cut()
	r.backlog = nil
	lost := r.waiting.Swap(0)
	r.metrics.lost.Add(lost)
	return lost
}

func clicksIn(b store.ClickBatch) (n int64) {
	for _, c := range b.Counts {
		n += c.N
	}
	return n
}
