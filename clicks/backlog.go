package clicks

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/spool"
	"github.com/terse/terse/store"
)

// backlog is the batches that the sink has not acknowledged. All batches in files are older than the
// batches in memory. Only the flush that runs removes batches, and only the oldest one.
type backlog struct {
	files  []*saved // oldest first
	memory []cutBatch
	size   int // bytes of memory
}

// saved is a file, and the batches of it that the sink has acknowledged.
type saved struct {
	*spool.File

	sent   int
	clicks int64              // clicks of the other batches
	loaded []store.ClickBatch // used only by the flush that runs; nil if the file was not read yet
}

// cutBatch is a batch, and the time when it was cut.
type cutBatch struct {
	store.ClickBatch

	at time.Time
}

func (b *backlog) add(batch store.ClickBatch, at time.Time) {
	b.memory = append(b.memory, cutBatch{batch, at})
	b.size += sizeOf(batch)
}

// cutMemory removes the oldest n batches from memory.
func (b *backlog) cutMemory(n int) {
	for _, c := range b.memory[:n] {
		b.size -= sizeOf(c.ClickBatch)
	}
	b.memory = slices.Delete(b.memory, 0, n)
}

// sizeOf returns about how many bytes of memory a batch takes.
func sizeOf(b store.ClickBatch) int {
	size := 72 * len(b.Counts)
	for _, d := range b.Days {
		size += 64 + len(d.Key) + cap(d.Data)
	}
	return size
}

// oldest returns the oldest batch of the backlog. ok is false if there is none. It drops batches that
// are too old, and files that are damaged.
func (r *Recorder) oldest(ctx context.Context) (b store.ClickBatch, ok bool, err error) {
	for {
		f, c := r.front()
		switch {
		case f == nil && c == nil:
			return b, false, nil
		case f == nil && time.Since(c.at) > maxAge:
			r.metrics.old.Add(c.Clicks())
			r.drop(c.at, c.Clicks(), c.Days)
			r.remove(ctx, c.Clicks())
		case f == nil:
			return c.ClickBatch, true, nil
		case time.Since(f.Cut) > maxAge:
			r.metrics.old.Add(f.clicks)
			days := unsentDays(f)
			if r.removeFile(ctx, f, f.Remove) {
				r.drop(f.Cut, f.clicks, days)
			}
		case f.loaded != nil:
			return f.loaded[f.sent], true, nil
		default:
			f.loaded, err = f.Read()
			if errors.Is(err, spool.ErrDamaged) {
				r.metrics.damaged.Add(f.clicks)
				r.drop(f.Cut, f.clicks, nil)
				reason := err
				r.removeFile(ctx, f, func() error { f.SetAside(ctx, reason); return nil })
			} else if err != nil {
				return b, false, err
			}
		}
	}
}

// unsentDays returns the days of the batches of a file that the sink has not acknowledged. It returns none if the
// file cannot be read.
func unsentDays(f *saved) (days []store.ClickDay) {
	batches, err := f.Read()
	if err != nil {
		return nil
	}
	for _, b := range batches[min(f.sent, len(batches)):] {
		days = append(days, b.Days...)
	}
	return days
}

// drop is lose for clicks of the backlog. It keeps the lost clicks that are in their days.
func (r *Recorder) drop(at time.Time, n int64, days []store.ClickDay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lose(at, n)
	for _, d := range days {
		if d.Kind != store.ClickLost {
			continue
		}
		if earlier, err := day.ParseRow(d); err == nil { // the recorder has packed it
			r.lostOn(d.Day).Merge(earlier)
		}
	}
}

// front returns the oldest file, or the oldest batch in memory if there is no file.
func (r *Recorder) front() (f *saved, c *cutBatch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(r.backlog.files) > 0:
		return r.backlog.files[0], nil
	case len(r.backlog.memory) > 0:
		oldest := r.backlog.memory[0]
		return nil, &oldest
	}
	return nil, nil
}

// remove removes the oldest batch, which has n clicks. A save may have moved it to a file meanwhile.
func (r *Recorder) remove(ctx context.Context, n int64) {
	r.mu.Lock()
	if len(r.backlog.files) == 0 {
		r.backlog.cutMemory(1)
		r.waiting.Add(-n)
		r.mu.Unlock()
		return
	}
	f := r.backlog.files[0]
	last := f.sent == f.Batches-1
	if !last {
		f.sent++
		f.clicks -= n
		r.waiting.Add(-n)
		r.spooled.Add(-n)
	}
	r.mu.Unlock()
	if last {
		r.removeFile(ctx, f, f.Remove)
	}
}

// removeFile removes the oldest file of the backlog, and then calls discard. It reports whether discard has
// succeeded: otherwise the next start reads the file again.
func (r *Recorder) removeFile(ctx context.Context, f *saved, discard func() error) bool {
	r.mu.Lock()
	r.backlog.files = slices.Delete(r.backlog.files, 0, 1)
	r.waiting.Add(-f.clicks)
	r.spooled.Add(-f.clicks)
	r.mu.Unlock()
	err := discard()
	if err != nil {
		r.log.WarnContext(ctx, "a file of clicks that were flushed was not removed, the next start sends it again", "err", err)
	}
	return err == nil
}

// restore adds the files of earlier processes to the backlog. It must be called before the first flush.
func (r *Recorder) restore(left []*spool.File) {
	var n int64
	for _, f := range left {
		r.backlog.files = append(r.backlog.files, &saved{File: f, clicks: f.Clicks})
		n += f.Clicks
	}
	r.waiting.Add(n)
	r.spooled.Add(n)
	if n > 0 {
		r.metrics.restored.Add(float64(n))
		r.log.Info("clicks of an earlier process are in the spool", "clicks", n, "files", len(left), "shard", r.shard)
	}
}
