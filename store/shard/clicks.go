package shard

import (
	"context"
	"errors"
	"fmt"

	"github.com/terse/terse/store"
)

// AddClicks implements store.ClickSink. Each shard is sent the clicks of its
// links, all at once and under the batch's own Recorder and Seq. A shard that
// fails fails the whole; when the batch is repeated, those that have their part
// do not count it again.
func (r *Router) AddClicks(ctx context.Context, b store.ClickBatch) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("shard: add clicks: %w", err)
	}
	parts, lost := r.split(b.Counts)
	_, errs := everywhere(r, func(i int, s Shard) (struct{}, error) {
		if len(parts[i]) == 0 {
			return struct{}{}, nil
		}
		return struct{}{}, s.AddClicks(ctx, store.ClickBatch{Recorder: b.Recorder, Seq: b.Seq, Counts: parts[i]})
	})
	if moved(errs) {
		if err := r.await(ctx); err != nil {
			return err
		}
		for from, err := range errs {
			if errors.Is(err, store.ErrMoved) {
				r.metrics.moved.Inc()
				errs[from] = r.settled(r.resend(ctx, b, from, parts, errs))
			}
		}
	}
	return errors.Join(append(errs, lost)...)
}

// resend sends the part that one shard refused, which has counted none of it, to
// those that own its links now. A shard that has a part of the batch already
// takes these clicks under another recorder, lest it drops them as counted. One
// that failed is left alone, since only the batch's own name tells, when that is
// repeated, what it has.
func (r *Router) resend(ctx context.Context, b store.ClickBatch, from int, parts [][]store.ClickCount, errs []error) error {
	again, lost := r.split(parts[from])
	failed := []error{lost}
	for to, counts := range again {
		if len(counts) == 0 {
			continue
		}
		one := store.ClickBatch{Recorder: b.Recorder, Seq: b.Seq, Counts: counts}
		if to != from && len(parts[to]) > 0 {
			if errs[to] != nil {
				failed = append(failed, r.named(to, store.ErrUnavailable))
				continue
			}
			one.Recorder += " from " + r.shards[from].Name
		}
		err := r.named(to, r.shards[to].Shard.AddClicks(ctx, one))
		if to != from {
			parts[to], errs[to] = append(parts[to], counts...), r.settled(err)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// split divides counts by the shards that own the links. Those that nobody is
// known to own are an error, and in no part.
func (r *Router) split(counts []store.ClickCount) (parts [][]store.ClickCount, lost error) {
	parts = make([][]store.ClickCount, len(r.shards))
	t := r.refresher.table.Load()
	for _, c := range counts {
		bucket := store.BucketOf(c.Code)
		i := t.owner(bucket)
		if i == nobody {
			lost = unowned(bucket)
			continue
		}
		parts[i] = append(parts[i], c)
	}
	return parts, lost
}
