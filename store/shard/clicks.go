package shard

import (
	"context"
	"errors"
	"fmt"

	"github.com/terse/terse/store"
)

// AddClicks implements store.ClickSink. Each shard gets the clicks of its links, all at the
// same time, under the batch's Recorder and Seq. If a shard fails, AddClicks fails. When the
// batch is repeated, the other shards do not count their part again.
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

// resend sends the part that shard from refused as moved to the new owners of its links. The
// refusing shard has counted none of it. A shard that already had a part of the batch gets
// these clicks under another recorder, because it would drop them as counted. A shard that
// failed gets nothing now: only a repetition under the same name shows whether it has
// counted its part.
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

// split divides counts by the shards that own the links. Counts of buckets without a known
// owner are in no part, and make split return an error.
func (r *Router) split(counts []store.ClickCount) (parts [][]store.ClickCount, lost error) {
	parts = make([][]store.ClickCount, len(r.shards))
	t := r.refresher.table.Load()
	for _, c := range counts {
		bucket := store.BucketOf(c.Code)
		i := t.owner(bucket)
		if i == unknown {
			lost = unowned(bucket)
			continue
		}
		parts[i] = append(parts[i], c)
	}
	return parts, lost
}
