package shard

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/terse/terse/store"
)

// clickPart is the clicks of a batch that belong to one shard.
type clickPart struct {
	counts []store.ClickCount
	days   []store.ClickDay
}

func (p *clickPart) empty() bool { return len(p.counts)+len(p.days) == 0 }

func (p *clickPart) append(more clickPart) {
	p.counts, p.days = append(p.counts, more.counts...), append(p.days, more.days...)
}

// of returns the batch with only these clicks.
func (p *clickPart) of(b store.ClickBatch) store.ClickBatch {
	b.Counts, b.Days = p.counts, p.days
	return b
}

// AddClicks implements store.ClickSink. Each shard gets the clicks of its links, all at the
// same time, under the batch's Recorder and Seq. If a shard fails, AddClicks fails. When the
// batch is repeated, the other shards do not count their part again.
func (r *Router) AddClicks(ctx context.Context, b store.ClickBatch) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("shard: add clicks: %w", err)
	}
	for i := range b.Days {
		if err := b.Days[i].ValidateAdded(); err != nil { // before any shard counts its part
			return fmt.Errorf("shard: add clicks: %w", err)
		}
	}
	parts, lost := r.splitClicks(b.Recorder, clickPart{b.Counts, b.Days})
	_, errs := everywhere(r, func(i int, s Shard) (struct{}, error) {
		if parts[i].empty() {
			return struct{}{}, nil
		}
		return struct{}{}, s.AddClicks(ctx, parts[i].of(b))
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
func (r *Router) resend(ctx context.Context, b store.ClickBatch, from int, parts []clickPart, errs []error) error {
	again, lost := r.splitClicks(b.Recorder, parts[from])
	failed := []error{lost}
	for to, part := range again {
		if part.empty() {
			continue
		}
		one := part.of(b)
		if to != from && !parts[to].empty() {
			if errs[to] != nil {
				failed = append(failed, r.named(to, store.ErrUnavailable))
				continue
			}
			one.Recorder += " from " + r.shards[from].Name
		}
		err := r.named(to, r.shards[to].Shard.AddClicks(ctx, one))
		if to != from {
			parts[to].append(part)
			errs[to] = r.settled(err)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// splitClicks divides clicks by the shards that own the links. The lost clicks of a recorder always go to
// the same shard, so that a repeated batch does not count them twice.
func (r *Router) splitClicks(recorder string, all clickPart) (parts []clickPart, lost error) {
	parts = make([]clickPart, len(r.shards))
	ofLinks := slices.DeleteFunc(slices.Clone(all.days), func(d store.ClickDay) bool { return d.Kind == store.ClickLost })
	ofAll := slices.DeleteFunc(slices.Clone(all.days), func(d store.ClickDay) bool { return d.Kind != store.ClickLost })
	counts, lost := split(r, all.counts, func(c store.ClickCount) string { return c.Code })
	days, lostDays := split(r, ofLinks, func(d store.ClickDay) string { return d.Key })
	for i := range parts {
		parts[i] = clickPart{counts[i], days[i]}
	}
	if len(ofAll) > 0 {
		to := &parts[store.BucketOf(recorder)%len(parts)]
		to.days = append(to.days, ofAll...)
	}
	return parts, errors.Join(lost, lostDays)
}

// split divides elements by the shards that own their keys. Elements of buckets without a known
// owner are in no part, and make split return an error.
func split[T any](r *Router, all []T, key func(T) string) (parts [][]T, lost error) {
	parts = make([][]T, len(r.shards))
	t := r.refresher.table.Load()
	for _, one := range all {
		bucket := store.BucketOf(key(one))
		i := t.owner(bucket)
		if i == unknown {
			lost = unowned(bucket)
			continue
		}
		parts[i] = append(parts[i], one)
	}
	return parts, lost
}
